//! Whole trials: finetuning, choosing the best epoch and testing, as PEFT and transformers do.

use std::path::{Path, PathBuf};

use finetune::testing::run_bank;
use roberta_glue::Glue;
use runner::Outcome;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Rounding, over 50 steps of AdamW, relative to a loss of 1 or the loss itself where it is larger.
const LOSS_TOLERANCE: f64 = 2e-5;
/// Correlations follow the predictions' last digits; an accuracy would move by a row, which is 0.01 or more.
const SCORE_TOLERANCE: f64 = 2e-5;

#[derive(Deserialize)]
struct Golden {
    cases: Map<String, Value>,
}

#[derive(Deserialize)]
struct Case {
    config: Value,
    losses: Vec<f64>,
    score: f64,
    validation_score: f64,
    best_epoch: f64,
}

fn train(mut config: Value) -> Outcome {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for folder in ["model", "data"] {
        let inside = PathBuf::from(config[folder].as_str().unwrap());
        config[folder] = json!(root.join(inside));
    }
    let folder = tempfile::tempdir().unwrap();
    run_bank(&Glue::new(String::new()), &[config], folder.path(), (u64::MAX, false)).unwrap().remove(0)
}

#[test]
fn with_equal_draws_of_dropout_lora_and_delora_from_a_zero_b_have_pefts_losses_scores_and_best_epochs() {
    let golden: Golden = super::read(&super::golden("training.json"));
    for (name, case) in golden.cases {
        let case: Case = serde_json::from_value(case).unwrap();
        let outcome = train(case.config);
        let losses = outcome.curves.iter().filter(|point| point.metric == "loss").map(|point| point.value);
        let losses: Vec<f64> = losses.collect();
        assert_eq!(losses.len(), case.losses.len(), "{name}");
        let mut largest = 0f64;
        for (step, (ours, theirs)) in losses.iter().zip(&case.losses).enumerate() {
            let gap = (ours - theirs).abs() / theirs.max(1.0);
            largest = largest.max(gap);
            assert!(gap < LOSS_TOLERANCE, "{name}, step {step}: {ours}, not {theirs}");
        }
        println!("{name}: losses differ by at most {largest:.1e}");
        for (metric, expected) in [
            ("score", case.score),
            ("validation_score", case.validation_score),
            ("best_epoch", case.best_epoch),
        ] {
            let ours = outcome.metrics[metric];
            assert!((ours - expected).abs() < SCORE_TOLERANCE, "{name}: {metric} {ours}, not {expected}");
        }
    }
}
