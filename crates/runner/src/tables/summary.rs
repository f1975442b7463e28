//! `summary.csv`: mean and spread over the replicates of each compared point, and the best of what was tuned.
//!
//! Means are over `done` trials; a metric that one of them lacks has no mean. Of the tuned points, one that lost
//! fewer trials (diverged, failed, not yet run) comes before the better mean: a rate that breaks for one seed in three
//! is no good rate. `at_range_end` names the tuned numbers whose best value is the first or last of three or more.
//!
//! With a `[tuning]` table a row is over the test trials of the settings that tuning chose, once it has.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::experiments::{Direction, Experiment, Grid, cell, setting};
use crate::identity::canonical;
use crate::identity::float;
use crate::ledger::Row;
use crate::tables::phases::{Phase, Phased};
use crate::workload::{Outcome, Status, Trial};

/// Mean and standard deviation of one metric in one group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub mean: Option<f64>,
    /// With n − 1 in the denominator; absent for one value.
    pub std: Option<f64>,
}

#[derive(Clone, Debug)]
pub(crate) struct SummaryRow {
    pub compared: Vec<String>,
    /// Text of the best tuned settings, and the paths of those at the end of their range.
    pub best: Vec<String>,
    pub at_range_end: Vec<String>,
    pub spreads: Vec<Spread>,
    pub n: usize,
    pub diverged: usize,
    pub failed: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub compared: Vec<String>,
    pub tuned: Vec<String>,
    pub metrics: Vec<String>,
    pub rows: Vec<SummaryRow>,
}

pub(crate) fn summarize(
    experiment: &Experiment,
    phased: &Phased,
    rows: &[Row],
    metrics: &[String],
) -> Summary {
    let grid = &phased.grid;
    let (compared, tuned) = (compared_paths(experiment, grid), tuned_paths(grid));
    let outcomes: HashMap<&str, &Outcome> =
        rows.iter().map(|(trial, record)| (trial.id.as_str(), &record.outcome)).collect();
    let counted = grid.trials.iter().filter(|trial| phased.phase(trial) != Some(Phase::Tuning));
    let planned = grouped(&counted.collect::<Vec<_>>(), &compared);
    let summary_rows = planned.into_iter().filter_map(|trials| {
        let points = grouped(&trials, &tuned).into_iter().map(|trials| {
            let outcomes = trials.iter().filter_map(|trial| outcomes.get(trial.id.as_str()).copied());
            let outcomes = outcomes.collect();
            Point::new(trials, outcomes, metrics)
        });
        let best = points.filter(|point| !point.is_empty()).reduce(|best, point| {
            if point.compare(&best, experiment.direction) == Ordering::Less { point } else { best }
        })?;
        Some(best.row(&compared, &tuned, grid))
    });
    Summary { rows: summary_rows.collect(), compared, tuned, metrics: metrics.to_vec() }
}

/// The compared settings over whose trials nothing is averaged.
pub(crate) fn compared_paths(experiment: &Experiment, grid: &Grid) -> Vec<String> {
    let replicated = |path: &String| {
        experiment.replicates.iter().any(|name| {
            path.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    grid.compared.iter().filter(|path| !replicated(path)).cloned().collect()
}

pub(crate) fn tuned_paths(grid: &Grid) -> Vec<String> {
    let mut tuned: Vec<String> = Vec::new();
    for axis in &grid.tuned {
        if !tuned.contains(&axis.path) {
            tuned.push(axis.path.clone());
        }
    }
    tuned
}

/// Trials with equal settings at `paths`, groups in order of first appearance.
pub(crate) fn grouped<'a>(trials: &[&'a Trial], paths: &[String]) -> Vec<Vec<&'a Trial>> {
    let mut groups: Vec<(Vec<Option<String>>, Vec<&Trial>)> = Vec::new();
    for trial in trials {
        let key: Vec<_> = paths.iter().map(|path| setting(trial, path).map(canonical)).collect();
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(trial),
            None => groups.push((key, vec![trial])),
        }
    }
    groups.into_iter().map(|(_, members)| members).collect()
}

