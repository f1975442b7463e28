//! Two phases: what is tuned is chosen with some seeds, then tested with all.
//!
//! ```toml
//! [tuning]
//! seeds = [42]
//! metric = "validation_score"
//! ```
//!
//! `first = { subject = 3 }` tunes on the first three of a replicated axis's values, and tests on all.
//!
//! A compared point with one combination of tuned settings has nothing to choose, and its trials have `seeds`. For any
//! other, every combination runs with the tuning seeds. Once all of these have a result, the best by `metric` is chosen,
//! in the experiment's direction and as `summary.csv` would, and runs with all `seeds`. A trial of both phases runs
//! once, and counts as a test.
//!
//! A tuning trial that failed has no result, so its point waits: a choice among the rest would not be the one that was
//! asked for. One that diverged has: it lost. Where all of them lost, the first is tested, so that the table shows it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::experiments::{Experiment, Grid, Tuning, cell, setting};
use crate::identity::float;
use crate::ledger::{Ledger, Row, records};
use crate::tables::phases::{Phase, Phased, TunedPoint};
use crate::tables::summary::{Point, compared_paths, grouped, tuned_paths};
use crate::workload::{Status, Trial};

/// The part of an experiment's whole grid that is needed, given the results that a ledger has.
pub(crate) fn phased_by(experiment: &Experiment, candidates: &Grid, ledger: &Ledger) -> Phased {
    let rows = if experiment.tuning.is_some() { records(candidates, ledger) } else { Vec::new() };
    phased(experiment, candidates, &rows)
}

/// The part of an experiment's whole grid that is needed; `rows` are the results of its trials so far.
pub(crate) fn phased(experiment: &Experiment, candidates: &Grid, rows: &[Row]) -> Phased {
    let Some(tuning) = &experiment.tuning else {
        let grid = candidates.clone();
        return Phased { grid, phases: BTreeMap::new(), points: Vec::new(), unmeasured: None };
    };
    let rows: BTreeMap<&str, &Row> = rows.iter().map(|row| (row.0.id.as_str(), row)).collect();
    let (compared, tuned) = (compared_paths(experiment, candidates), tuned_paths(candidates));
    let points: Vec<Vec<Vec<&Trial>>> = grouped(&candidates.trials.iter().collect::<Vec<_>>(), &compared)
        .iter()
        .map(|trials| grouped(trials, &tuned))
        .collect();
    let tuners = Tuners::new(tuning, candidates);
    let unmeasured = unmeasured(tuning, &tuners, &points, &rows);
    let mut phases = BTreeMap::new();
    let mut found = Vec::new();
    for combinations in &points {
        let tested = if combinations.len() == 1 {
            Some(0)
        } else {
            let choice =
                Choice { experiment, tuning, tuners: &tuners, candidates, combinations, rows: &rows };
            phases.extend(choice.trials().map(|trial| (trial.id.clone(), Phase::Tuning)));
            let best = if unmeasured.is_some() { None } else { choice.best() };
            found.push(choice.point(&compared, &tuned, best));
            best
        };
        let tested = tested.into_iter().flat_map(|index| with_seeds(&combinations[index], &experiment.seeds));
        phases.extend(tested.map(|trial| (trial.id.clone(), Phase::Test)));
    }
    let trials = candidates.trials.iter().filter(|trial| phases.contains_key(&trial.id)).cloned();
    let grid = Grid { trials: Arc::new(trials.collect()), ..candidates.clone() };
    Phased { grid, phases, points: found, unmeasured }
}

/// Which trials tune: their seeds, and what else they may have.
struct Tuners<'a> {
    seeds: &'a [u64],
    /// Values of each axis of which only the first tune.
    values: Vec<(&'a str, Vec<&'a Value>)>,
}

impl<'a> Tuners<'a> {
    fn new(tuning: &'a Tuning, candidates: &'a Grid) -> Self {
        let first = |(axis, &count): (&'a String, &usize)| {
            let mut values: Vec<&Value> = Vec::new();
            for value in candidates.trials.iter().filter_map(|trial| setting(trial, axis)) {
                if values.len() < count && !values.contains(&value) {
                    values.push(value);
                }
            }
            (axis.as_str(), values)
        };
        Self { seeds: &tuning.seeds, values: tuning.first.iter().map(first).collect() }
    }

    fn of_trials<'t>(&self, trials: &[&'t Trial]) -> Vec<&'t Trial> {
        let mut chosen = with_seeds(trials, self.seeds);
        for (axis, values) in &self.values {
            chosen.retain(|trial| setting(trial, axis).is_none_or(|value| values.contains(&value)));
        }
        chosen
    }
}

/// The trials with one of the seeds, or without a seed.
fn with_seeds<'a>(trials: &[&'a Trial], seeds: &[u64]) -> Vec<&'a Trial> {
    let seed = |trial: &Trial| setting(trial, "seed").and_then(Value::as_u64);
    trials.iter().copied().filter(|trial| seed(trial).is_none_or(|seed| seeds.contains(&seed))).collect()
}

