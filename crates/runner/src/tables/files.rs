//! `trials.csv`, `curves.csv`, `items.csv` and `methods.csv`, derived from the ledger: one row per recorded trial of the grid, in its order.
//!
//! | `trials.csv`                              | |
//! |-------------------------------------------|---|
//! | `trial_id`, `status`, `diverged_step`     | `done`, `diverged` or `failed` |
//! | `method`, one column for each replicate   | where the experiment has them |
//! | `config.<key.path>`                       | every setting |
//! | one column for each metric                | `num_parameters` last |
//! | `train_seconds`                           | without evaluation |
//! | `commit`, `dirty`, `device`, `libtorch`   | provenance |
//! | `protocol`, `started`, `finished`, `message` | `message` says why a trial failed or diverged |
//! | `phase`                                   | `tuning` or `test`, where the experiment tunes first |
//! | `task`                                    | the experiment's task |
//!
//! `methods.csv` has `name`, `title`, `formula` and `parameters` of each method that the trials have, as the workload tells
//! them. An empty cell is a missing value. In `curves.csv` a value that was computed in f32 has the digits that an f32 has. `items.csv` has what each question of a test adds
//! to a metric, `values` with blanks between them, of trials that have it: see `Outcome::items`; they are rounded to f32.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::columns::{BEFORE, BEHIND, CONFIG, DIVERGED_STEP, METHOD, PHASE, TASK};
use crate::error::Result;
use crate::experiments::{Experiment, Grid, cell, setting};
use crate::identity::float;
use crate::ledger::{Folder, Ledger, Record, Row, records, write_atomically};
use crate::settings::leaves;
use crate::tables::phases::Phased;
use crate::tables::tuning::phased;
use crate::tables::{readme, summary};
use crate::workload::{MethodText, Status};

/// Metric that stands last among the metrics.
const NUM_PARAMETERS: &str = "num_parameters";

/// Writes every table and the README; returns what is odd about them, if anything.
///
/// `candidates` is the whole grid; the tables have the trials that are needed, and of `methods` those of the trials.
pub(crate) fn write(
    experiment: &Experiment,
    candidates: &Grid,
    methods: &[MethodText],
    ledger: &Ledger,
    folder: &Folder,
) -> Result<Option<String>> {
    let mut rows = records(candidates, ledger);
    let phased = phased(experiment, candidates, &rows);
    let needed: BTreeSet<&str> = phased.grid.trials.iter().map(|trial| trial.id.as_str()).collect();
    rows.retain(|(trial, _)| needed.contains(trial.id.as_str()));
    let metrics = metrics(&rows, &experiment.metric);
    write_atomically(
        &folder.root.join("trials.csv"),
        &csv_bytes(trials(experiment, &phased, &rows, &metrics)),
    )?;
    write_atomically(&folder.root.join("curves.csv"), &csv_bytes(curves(&rows)))?;
    if rows.iter().any(|(_, record)| !record.outcome.items.is_empty()) {
        write_atomically(&folder.root.join("items.csv"), &csv_bytes(items(&rows)))?;
    }
    let methods = methods_of(methods, &rows);
    if methods.len() > 1 {
        write_atomically(&folder.root.join("methods.csv"), &csv_bytes(methods))?;
    }
    let summary = summary::summarize(experiment, &phased, &rows, &metrics);
    write_atomically(&folder.root.join("summary.csv"), &csv_bytes(summary.table()))?;
    let readme = readme::text(experiment, &phased, &rows, &summary);
    write_atomically(&folder.root.join("README.md"), readme.as_bytes())?;
    let measured = |(_, record): &Row| record.outcome.metrics.contains_key(&experiment.metric);
    let done = rows.iter().any(|(_, record)| record.outcome.status == Status::Done);
    Ok((done && !rows.iter().any(measured)).then(|| {
        let known: Vec<&str> =
            metrics.iter().map(String::as_str).filter(|name| *name != experiment.metric).collect();
        format!(
            "no trial has measured `{}`, the metric of the experiment; measured: {}",
            experiment.metric,
            known.join(", ")
        )
    }))
}

/// Names of all metrics, the experiment's own first, `num_parameters` last.
///
/// A workload may give `diverged_step` as a metric too, but has its status for it: the column stands once.
fn metrics(rows: &[Row], main: &str) -> Vec<String> {
    let mut names: BTreeSet<&String> =
        rows.iter().flat_map(|(_, record)| record.outcome.metrics.keys()).collect();
    names.retain(|name| *name != DIVERGED_STEP);
    let rank = |name: &str| match name {
        NUM_PARAMETERS => 2,
        name if name == main => 0,
        _ => 1,
    };
    let mut names: Vec<String> =
        names.into_iter().cloned().chain([main.to_string(), NUM_PARAMETERS.to_string()]).collect();
    names.sort_by(|left, right| (rank(left), left).cmp(&(rank(right), right)));
    names.dedup();
    names
}

/// Every leaf of a config as `config.<key.path>`.
fn flat(config: &Value) -> BTreeMap<String, String> {
    let table = config.as_object().expect("a config is a table");
    leaves(table).into_iter().map(|(path, value)| (path.join("."), cell(value))).collect()
}

