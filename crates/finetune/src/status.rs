//! How the trials of a trained bank ended.

use delora_core::Bank;
use runner::Status;

/// For each slot: diverged where a loss or gradient was not finite, failed where nothing was trained, else done.
pub fn statuses(bank: &Bank) -> Vec<Status> {
    let ended = bank.health().into_iter().zip(bank.untrained());
    ended
        .map(|(diverged_at, untrained)| match (diverged_at, untrained) {
            (Some(step), _) => Status::diverged(step, "the loss or a gradient is not finite"),
            (None, Some(reason)) => {
                Status::Failed { message: format!("the trial trained nothing: {reason}") }
            }
            (None, None) => Status::Done,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use delora_core::{Role, Site, TrialConfig};
    use serde_json::{Value, json};
    use tch::{Device, Kind, Tensor};

    use super::*;

    #[test]
    fn a_trial_is_failed_that_was_not_trained_diverged_if_not_finite_and_else_done() {
        let weight = Tensor::ones([4, 6], (Kind::Float, Device::Cpu));
        let trial = |seed: u64, name: &str, rates: Value| -> TrialConfig {
            let config = json!({"method": {"name": name}, "learning_rate": rates, "seed": seed});
            serde_json::from_value(config).unwrap()
        };
        let trials = [
            trial(1, "full", json!({"weight": 1e-2})),
            trial(2, "full", json!({"weight": 1e-30})),
            trial(3, "full", json!({"weight": 1e-2})),
            trial(4, "none", json!({})),
        ];
        let site = Site::linear("key", Role::Key, &weight, None);
        let mut bank = Bank::new(&[site], &trials, Device::Cpu).unwrap();
        let place = |trial: usize| bank.order().iter().position(|&own| own == trial).unwrap();
        let [good, tiny, spoilt, none] = [0, 1, 2, 3].map(place);
        let failed = |status: &Status| match status {
            Status::Failed { message } => message.clone(),
            other => panic!("{other:?}"),
        };
        let before = statuses(&bank);
        let message = "the trial trained nothing: no gradient has reached what it trains";
        assert_eq!(failed(&before[good]), message);
        assert_eq!(before[none], Status::Done, "it has nothing to train");
        let input = Tensor::ones([4, 2, 6], (Kind::Float, Device::Cpu));
        let output = bank.forward("key", &weight, None, &input);
        let losses = output.square().mean_dim([1i64, 2].as_slice(), false, Kind::Float);
        let factors: Vec<f32> = (0..4).map(|slot| if slot == spoilt { f32::NAN } else { 1.0 }).collect();
        bank.step(&(losses * Tensor::from_slice(&factors)));
        let after = statuses(&bank);
        assert_eq!(after[good], Status::Done);
        assert!(failed(&after[tiny]).contains("still as it was at the start"));
        assert_eq!(after[spoilt], Status::diverged(0, "the loss or a gradient is not finite"));
    }
}
