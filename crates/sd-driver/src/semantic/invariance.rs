//! The claim of the trial axis for this task, on the shipped models: adapters and condition encoders of a trial do not
//! depend on its bank, nor on whether activations are recomputed; and a run from files to outcomes.

use std::path::{Path, PathBuf};

use delora_core::{Bank, TENSOR_VALUE};
use finetune::testing::{Silent, run_bank};
use finetune::{Lesson as _, Slot};
use image::{GrayImage, Luma, Rgb, RgbImage};
use runner::{Outcome, Status, Workload};
use serde_json::{Value, json};
use tch::Tensor;

use super::corpus::Corpus;
use super::lesson::{Lesson, place_encoders, sites};
use super::settings::{Settings, trial_of};
use super::workload::SemanticMap;
use super::world::World;

const LAYER: &str = "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj";
const ENCODED: &str = "condition_encoder.conv_out.weight";

/// Five training pairs and three to validate: a square of one class on another, in colours that follow the classes.
fn pairs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (split, count) in [("training", 5u32), ("validation", 3)] {
        let mut lines = String::new();
        for index in 0..count {
            let label = |x: u32, y: u32| {
                let inside = (8 + 4 * index..40).contains(&x) && (16..48).contains(&y);
                if inside { 1 + index } else { 20 + index }
            };
            let color = |label: u32| [label * 6, 255 - label * 5, label * label % 251].map(|part| part as u8);
            let picture = RgbImage::from_fn(64, 64, |x, y| Rgb(color(label(x, y))));
            let mask = GrayImage::from_fn(64, 64, |x, y| Luma([label(x, y) as u8]));
            picture.save(folder.path().join(format!("{split}{index}.png"))).unwrap();
            mask.save(folder.path().join(format!("{split}{index}-map.png"))).unwrap();
            let (image, mask) = (format!("{split}{index}.png"), format!("{split}{index}-map.png"));
            lines += &format!("{}\n", json!({"image": image, "mask": mask, "caption": "a photo of a vase"}));
        }
        std::fs::write(folder.path().join(format!("{split}.jsonl")), lines).unwrap();
    }
    folder
}

fn mini(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini").join(name)
}

fn config(data: &Path, method: Value, seed: u64) -> Value {
    json!({
        "method": method, "seed": seed, "model": mini("sd"), "data": data,
        "condition_encoder": {"channels": [4, 6, 8], "learning_rate": 1e-2},
        "evaluators": {"segmenter": mini("segmenter"), "features": mini("dino")},
        "resolution": 64, "epochs": 3, "batch": 2, "sampling": {"steps": 2, "guidance_scale": 3.0},
        "bank": 8, "tracked_layer": LAYER, "track_every": 4,
    })
}

fn delora() -> Value {
    json!({"name": "delora", "rank": 4, "lambda": 4.0, "learning_rate": {"angles": 1e-2, "strength": 1e-2}})
}

fn lora(rate: f64) -> Value {
    json!({"name": "lora", "rank": 4, "alpha": 8.0, "learning_rate": {"angles": rate}})
}

/// Trains a bank; gives a merged weight, a weight of the encoder, and the divergence of each trial, in the order given.
fn train(world: &World, corpus: &Corpus, settings: &[Settings]) -> Vec<(Tensor, Tensor, Option<u64>)> {
    let trials: Vec<_> = settings.iter().map(trial_of).collect();
    let mut bank = Bank::new(&sites(world, &settings[0]), &trials, world.device).unwrap();
    place_encoders(&mut bank, world, &settings[0]).unwrap();
    let order = bank.order().to_vec();
    let slot = |&trial: &usize| Slot { id: "", settings: &settings[trial], is_done: false };
    let slots = order.iter().map(slot).collect();
    let mut lesson = Lesson::new(world, corpus, slots, Path::new(""), &Silent);
    assert_eq!(lesson.total_steps(), 9, "three epochs of two, two and one pairs");
    for step in 0..lesson.total_steps() {
        let _ = lesson.update(&mut bank, step).unwrap();
    }
    let health = bank.health();
    let of_trial = |trial: usize| {
        let slot = order.iter().position(|&own| own == trial).unwrap();
        let encoder = bank.parameter(ENCODED, slot, TENSOR_VALUE).unwrap();
        (bank.merged(LAYER, slot).unwrap(), encoder, health[slot])
    };
    (0..settings.len()).map(of_trial).collect()
}