/// What to say where tuning trials have finished and none of them has measured the metric.
fn unmeasured(
    tuning: &Tuning,
    tuners: &Tuners,
    points: &[Vec<Vec<&Trial>>],
    rows: &BTreeMap<&str, &Row>,
) -> Option<String> {
    let tuned = points.iter().filter(|combinations| combinations.len() > 1).flatten();
    let trials = tuned.flat_map(|trials| tuners.of_trials(trials));
    let outcomes = trials.filter_map(|trial| rows.get(trial.id.as_str())).map(|(_, record)| &record.outcome);
    let done: Vec<_> = outcomes.filter(|outcome| outcome.status == Status::Done).collect();
    let known: BTreeSet<&str> =
        done.iter().flat_map(|outcome| outcome.metrics.keys().map(String::as_str)).collect();
    (!done.is_empty() && !known.contains(tuning.metric.as_str())).then(|| {
        let known: Vec<&str> = known.into_iter().collect();
        format!("no tuning trial has measured `{}`; measured: {}", tuning.metric, known.join(", "))
    })
}

/// The choice at one compared point.
struct Choice<'a> {
    experiment: &'a Experiment,
    tuning: &'a Tuning,
    tuners: &'a Tuners<'a>,
    candidates: &'a Grid,
    /// Trials of each combination of tuned settings.
    combinations: &'a [Vec<&'a Trial>],
    rows: &'a BTreeMap<&'a str, &'a Row<'a>>,
}

impl<'a> Choice<'a> {
    fn trials(&self) -> impl Iterator<Item = &'a Trial> {
        self.combinations.iter().flat_map(|trials| self.tuners.of_trials(trials))
    }

    /// The tuning trials of a combination, with the metric that decides.
    fn tuned(&self, index: usize) -> Point<'a> {
        let trials = self.tuners.of_trials(&self.combinations[index]);
        let rows = trials.iter().filter_map(|trial| self.rows.get(trial.id.as_str()));
        let outcomes = rows.map(|(_, record)| &record.outcome).collect();
        Point::new(trials, outcomes, std::slice::from_ref(&self.tuning.metric))
    }

    /// Index of the best combination, once every trial has a result.
    fn best(&self) -> Option<usize> {
        let is_final =
            |trial: &Trial| self.rows.get(trial.id.as_str()).is_some_and(|(_, record)| record.is_final());
        self.trials().all(is_final).then(|| {
            let points = (0..self.combinations.len()).map(|index| (index, self.tuned(index)));
            let best = points.reduce(|best, point| {
                let order = point.1.compare(&best.1, self.experiment.direction);
                if order == Ordering::Less { point } else { best }
            });
            best.expect("a point has a combination").0
        })
    }

    fn point(&self, compared: &[String], tuned: &[String], best: Option<usize>) -> TunedPoint {
        let failed = |trial: &&Trial| {
            let row = self.rows.get(trial.id.as_str());
            row.is_some_and(|(_, record)| matches!(record.outcome.status, Status::Failed { .. }))
        };
        let first = with_seeds(&self.combinations[0], &self.experiment.seeds);
        let tuning: BTreeSet<&str> = self.trials().map(|trial| trial.id.as_str()).collect();
        let later = first.into_iter().filter(|trial| !tuning.contains(trial.id.as_str()));
        TunedPoint {
            name: texts(self.combinations[0][0], compared),
            trials: self.trials().count(),
            failed: self.trials().filter(failed).count(),
            chosen: best.map(|index| self.reason(index, tuned)),
            later: if best.is_some() { Vec::new() } else { later.cloned().collect() },
        }
    }

    /// Text such as "rate_multiplier=2, the best of 3 (validation_score 0.81), rate_multiplier at the end of its range".
    fn reason(&self, index: usize, tuned: &[String]) -> String {
        let (point, first) = (self.tuned(index), self.combinations[index][0]);
        let settings = texts(first, tuned);
        let count = self.combinations.len();
        let Some(mean) = point.mean() else {
            return format!("{settings}, the first of {count}, since all of them were lost in tuning");
        };
        let ends = self.candidates.at_range_end(first);
        let ends = if ends.is_empty() {
            String::new()
        } else {
            format!(", {} at the end of its range", ends.join(" and "))
        };
        let lost =
            if point.lost() > 0 { format!(", {} of its trials lost", point.lost()) } else { String::new() };
        format!("{settings}, the best of {count} ({} {}{lost}){ends}", self.tuning.metric, float(mean))
    }
}

/// Settings of a trial that it has, as in "method=lora subject=dog".
fn texts(trial: &Trial, paths: &[String]) -> String {
    let text = |path: &String| Some(format!("{path}={}", cell(setting(trial, path)?)));
    let texts: Vec<String> = paths.iter().filter_map(text).collect();
    if texts.is_empty() { "all trials".to_string() } else { texts.join(" ") }
}
