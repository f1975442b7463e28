//! Weights that are too large to compute with give no scores.

use runner::Status;
use serde_json::json;

use crate::invariance::run;
use crate::settings::tests::config;

#[test]
fn a_model_that_training_has_broken_has_diverged_and_has_no_scores() {
    let of = |rate: f64, seed| {
        let rates = json!({"angles": rate, "head": 2e-3});
        config(json!({"name": "lora", "rank": 4, "alpha": 8.0, "learning_rate": rates}), seed)
    };
    let rates = [1e-3, 1e10, 1e15, 1e20, 1e30];
    let outcomes = run(&rates.iter().zip(1..).map(|(&rate, seed)| of(rate, seed)).collect::<Vec<_>>());
    assert_eq!(outcomes[0].status, Status::Done);
    for (rate, outcome) in rates.iter().zip(&outcomes).skip(1) {
        let Status::Diverged { step, reason: Some(reason) } = &outcome.status else {
            panic!("at a rate of {rate}: {:?} with {:?}", outcome.status, outcome.metrics);
        };
        assert!(*step <= 6 && (reason.contains("`score` cannot") || reason.contains("gradient")), "{reason}");
        assert!(!outcome.metrics.contains_key("score"), "at a rate of {rate}");
    }
}
