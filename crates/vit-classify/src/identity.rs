//! A trial's identity follows every file that its task opens: model, preprocessing, pictures.

use std::path::Path;

use finetune::testing::{copy_folder, unnoticed};
use image::{Rgb, RgbImage};
use runner::Workload;
use serde_json::json;

use crate::ImageClassification;
use crate::settings::Settings;
use crate::settings::tests::{config, lora};
use crate::world::{Corpus, Listings, Network};

/// Folders of two classes and two splits, with two pictures each.
pub fn write_folders(data: &Path) {
    for split in ["train", "test"] {
        for (class, shade) in [("dark", 40), ("light", 200)] {
            let folder = data.join(split).join(class);
            std::fs::create_dir_all(&folder).unwrap();
            for index in 0..2u8 {
                let picture = RgbImage::from_pixel(70, 60, Rgb([shade, shade + index, shade]));
                picture.save(folder.join(format!("{index}.png"))).unwrap();
            }
        }
    }
}

#[test]
fn a_trial_is_another_after_a_change_of_any_file_that_it_opens() {
    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini");
    for layout in ["hub", "folders"] {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(&mini.join("dino"), &folder.path().join("model")).unwrap();
        let data = folder.path().join("data");
        match layout {
            "hub" => copy_folder(&mini.join("pictures"), &data).unwrap(),
            _ => write_folders(&data),
        }
        let mut config = config(lora(), 1);
        config["model"] = json!(folder.path().join("model"));
        config["data"] = json!(data);
        let settings = Settings::read(&config).unwrap();
        let load = || {
            let network = Network::load(&settings.model)?;
            Corpus::read(&settings, &Listings::find(&settings)?, &network.preprocessor)
        };
        let digest = || ImageClassification::new(String::new()).validate(&config);
        let (opened, unnoticed) = unnoticed(load, digest).unwrap();
        assert_eq!(unnoticed, [""; 0], "{layout}: these change without a new identity");
        let data: &[&str] = match layout {
            "hub" => &["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"],
            _ => &["train/dark/0.png", "train/light/1.png", "test/light/0.png"],
        };
        for suffix in ["config.json", "model.safetensors", "preprocessor_config.json"].iter().chain(data) {
            assert!(
                opened.iter().any(|path| path.ends_with(suffix)),
                "{suffix} is not opened, but {opened:?}"
            );
        }
    }
}
