//! Weights that are too large to compute with give no scores.

use runner::Status;
use serde_json::json;

use crate::fixture::{self, trial};
use crate::invariance::run;

#[test]
fn a_model_that_training_has_broken_has_diverged_and_has_no_scores() {
    let world = fixture::world();
    let of = |rate: f64, seed| {
        let method = json!({"name": "lora", "rank": 4, "alpha": 8.0, "learning_rate": {"angles": rate}});
        trial(world.path(), method, seed)
    };
    let rates = [1e-3, 1e10, 1e12, 1e15, 1e20, 1e30];
    let (outcomes, _) = run(&rates.iter().zip(1..).map(|(&rate, seed)| of(rate, seed)).collect::<Vec<_>>());
    for (rate, outcome) in rates.iter().zip(&outcomes) {
        if *rate < 1.0 {
            assert_eq!(outcome.status, Status::Done);
            assert!(outcome.metrics.contains_key("average"));
            continue;
        }
        let Status::Diverged { step, reason: Some(reason) } = &outcome.status else {
            panic!("a rate of {rate}: {:?} with {:?}", outcome.status, outcome.metrics);
        };
        assert!(
            *step <= 6 && (reason.contains("cannot be scored") || reason.contains("gradient")),
            "{reason}"
        );
        let scored: Vec<_> = outcome.metrics.keys().filter(|name| !KNOWN.contains(&name.as_str())).collect();
        assert!(scored.is_empty(), "a rate of {rate}: {scored:?}");
    }
}

/// Metrics that are no scores.
const KNOWN: [&str; 4] = ["num_parameters", "mean_distance", "train_loss", "test_loss"];
