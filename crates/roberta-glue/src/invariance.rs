//! On the shipped encoder: a trial's result does not depend on its bank, on passes, or on an interruption.

use finetune::testing::{self, assert_goes_on, losses, run_bank, with};
use runner::{Outcome, Status};
use serde_json::{Value, json};

use crate::Glue;
use crate::settings::tests::{config, lora};

pub(crate) fn run(configs: &[Value]) -> Vec<Outcome> {
    let folder = tempfile::tempdir().unwrap();
    run_bank(&Glue::new(String::new()), configs, folder.path(), (u64::MAX, false)).unwrap()
}

fn assert_alike(left: &Outcome, right: &Outcome, what: &str) {
    testing::assert_alike(left, right, what, (["score", "validation_score", "best_epoch"], 1e-4));
}

fn bank() -> Vec<Value> {
    let dropout = json!({"model": 0.1, "head": 0.2, "adapter": 0.1});
    let delora = json!({"name": "delora", "rank": 4, "lambda": 4.0,
        "learning_rate": {"angles": 1e-2, "strength": 1e-2, "head": 2e-3}});
    let houlsby = json!({"name": "adapter_houlsby", "learning_rate": {"weight": 1e-3, "head": 2e-3}});
    let loreft = json!({"name": "loreft", "rank": 1, "first_tokens": 2, "learning_rate": {"angles": 1e-3, "head": 2e-3}});
    let full = json!({"name": "full", "learning_rate": {"weight": 1e-4, "head": 2e-3}});
    let wild =
        json!({"name": "lora", "rank": 4, "alpha": 8.0, "learning_rate": {"angles": 1e30, "head": 1e30}});
    let none = json!({"name": "none", "learning_rate": {"head": 2e-3}});
    let own = |(method, seed): (Value, u64)| with(config(method, "mrpc", seed), "dropout", dropout.clone());
    let mut bank: Vec<Value> =
        [(wild, 1), (lora(), 2), (delora, 3), (houlsby, 4), (loreft, 5), (full, 6), (none, 7)]
            .into_iter()
            .map(own)
            .collect();
    bank.push(with(config(lora(), "mrpc", 8), "dropout", json!({"model": 0.0})));
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
        let losses = losses(&alone[0]);
        assert_ne!(losses[0], losses[losses.len() - 1], "{name}");
    }
}

#[test]
fn results_do_not_depend_on_the_tokens_that_pass_at_once() {
    let dropout = json!({"model": 0.1, "adapter": 0.1});
    for task in ["mrpc", "stsb"] {
        let whole = with(config(lora(), task, 3), "dropout", dropout.clone());
        let parts = with(whole.clone(), "tokens_per_pass", json!(40));
        assert_alike(&run(&[whole])[0], &run(&[parts])[0], task);
    }
}

#[test]
fn an_interrupted_bank_goes_on_to_the_same_results() {
    let folder = tempfile::tempdir().unwrap();
    assert_goes_on(&Glue::new(String::new()), &bank()[1..4], folder.path()).unwrap();
}

#[test]
fn scores_are_of_the_test_half_at_the_best_epoch_and_seeds_have_their_own_halves() {
    let outcomes = run(&[config(lora(), "sst2", 42), config(lora(), "sst2", 43)]);
    for outcome in &outcomes {
        assert_eq!(outcome.metrics["score"], outcome.metrics["accuracy"]);
        let counted: f64 = outcome
            .metrics
            .iter()
            .filter(|(name, _)| name.starts_with("confusion_"))
            .map(|(_, count)| count)
            .sum();
        assert_eq!(counted, 24.0, "the test half is cut to `test_limit`");
        assert!((1.0..=2.0).contains(&outcome.metrics["best_epoch"]));
    }
    assert_ne!(losses(&outcomes[0]), losses(&outcomes[1]));
    assert_eq!(outcomes[0].curves.iter().filter(|point| point.metric == "mean_distance").count(), 2);
}
