//! A trial that was to be trained and was not is found out, whatever kept the training from it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use delora_core::{Bank, Untrained};
use serde_json::Map;

use crate::network::{Network, cases, pair, trial};

const RANK: i64 = 2;

/// Slots of `bank` that train something.
fn with_parameters(bank: &Bank) -> Vec<usize> {
    (0..bank.num_trials()).filter(|&slot| bank.num_parameters(slot) > 0).collect()
}

#[test]
fn every_method_counts_as_untrained_until_its_first_update_and_as_trained_after_it() {
    let network = Network::new(12, 16, 1);
    for (method, settings) in cases(RANK) {
        let mut bank = network.bank(&pair(method, &settings, 0.01));
        let trained = with_parameters(&bank);
        let expected = if trained.is_empty() { None } else { Some(Untrained::NoGradient) };
        assert_eq!(bank.untrained(), vec![expected; 2], "{}", method.name());
        network.train(&mut bank, 3);
        assert_eq!(bank.untrained(), [None, None], "{}", method.name());
    }
}

#[test]
fn a_rate_below_what_32_bits_resolve_leaves_a_trial_where_it_was() {
    let network = Network::new(12, 16, 1);
    let (method, settings) = (delora_core::find_method("full").unwrap(), Map::new());
    let trials = [trial(method, &settings, 1e-20, 1), trial(method, &settings, 0.01, 2)];
    let mut bank = network.bank(&trials);
    network.train(&mut bank, 3);
    let found = bank.untrained();
    let of_trial = |index: usize| found[crate::network::slot_of(&bank, index)];
    assert_eq!([of_trial(0), of_trial(1)], [Some(Untrained::NotMoved), None]);
}

#[test]
fn losses_that_need_no_gradient_are_refused_by_a_bank_that_trains() {
    let network = Network::new(12, 16, 1);
    for (method, settings) in cases(RANK) {
        let mut bank = network.bank(&pair(method, &settings, 0.01));
        let losses = gradient_mode::off(|| network.losses(&bank, 0, |input| input.shallow_clone()));
        let trains = !with_parameters(&bank).is_empty();
        let accumulated = catch_unwind(AssertUnwindSafe(|| bank.accumulate(&losses)));
        assert_eq!(accumulated.is_err(), trains, "{}", method.name());
        if let Err(panic) = accumulated {
            let message = panic.downcast_ref::<String>().unwrap();
            assert!(message.contains("the losses do not depend on what the bank trains"), "{message}");
        }
    }
}
