//! Weights that are too large to compute with give no scores.

use std::path::Path;

use finetune::testing::run_bank;
use runner::{Outcome, Status};
use serde_json::{Value, json};

use crate::SubjectDriven;
use crate::subject::subjects;

pub(crate) fn config(method: &str, rate: f64) -> Value {
    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini");
    let subject = subjects::list(&mini.join("subjects/dataset")).unwrap().remove(0);
    let method = match method {
        "none" => json!({"name": "none"}),
        _ => json!({"name": method, "rank": 4, "alpha": 8.0, "learning_rate": {"angles": rate}}),
    };
    json!({
        "method": method, "seed": 1, "subject": subject, "identifier": "qwe",
        "model": mini.join("sd"), "data": mini.join("subjects/dataset"),
        "evaluators": {"dino": mini.join("dino"), "clip": mini.join("clip")},
        "resolution": 64, "train_steps": 3, "batch": 1, "evaluate_at": [2, 3], "first_prompts": 1,
        "sampling": {"steps": 2, "guidance_scale": 4.0}, "pictures_per_prompt": 2,
        "bank": 8, "tracked_layer": "mid_block.attentions.0.transformer_blocks.0.attn2.to_k", "track_every": 3,
    })
}

fn run(configs: &[Value]) -> Vec<Outcome> {
    let folder = tempfile::tempdir().unwrap();
    run_bank(&SubjectDriven::new(String::new()), configs, folder.path(), (u64::MAX, false)).unwrap()
}

#[test]
fn a_model_that_training_has_broken_has_diverged_with_metric_and_step() {
    let rates = [1e-3, 1e10, 1e15, 1e20, 1e30];
    let outcomes = run(&rates.map(|rate| config("lora", rate)));
    assert_eq!(outcomes[0].status, Status::Done);
    assert!(outcomes[0].metrics.contains_key("dino"));
    for (rate, outcome) in rates.iter().zip(&outcomes).skip(1) {
        let Status::Diverged { step, reason: Some(reason) } = &outcome.status else {
            panic!("a rate of {rate}: {:?} with {:?}", outcome.status, outcome.metrics);
        };
        assert!(*step <= 3 && (reason.contains("`dino` cannot") || reason.contains("gradient")), "{reason}");
    }
    assert_eq!(run(&[config("none", 0.0)])[0].status, Status::Done);
}
