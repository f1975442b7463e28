//! Pictures against Pillow and transformers' processors, on the files made by `tools/goldens/pictures.py`.

use image::{GrayImage, RgbImage};
use models::images::{Filter, Preprocessor, read_rgb, resize, resize_and_crop};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tch::Kind;

use crate::{folder, tensors};

/// JPEG leaves the rounding of its transform to the decoder, and so the filter that doubles halved chroma.
const JPEG_TOLERANCE: i32 = 2;
const HALVED_CHROMA_TOLERANCE: i32 = 5;

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder("pictures").join(name)).unwrap()).unwrap()
}

/// The script's `waves`.
fn waves(width: u64, height: u64) -> RgbImage {
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let value = |c: u32| (x * (13 + 5 * c) + y * 7 * (c + 1) + x * y / 3 + x * x / (7 + c)) as u8;
        image::Rgb([value(0), value(1), value(2)])
    })
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sizes(case: &Value) -> [u64; 4] {
    std::array::from_fn(|index| case["size"][index].as_u64().unwrap())
}

#[test]
fn every_form_of_file_is_read_as_pillow_reads_it() {
    let mut exact = 0;
    for (name, expected) in tensors("pictures") {
        let picture = read_rgb(&folder("pictures/files").join(&name)).unwrap();
        let (height, width, _) = expected.size3().unwrap();
        assert_eq!((i64::from(picture.width()), i64::from(picture.height())), (width, height), "{name}");
        let ours = tch::Tensor::from_slice(picture.as_raw()).view([height, width, 3]).to_kind(Kind::Int);
        let largest = i32::try_from((ours - expected.to_kind(Kind::Int)).abs().max()).unwrap();
        println!("{name}: largest difference {largest}");
        let allowed = match name.as_str() {
            "halved_chroma.jpg" | "progressive.jpg" => HALVED_CHROMA_TOLERANCE,
            name if name.ends_with(".jpg") => JPEG_TOLERANCE,
            _ => 0,
        };
        assert!(largest <= allowed, "{name}: {largest}");
        exact += usize::from(allowed == 0);
    }
    assert_eq!(exact, 14, "files without a tolerance");
}

#[test]
fn resizing_equals_pillow_to_the_byte() {
    let cases = json("resized.json");
    for case in cases["whole"].as_array().unwrap() {
        let ([from_width, from_height, width, height], filter) =
            (sizes(case), case["filter"].as_str().unwrap());
        let filter = match filter {
            "nearest" => Filter::Nearest,
            "bilinear" => Filter::Bilinear,
            _ => Filter::Bicubic,
        };
        let picture = waves(from_width, from_height);
        let resized = resize(&picture, width as u32, height as u32, filter);
        assert_eq!(digest(resized.as_raw()), case["sha256"], "{case}");
        // One channel goes the same way as three.
        let red = |picture: &RgbImage| picture.pixels().map(|pixel| pixel.0[0]).collect::<Vec<u8>>();
        let grey = GrayImage::from_raw(from_width as u32, from_height as u32, red(&picture)).unwrap();
        assert_eq!(resize(&grey, width as u32, height as u32, filter).into_raw(), red(&resized), "{case}");
    }
    for case in cases["cut"].as_array().unwrap() {
        let [width, height, resized, size] = sizes(case);
        let picture = waves(width, height);
        let cut = match resized == size {
            true => resize_and_crop(&picture, size as u32),
            false => Preprocessor::cropped(size as u32).resized(&picture),
        };
        assert_eq!(digest(cut.as_raw()), case["sha256"], "{case}");
    }
}

#[test]
fn preprocessing_equals_the_processors_of_transformers() {
    let golden = json("processed.json");
    let folder = tempfile::tempdir().unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let config = &golden["configs"][case["config"].as_str().unwrap()];
        std::fs::write(folder.path().join("preprocessor_config.json"), config["file"].to_string()).unwrap();
        let preprocessor =
            Preprocessor::read(folder.path(), config["side"].as_u64().unwrap() as u32).unwrap();
        let picture = waves(case["width"].as_u64().unwrap(), case["height"].as_u64().unwrap());
        let resized = preprocessor.resized(&picture);
        assert_eq!(digest(resized.as_raw()), case["sha256"], "{case}");
        let values = preprocessor.apply(&[picture]).flatten(0, -1);
        for (place, expected) in [0, 1, 1234, 3000, -1].into_iter().zip(case["values"].as_array().unwrap()) {
            let (ours, expected) = (values.double_value(&[place]), expected.as_f64().unwrap());
            assert!((ours - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{case}: {ours} at {place}");
        }
        let (sum, count) = (values.sum(Kind::Double).double_value(&[]), values.numel() as f64);
        let mean_difference = (sum - case["sum"].as_f64().unwrap()).abs() / count;
        assert!(mean_difference < 1e-6, "{case}: {mean_difference}");
    }
}

#[test]
fn dinos_two_preprocessings_are_the_files_that_ask_for_them() {
    let golden = json("processed.json");
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str| {
        let text = golden["configs"][name]["file"].to_string();
        std::fs::write(folder.path().join("preprocessor_config.json"), text).unwrap();
        Preprocessor::read(folder.path(), 224).unwrap()
    };
    let picture = waves(300, 451);
    let values = |own: &Preprocessor| own.apply(std::slice::from_ref(&picture));
    assert!(values(&Preprocessor::squashed(224)).equal(&values(&read("vit_old"))));
    let cropped = values(&Preprocessor::cropped(224));
    assert!(!cropped.equal(&values(&read("vit_bicubic"))), "the crop is not taken");
    assert_eq!(cropped.size(), [1, 3, 224, 224]);
}
