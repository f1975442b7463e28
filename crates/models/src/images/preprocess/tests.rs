use serde_json::{Value, json};

use super::*;

fn read(config: &Value, size: u32) -> Result<Preprocessor, PreprocessorError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("preprocessor_config.json"), config.to_string()).unwrap();
    Preprocessor::read(folder.path(), size)
}

fn problem(config: &Value, size: u32) -> String {
    read(config, size).unwrap_err().to_string()
}

#[test]
fn a_file_of_mean_and_std_changes_no_pixel_of_the_right_size() {
    let plain = read(&json!({"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}), 8).unwrap();
    let picture = RgbImage::from_fn(8, 8, |x, y| image::Rgb([(x * 31) as u8, (y * 29) as u8, 77]));
    assert_eq!(plain.resized(&picture), picture);
    let expected = super::super::to_tensor(std::slice::from_ref(&picture));
    let difference = (plain.apply(&[picture]) - expected).abs().max().double_value(&[]);
    assert!(difference < 1e-6, "{difference}");
    let wide = RgbImage::from_fn(32, 16, |x, _| image::Rgb([if x < 7 { 9 } else { 200 }; 3]));
    assert!(plain.resized(&wide).pixels().all(|pixel| pixel.0[0] == 200), "the centre was not cut");
}

#[test]
fn a_file_that_does_not_fit_is_named_with_its_key() {
    let size = problem(&json!({"feature_extractor_type": "ViTFeatureExtractor", "size": 256}), 224);
    assert!(
        size.contains("preprocessor_config.json: size: found 256; the network takes 224 x 224"),
        "{size}"
    );
    let crop = problem(&json!({"do_center_crop": true, "crop_size": {"height": 336, "width": 336}}), 224);
    assert!(crop.contains("crop_size: found height 336, width 336"), "{crop}");
    let filter = problem(&json!({"size": 224, "resample": 1}), 224);
    assert!(filter.contains("resample: found 1; 0 (nearest), 2 (bilinear)"), "{filter}");
    let kind = problem(&json!({"image_processor_type": "PixtralImageProcessor"}), 224);
    assert!(kind.contains("found `PixtralImageProcessor`; CLIPImageProcessor"), "{kind}");
    let std = problem(&json!({"image_std": [1.0, 0.0, 1.0]}), 224);
    assert!(std.contains("image_std: found [1.0, 0.0, 1.0]; every value has to be above 0"), "{std}");
    let open = problem(&json!({"image_processor_type": "CLIPImageProcessor", "do_center_crop": false}), 224);
    assert!(open.contains("size: found 224; without `do_center_crop`"), "{open}");
    let form = problem(&json!({"size": "large"}), 224);
    assert!(form.contains("a number of pixels, {height, width} or {shortest_edge}"), "{form}");
}

#[test]
fn middles_round_as_their_libraries_do() {
    let starts = |middle: Middle| [0, 1, 2, 3, 4, 5, 7].map(|slack| middle.start(slack));
    assert_eq!(starts(Middle::Down), [0, 0, 1, 1, 2, 2, 3]);
    assert_eq!(starts(Middle::Even), [0, 0, 1, 2, 2, 2, 4]); // 0.5 -> 0, 1.5 -> 2, 2.5 -> 2, 3.5 -> 4
}
