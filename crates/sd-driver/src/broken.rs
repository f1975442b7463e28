//! Weights that are too large to compute with give no scores.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use runner::{BankContext, Outcome, Progress, Status, Trial, Workload};
use serde_json::{Value, json};

use crate::SubjectDriven;
use crate::subject;

struct Silent;

impl Progress for Silent {
    fn step(&self, _done: u64, _total: u64, _note: &str) {}
}

pub(crate) fn config(method: &str, rate: f64) -> Value {
    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini");
    let subject = subject::list(&mini.join("subjects/dataset")).unwrap().remove(0);
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
    let trial = |(index, config): (usize, &Value)| Trial { id: format!("{index}"), config: config.clone() };
    let trials: Vec<Trial> = configs.iter().enumerate().map(trial).collect();
    let context = BankContext {
        checkpoint_dir: folder.path().to_owned(),
        artifacts_dir: folder.path().to_owned(),
        done: &vec![false; trials.len()],
        stop: &AtomicBool::new(false),
        progress: &Silent,
        checkpoint_every: Duration::from_secs(3600),
        save_adapters: false,
        finished: &|_| {},
    };
    let mut outcomes = SubjectDriven::new(String::new()).run_bank(&trials, &context).unwrap();
    outcomes.sort_by(|left, right| left.trial_id.cmp(&right.trial_id));
    outcomes
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
