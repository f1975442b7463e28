//! A trial's identity follows every file that its task opens: model, evaluators, pictures, label maps.

use std::path::Path;

use anyhow::Result;
use finetune::testing::{copy_folder, unnoticed};
use image::{GrayImage, RgbImage};
use runner::Workload;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::semantic;
use crate::subject::{subjects, world};
use crate::{SemanticMap, Settings, SubjectDriven};

const LAYER: &str = "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj";

/// A copy of the mini models, two pictures of a subject, and two pairs of a picture and a label map for each split.
fn copies() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini");
    for name in ["sd", "dino", "clip", "segmenter", "condition"] {
        copy_folder(&mini.join(name), &folder.path().join(name)).unwrap();
    }
    let pictures = folder.path().join("pictures");
    std::fs::create_dir(&pictures).unwrap();
    let subject = folder.path().join("mine");
    std::fs::create_dir(&subject).unwrap();
    for name in ["one.png", "two.jpg"] {
        RgbImage::new(64, 64).save(subject.join(name)).unwrap();
    }
    for split in ["training", "validation"] {
        let mut lines = String::new();
        for index in 0..2u8 {
            let (picture, mask) = (format!("{split}{index}.png"), format!("{split}{index}-map.png"));
            RgbImage::from_pixel(64, 64, image::Rgb([index; 3])).save(pictures.join(&picture)).unwrap();
            GrayImage::new(64, 64).save(pictures.join(&mask)).unwrap();
            lines += &format!("{}\n", json!({"image": picture, "mask": mask, "caption": "a"}));
        }
        std::fs::write(pictures.join(format!("{split}.jsonl")), lines).unwrap();
    }
    folder
}

fn subject_driven(folder: &Path) -> Value {
    json!({
        "method": {"name": "none"}, "seed": 0, "identifier": "qwe",
        "subject": {"name": "mine", "class": "cat", "folder": folder.join("mine")},
        "model": folder.join("sd"), "data": folder.join("pictures"),
        "evaluators": {"dino": folder.join("dino"), "clip": folder.join("clip"), "clip_b32": folder.join("clip")},
        "resolution": 64, "train_steps": 1, "batch": 1,
        "sampling": {"steps": 2, "guidance_scale": 4.0}, "pictures_per_prompt": 1,
        "bank": 1, "tracked_layer": LAYER, "track_every": 1,
    })
}

fn semantic_map(folder: &Path) -> Value {
    json!({
        "method": {"name": "lora", "rank": 4, "alpha": 8.0, "learning_rate": {"angles": 1e-3}},
        "seed": 0, "model": folder.join("sd"), "data": folder.join("pictures"),
        "condition_encoder": {
            "channels": [16, 32, 64], "pretrained": folder.join("condition"), "learning_rate": 1e-2,
        },
        "evaluators": {"segmenter": folder.join("segmenter"), "features": folder.join("dino")},
        "resolution": 64, "epochs": 1, "batch": 1, "sampling": {"steps": 2, "guidance_scale": 3.0},
        "bank": 1, "tracked_layer": LAYER, "track_every": 1,
    })
}

/// Every file of `named`, between which there are spaces, is opened, and none that is opened may change without a new
/// identity.
fn assert_follows<T>(
    folder: &Path,
    named: &str,
    load: impl FnOnce() -> Result<T>,
    digest: impl Fn() -> Result<String>,
) {
    let (opened, unnoticed) = unnoticed(load, digest).unwrap();
    assert_eq!(unnoticed, [""; 0], "these change without a new identity");
    for name in named.split(' ') {
        let path = folder.join(name).display().to_string();
        assert!(opened.contains(&path), "{name} is not opened, but {opened:?}");
    }
}

const DIFFUSION: &str = "sd/scheduler/scheduler_config.json sd/unet/config.json \
    sd/unet/diffusion_pytorch_model.safetensors sd/vae/config.json sd/vae/diffusion_pytorch_model.safetensors \
    sd/text_encoder/config.json sd/text_encoder/model.safetensors dino/config.json";

#[test]
fn a_subjects_trial_is_another_after_a_change_of_any_file_that_it_opens() {
    let folder = copies();
    let config = subject_driven(folder.path());
    let settings = Settings::read(&config).unwrap();
    let load = || Ok((world::World::load(&settings)?, subjects::originals(&subjects::folder(&settings))?));
    let others = "dino/preprocessor_config.json clip/config.json clip/preprocessor_config.json mine/two.jpg";
    assert_follows(folder.path(), &format!("{DIFFUSION} {others}"), load, || {
        SubjectDriven::new(String::new()).validate(&config)
    });
}

#[test]
fn a_label_maps_trial_is_another_after_a_change_of_any_file_that_it_opens() {
    let folder = copies();
    let config = semantic_map(folder.path());
    let settings = semantic::Settings::read(&config).unwrap();
    let load = || {
        let world = semantic::World::load(&settings)?;
        let corpus = semantic::Corpus::load(&world, &settings, true)?;
        drop(corpus.labels(&corpus.validation)?);
        corpus.labels(&corpus.training)
    };
    let others = "segmenter/model.safetensors pictures/training0.png pictures/validation1-map.png \
        pictures/training.jsonl dino/preprocessor_config.json";
    assert_follows(folder.path(), &format!("{DIFFUSION} {others}"), load, || {
        SemanticMap::new(String::new()).validate(&config)
    });
}