/// Row by row: all at once are several times the file.
fn trials(
    experiment: &Experiment,
    phased: &Phased,
    rows: &[Row],
    metrics: &[String],
) -> impl Iterator<Item = Vec<String>> {
    let grid = &phased.grid;
    let keys: BTreeSet<String> =
        grid.trials.iter().flat_map(|trial| flat(&trial.config).into_keys()).collect();
    let has_methods = grid.compared.iter().any(|path| path == METHOD);
    let mut header: Vec<String> = BEFORE.map(String::from).into();
    header.extend(has_methods.then(|| METHOD.to_string()));
    header.extend(experiment.replicates.iter().cloned());
    header.extend(keys.iter().map(|key| format!("{CONFIG}{key}")));
    header.extend(metrics.iter().cloned());
    header.extend(BEHIND.map(String::from));
    header.extend(experiment.tuning.as_ref().map(|_| PHASE.to_string()));
    header.push(TASK.to_string());
    let row = move |(trial, record): &Row| {
        let config = flat(&trial.config);
        let Record { outcome, stamp, .. } = &**record;
        let (step, message) = match &outcome.status {
            Status::Done => (String::new(), String::new()),
            Status::Diverged { step, reason } => (step.to_string(), reason.clone().unwrap_or_default()),
            Status::Failed { message } => (String::new(), message.clone()),
        };
        let text = |path: &str| setting(trial, path).map(cell).unwrap_or_default();
        let mut row = vec![trial.id.clone(), outcome.status.name().to_string(), step];
        row.extend(has_methods.then(|| text(METHOD)));
        row.extend(experiment.replicates.iter().map(|path| text(path)));
        row.extend(keys.iter().map(|key| config.get(key).cloned().unwrap_or_default()));
        row.extend(
            metrics.iter().map(|metric| outcome.metrics.get(metric).map(|v| float(*v)).unwrap_or_default()),
        );
        row.extend([float(outcome.train_seconds), stamp.commit.clone(), stamp.dirty.to_string()]);
        row.extend([stamp.device.clone(), stamp.libtorch.clone(), stamp.protocol.to_string()]);
        row.extend([stamp.started.clone(), stamp.finished.clone(), message]);
        row.extend(phased.phase(trial).map(|phase| phase.name().to_string()));
        row.push(experiment.task.clone());
        row
    };
    std::iter::once(header).chain(rows.iter().map(row))
}

/// `methods.csv`: a header, and those of `methods` that the trials have.
fn methods_of(methods: &[MethodText], rows: &[Row]) -> Vec<Vec<String>> {
    let header = ["name", "title", "formula", "parameters"].map(String::from).to_vec();
    let run = |name: &str| rows.iter().any(|(trial, _)| trial.method() == Some(name));
    let row = |MethodText { name, title, formula, parameters }: &MethodText| {
        run(name).then(|| [name, title, formula, parameters].map(String::clone).to_vec())
    };
    std::iter::once(header).chain(methods.iter().filter_map(row)).collect()
}

fn curves(rows: &[Row]) -> impl Iterator<Item = Vec<String>> {
    let header = ["trial_id", "step", "metric", "layer", "value"].map(String::from).to_vec();
    let points = rows.iter().flat_map(|(trial, record)| {
        record.outcome.curves.iter().map(|point| {
            let layer = point.layer.clone().unwrap_or_default();
            vec![trial.id.clone(), point.step.to_string(), point.metric.clone(), layer, measured(point.value)]
        })
    });
    std::iter::once(header).chain(points)
}

/// `items.csv`: a row for each trial and metric.
fn items(rows: &[Row]) -> impl Iterator<Item = Vec<String>> {
    let header = ["trial_id", "metric", "values"].map(String::from).to_vec();
    let of_trial = rows.iter().flat_map(|(trial, record)| {
        record.outcome.items.iter().map(|(metric, values)| {
            let values: Vec<String> = values.iter().map(|value| measured(f64::from(*value as f32))).collect();
            vec![trial.id.clone(), metric.clone(), values.join(" ")]
        })
    });
    std::iter::once(header).chain(of_trial)
}

/// Text of a value of a curve: where it is one of f32, the shortest that reads back as that f32, since curves are long;
/// else as [`float`].
fn measured(value: f64) -> String {
    let single = value as f32;
    if single.is_finite() && f64::from(single) == value {
        format!("{single:?}").trim_end_matches(".0").to_owned()
    } else {
        float(value)
    }
}

fn csv_bytes(rows: impl IntoIterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).expect("rows have equal lengths, and memory takes every byte");
    }
    writer.into_inner().expect("memory takes every byte")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_f32_are_written_with_their_own_digits_and_others_with_all() {
        assert_eq!(measured(f64::from(0.700_084_9_f32)), "0.7000849");
        assert_eq!([measured(0.1), measured(2.0), measured(-0.5)], ["0.1", "2", "-0.5"]);
        assert_eq!(measured(f64::from(1e-7_f32)).parse::<f32>().unwrap(), 1e-7);
        assert_eq!([measured(f64::NAN), measured(f64::INFINITY)], ["", ""]);
    }
}
