//! What each trial of an experiment that tunes is for, and what has been chosen.

use std::collections::BTreeMap;

use crate::experiments::Grid;
use crate::workload::Trial;

/// What a trial is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Tuning,
    /// Also of a trial that is for both.
    Test,
}

impl Phase {
    /// The word in `trials.csv`.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Tuning => "tuning",
            Phase::Test => "test",
        }
    }
}

/// A compared point with something to choose.
#[derive(Clone, Debug)]
pub struct TunedPoint {
    /// The compared settings, as in "method=lora subject=dog".
    pub name: String,
    /// Trials that choose, and those of them that failed.
    pub trials: usize,
    pub failed: usize,
    /// What was chosen and why, once every trial has a result.
    pub chosen: Option<String>,
    /// Trials that the choice will add; those of the first combination, since it is not known which.
    pub later: Vec<Trial>,
}

/// The trials that are known to be needed, given the results so far.
#[derive(Clone, Debug)]
pub(crate) struct Phased {
    pub grid: Grid,
    /// Phase of each trial by its id; empty without tuning.
    pub phases: BTreeMap<String, Phase>,
    pub points: Vec<TunedPoint>,
    /// Why nothing can be chosen: no tuning trial has measured the metric.
    pub unmeasured: Option<String>,
}

impl Phased {
    pub fn phase(&self, trial: &Trial) -> Option<Phase> {
        self.phases.get(&trial.id).copied()
    }

    pub fn num_chosen(&self) -> usize {
        self.points.iter().filter(|point| point.chosen.is_some()).count()
    }
}