/// The replicates of one compared and tuned point.
pub(crate) struct Point<'a> {
    first: &'a Trial,
    planned: usize,
    n: usize,
    diverged: usize,
    failed: usize,
    spreads: Vec<Spread>,
}

impl<'a> Point<'a> {
    /// `trials` are all that are planned, `outcomes` those of the trials that have one. The first metric decides.
    pub fn new(trials: Vec<&'a Trial>, outcomes: Vec<&Outcome>, metrics: &[String]) -> Point<'a> {
        let done: Vec<_> = outcomes.iter().filter(|outcome| outcome.status == Status::Done).collect();
        let diverged = |status: &Status| matches!(status, Status::Diverged { .. });
        let values = |metric| {
            done.iter().map(|outcome| outcome.metrics.get(metric).copied()).collect::<Option<Vec<_>>>()
        };
        Point {
            first: trials[0],
            planned: trials.len(),
            n: done.len(),
            diverged: outcomes.iter().filter(|outcome| diverged(&outcome.status)).count(),
            failed: outcomes.iter().filter(|outcome| matches!(outcome.status, Status::Failed { .. })).count(),
            spreads: metrics.iter().map(|metric| spread(&values(metric).unwrap_or_default())).collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.n + self.diverged + self.failed == 0
    }

    /// Trials that have not finished with a result to average.
    pub fn lost(&self) -> usize {
        self.planned - self.n
    }

    /// Mean of the metric that decides.
    pub fn mean(&self) -> Option<f64> {
        self.spreads[0].mean
    }

    /// `Less` when this point is better.
    pub fn compare(&self, other: &Point, direction: Direction) -> Ordering {
        let score = |point: &Point| {
            point.mean().map_or(f64::NEG_INFINITY, |mean| match direction {
                Direction::Maximize => mean,
                Direction::Minimize => -mean,
            })
        };
        self.lost().cmp(&other.lost()).then(score(other).total_cmp(&score(self)))
    }

    fn row(self, compared: &[String], tuned: &[String], grid: &Grid) -> SummaryRow {
        let text = |path: &String| setting(self.first, path).map(cell).unwrap_or_default();
        SummaryRow {
            compared: compared.iter().map(text).collect(),
            best: tuned.iter().map(text).collect(),
            at_range_end: grid.at_range_end(self.first),
            spreads: self.spreads,
            n: self.n,
            diverged: self.diverged,
            failed: self.failed,
        }
    }
}

fn spread(values: &[f64]) -> Spread {
    let n = values.len() as f64;
    if values.is_empty() {
        return Spread { mean: None, std: None };
    }
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Spread { mean: Some(mean), std: (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()) }
}

impl Summary {
    /// Header and rows of `summary.csv`.
    pub fn table(&self) -> Vec<Vec<String>> {
        let mut header = self.compared.clone();
        if !self.tuned.is_empty() {
            header.extend(self.tuned.iter().map(|path| format!("best.{path}")));
            header.push("at_range_end".to_string());
        }
        header.extend(
            self.metrics.iter().flat_map(|metric| [format!("{metric}_mean"), format!("{metric}_std")]),
        );
        header.extend(["n", "diverged", "failed"].map(String::from));
        let rows = self.rows.iter().map(|row| {
            let mut cells = row.compared.clone();
            if !self.tuned.is_empty() {
                cells.extend(row.best.iter().cloned());
                cells.push(row.at_range_end.join(" "));
            }
            let number = |value: Option<f64>| value.map(float).unwrap_or_default();
            cells.extend(row.spreads.iter().flat_map(|spread| [number(spread.mean), number(spread.std)]));
            cells.extend([row.n, row.diverged, row.failed].map(|count| count.to_string()));
            cells
        });
        std::iter::once(header).chain(rows).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_has_one_degree_of_freedom_less() {
        let known = spread(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!(known.mean, Some(5.0));
        assert!((known.std.unwrap() - (32.0f64 / 7.0).sqrt()).abs() < 1e-12);
        assert_eq!(spread(&[3.0]), Spread { mean: Some(3.0), std: None });
        assert_eq!(spread(&[]), Spread { mean: None, std: None });
    }
}
