//! On the shipped transformer: a trial's result does not depend on its bank, on passes, or on an interruption.

use std::path::Path;

use finetune::testing::{self, assert_goes_on, losses, run_bank, with};
use runner::{Outcome, Status};
use serde_json::{Value, json};

use crate::ImageClassification;
use crate::settings::tests::{config, lora};

fn workload() -> ImageClassification {
    ImageClassification::new(String::new())
}

pub(crate) fn run(configs: &[Value]) -> Vec<Outcome> {
    run_bank(&workload(), configs, tempfile::tempdir().unwrap().path(), (u64::MAX, false)).unwrap()
}

fn assert_alike(left: &Outcome, right: &Outcome, what: &str) {
    testing::assert_alike(left, right, what, (["score", "mean_distance"], 1e-3));
}

/// A trial that diverges, one of each kind of method, and one without dropout.
fn bank() -> Vec<Value> {
    let wild =
        json!({"name": "lora", "rank": 4, "alpha": 8.0, "learning_rate": {"angles": 1e30, "head": 1e30}});
    let delora = json!({"name": "delora", "rank": 4, "lambda": 4.0,
        "learning_rate": {"angles": 1e-2, "strength": 1e-2, "head": 2e-3}});
    let houlsby = json!({"name": "adapter_houlsby", "learning_rate": {"weight": 1e-3, "head": 2e-3}});
    let loreft = json!({"name": "loreft", "rank": 1, "first_tokens": 2, "learning_rate": {"angles": 1e-3, "head": 2e-3}});
    let full = json!({"name": "full", "learning_rate": {"weight": 1e-4, "head": 2e-3}});
    let bitfit = json!({"name": "bitfit", "learning_rate": {"bias": 1e-3, "head": 2e-3}});
    let none = json!({"name": "none", "learning_rate": {"head": 2e-3}});
    let methods = [wild, lora(), delora, houlsby, loreft, full, bitfit, none];
    let dropped = |(method, seed)| with(config(method, seed), "dropout", json!({"adapter": 0.1}));
    let mut bank: Vec<Value> = methods.into_iter().zip(1..).map(dropped).collect();
    bank.push(config(lora(), 9));
    bank
}

#[test]
fn a_trial_alone_equals_itself_in_a_mixed_bank_with_dropout_beside_one_that_diverges() {
    let bank = bank();
    let together = run(&bank);
    assert!(matches!(together[0].status, Status::Diverged { .. }), "{:?}", together[0].status);
    for trial in 1..bank.len() {
        let alone = run(std::slice::from_ref(&bank[trial]));
        let name = bank[trial]["method"]["name"].as_str().unwrap();
        assert_alike(&alone[0], &together[trial], name);
        assert_eq!(together[trial].status, Status::Done);
        assert!((0.0..=1.0).contains(&together[trial].metrics["score"]));
        let losses = losses(&alone[0]);
        assert_ne!(losses[0], losses[losses.len() - 1], "{name}");
    }
}

#[test]
fn results_do_not_depend_on_the_pictures_that_pass_at_once() {
    let whole = with(config(lora(), 3), "dropout", json!({"adapter": 0.1}));
    let parts = with(whole.clone(), "pictures_per_pass", json!(3));
    assert_alike(&run(&[whole])[0], &run(&[parts])[0], "passes of three");
}

#[test]
fn an_interrupted_bank_goes_on_to_the_same_results() {
    assert_goes_on(&workload(), &bank()[1..4], tempfile::tempdir().unwrap().path()).unwrap();
}

#[test]
fn seeds_have_their_own_heads_and_orders_and_scores_can_be_read_on_the_way() {
    let with_steps = |seed| with(config(lora(), seed), "evaluate_at", json!([0, 3, 6]));
    let outcomes = run(&[with_steps(1), with_steps(2)]);
    assert_ne!(losses(&outcomes[0]), losses(&outcomes[1]));
    for outcome in &outcomes {
        let scored = outcome.curves.iter().filter(|point| point.metric == "score");
        assert_eq!(scored.map(|point| point.step).collect::<Vec<_>>(), [0, 3, 6]);
    }
    let late = with(config(lora(), 1), "evaluate_at", json!([7]));
    let error = run_bank(&workload(), &[late], Path::new("none"), (0, false));
    assert!(error.unwrap_err().to_string().contains("the training ends at step 6"));
}
