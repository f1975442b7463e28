//! Scores are made of finite numbers alone; a trial that gives others has diverged.
//!
//! A mean hands NaN on, but a comparison hides it: the largest of NaN is the first, and a rank of NaN is some rank. So
//! whatever compares takes [`Finite`], and what cannot be made so is [`Broken`] for its slot.

use std::collections::BTreeMap;
use std::ops::Deref;

use runner::{Outcome, Status};
use serde::{Deserialize, Serialize};

/// Why a metric has no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("`{metric}` cannot be scored: {found}")]
pub struct NotFinite {
    pub metric: String,
    /// What was found, as in "a log-likelihood is NaN".
    pub found: String,
}

impl NotFinite {
    pub fn new(metric: &str, found: impl Into<String>) -> NotFinite {
        NotFinite { metric: metric.to_owned(), found: found.into() }
    }

    /// Activations are so large that a norm makes zeros of them: what comes behind is finite and says nothing.
    pub fn overflow(metric: &str) -> NotFinite {
        NotFinite::new(metric, "activations are NaN, or too large for the norms of the network")
    }
}

/// Numbers that are all finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Finite(Vec<f64>);

impl Finite {
    /// Errors: the first of `values` that is not finite; `metric` is what would be made of them, `what` is one of them.
    pub fn new(values: Vec<f64>, metric: &str, what: &str) -> Result<Finite, NotFinite> {
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(NotFinite::new(metric, format!("{what} is {value}"))),
            None => Ok(Finite(values)),
        }
    }

    /// Places of the highest of the values: several where they tie.
    pub fn highest(&self) -> Vec<usize> {
        let highest = self.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (0..self.len()).filter(|&place| self[place] == highest).collect()
    }
}

impl Deref for Finite {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        &self.0
    }
}

/// For each slot of a bank that has one: the first metric without a value, and the step at which that was seen.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Broken(BTreeMap<usize, (u64, NotFinite)>);

impl Broken {
    /// Notes what is wrong at `step`, unless something was before.
    pub fn note(&mut self, slot: usize, step: u64, error: NotFinite) {
        self.0.entry(slot).or_insert((step, error));
    }

    /// What was scored; nothing where that is an error, which is noted.
    pub fn told<T: Default>(&mut self, slot: usize, step: u64, scored: Result<T, NotFinite>) -> T {
        scored.unwrap_or_else(|error| {
            self.note(slot, step, error);
            T::default()
        })
    }

    /// Forgets what was seen after `steps`.
    pub fn truncate(&mut self, steps: u64) {
        self.0.retain(|_, (step, _)| *step <= steps);
    }
}

/// What decides how the trial of a slot has ended.
pub struct End<'a> {
    pub slot: usize,
    /// Whether the trial trains: what breaks without training is a fault of weights or data.
    pub trains: bool,
    /// Steps that were made.
    pub steps: u64,
    /// What the bank says of it, see [`statuses`](crate::statuses).
    pub trained: &'a Status,
    pub broken: &'a Broken,
}

impl End<'_> {
    /// Sets the status of an outcome whose metrics are complete, and takes those away that are not finite.
    pub fn conclude(&self, outcome: &mut Outcome) {
        let metric = outcome.metrics.iter().find(|(_, value)| !value.is_finite());
        let metric = metric.map(|(name, value)| (self.steps, NotFinite::new(name, format!("it is {value}"))));
        let broken = self.broken.0.get(&self.slot).cloned().or(metric);
        outcome.status = match (self.trained, broken) {
            (Status::Done, Some((step, error))) if self.trains => Status::diverged(step, error.to_string()),
            (Status::Done, Some((_, error))) => {
                Status::Failed { message: format!("nothing was trained, and {error}") }
            }
            (trained, _) => trained.clone(),
        };
        outcome.metrics.retain(|_, value| value.is_finite());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(trains: bool, trained: &Status, broken: &Broken, score: f64) -> Outcome {
        let mut outcome = Outcome::new("a", Status::Done);
        outcome.metrics = [("mean_distance".to_owned(), 2.0), ("score".to_owned(), score)].into();
        End { slot: 1, trains, steps: 40, trained, broken }.conclude(&mut outcome);
        outcome
    }

    fn broken() -> Broken {
        let mut broken = Broken::default();
        let error = |found: &str| NotFinite::new("mc1", found);
        broken.note(0, 5, error("of a neighbour"));
        broken.note(1, 20, error("a log-likelihood is NaN"));
        broken.note(1, 30, error("later"));
        broken
    }

    #[test]
    fn a_trained_trial_whose_metric_is_not_finite_has_diverged_with_metric_and_step() {
        assert_eq!(ended(true, &Status::Done, &Broken::default(), 0.5).status, Status::Done);
        let outcome = ended(true, &Status::Done, &Broken::default(), f64::NAN);
        assert_eq!(outcome.status, Status::diverged(40, "`score` cannot be scored: it is NaN"));
        assert_eq!(outcome.metrics.keys().collect::<Vec<_>>(), ["mean_distance"]);
        let seen = ended(true, &Status::Done, &broken(), 0.5).status;
        assert_eq!(seen, Status::diverged(20, "`mc1` cannot be scored: a log-likelihood is NaN"));
        let mut resumed = broken();
        resumed.truncate(10);
        assert_eq!(ended(true, &Status::Done, &resumed, 0.5).status, Status::Done);
    }

    #[test]
    fn weights_that_break_first_say_the_step_and_an_untrained_trial_has_failed() {
        for known in [Status::diverged(3, "the loss"), Status::Failed { message: "not trained".to_owned() }] {
            assert_eq!(ended(true, &known, &broken(), f64::NAN).status, known);
        }
        let message = "nothing was trained, and `mc1` cannot be scored: a log-likelihood is NaN".to_owned();
        assert_eq!(ended(false, &Status::Done, &broken(), 0.5).status, Status::Failed { message });
    }

    #[test]
    fn only_finite_numbers_are_compared_and_ties_are_all_named() {
        let finite = |values: &[f64]| Finite::new(values.to_vec(), "mc1", "a log-likelihood");
        for (value, text) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf")] {
            let error = finite(&[-1.0, value]).unwrap_err().to_string();
            assert_eq!(error, format!("`mc1` cannot be scored: a log-likelihood is {text}"));
        }
        assert_eq!(finite(&[-2.0, -1.0, -3.0, -1.0]).unwrap().highest(), [1, 3]);
        assert_eq!(finite(&[-0.0, 0.0]).unwrap().highest(), [0, 1]);
    }
}