#[test]
fn a_trial_alone_equals_itself_in_a_mixed_bank_beside_one_that_diverges() {
    let data = pairs();
    let rows: [(Value, u64); 5] = [
        (lora(1e30), 0),
        (delora(), 1),
        (json!({"name": "encoder_only"}), 2),
        (lora(1e-3), 3),
        (delora(), 4),
    ];
    let read = |(method, seed): &(Value, u64)| config(data.path(), method.clone(), *seed);
    let settings: Vec<Settings> = rows.iter().map(|row| Settings::read(&read(row)).unwrap()).collect();
    let world = World::load(&settings[0]).unwrap();
    let corpus = Corpus::load(&world, &settings[0], true).unwrap();
    let together = train(&world, &corpus, &settings);
    assert!(together[0].2.is_some(), "a learning rate of 1e30 has to diverge");
    let pretrained = &together[2].0;
    let distance = |left: &Tensor, right: &Tensor| f64::try_from((left - right).abs().max()).unwrap();
    for trial in [1, 2, 3] {
        let alone = &train(&world, &corpus, std::slice::from_ref(&settings[trial]))[0];
        let (method, seed) = &rows[trial];
        let mut recomputed = config(data.path(), method.clone(), *seed);
        recomputed["checkpointing"] = json!(true);
        let recomputed = &train(&world, &corpus, &[Settings::read(&recomputed).unwrap()])[0];
        let differences = [&together[trial], recomputed]
            .map(|other| [distance(&alone.0, &other.0), distance(&alone.1, &other.1)])
            .concat();
        println!(
            "{}: alone against in the bank, and recomputed {differences:?}",
            settings[trial].common.method.name
        );
        assert!(differences.iter().all(|difference| *difference < 1e-4), "{differences:?}");
        // The encoder's last layer starts at zero and has learnt; so has the method.
        assert!(f64::try_from(alone.1.abs().max()).unwrap() > 1e-2);
        assert!(trial == 2 || distance(&alone.0, pretrained) > 1e-3);
        assert_eq!(together[trial].2, None);
    }
    assert!(distance(&together[1].1, &together[4].1) > 1e-3, "encoders of two seeds are two");
}

#[test]
fn a_run_gives_every_row_its_scores_and_names_what_is_wrong() {
    let (data, out) = (pairs(), tempfile::tempdir().unwrap());
    let run = |methods: &[Value]| -> anyhow::Result<Vec<Outcome>> {
        let workload = SemanticMap::new(String::new());
        let configs = methods.iter().zip(0..).map(|(method, seed)| config(data.path(), method.clone(), seed));
        let configs: Vec<Value> = configs.collect();
        configs.iter().try_for_each(|config| workload.validate(config).map(drop))?;
        let (checkpoints, artifacts) = (tempfile::tempdir()?, out.path());
        let outcomes = run_bank(&workload, &configs, checkpoints.path(), (u64::MAX, false))?;
        for entry in std::fs::read_dir(checkpoints.path())? {
            let path = entry?.path();
            std::fs::rename(&path, artifacts.join(path.file_name().unwrap()))?;
        }
        Ok(outcomes)
    };
    let untrained = ["real_images", "none"].map(|name| vec![json!({ "name": name })]);
    let banks = untrained.into_iter().chain([vec![delora(), json!({"name": "encoder_only"})]]);
    for outcome in &banks.flat_map(|bank| run(&bank).unwrap()).collect::<Vec<_>>() {
        assert_eq!(outcome.status, Status::Done, "{}", outcome.trial_id);
        for metric in ["miou", "accuracy", "fid"] {
            assert!(outcome.metrics[metric].is_finite(), "{metric} of {}", outcome.trial_id);
        }
        let sheet = image::open(out.path().join(&outcome.artifacts["pictures"])).unwrap();
        assert_eq!((sheet.width(), sheet.height()), (5 * 64, 64), "three pictures in a row of five");
    }
    for file in ["label-maps.png", "prompts-validation.txt"] {
        assert!(out.path().join(file).is_file(), "{file}");
    }
    std::fs::write(data.path().join("training1-map.png"), "no picture").unwrap();
    let error = format!("{:#}", run(&[delora()]).unwrap_err());
    assert!(error.contains("training1-map.png: is no label map"), "{error}");
    std::fs::remove_file(data.path().join("training2.png")).unwrap(); // told before any map is read
    let error = format!("{:#}", run(&[delora()]).unwrap_err());
    assert!(error.contains("training2.png: cannot be read"), "{error}");
}
