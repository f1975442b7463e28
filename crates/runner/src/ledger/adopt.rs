//! Finished trials of committed tables, back into the ledger that a run goes on from.
//!
//! A ledger is large and stays on its machine; `trials.csv`, `curves.csv` and `items.csv` are small and are committed. A row is taken where its
//! id is that of a trial of the experiment: the id is a hash of the whole config, of the files that the task opens and of the
//! protocol, so the row is of this trial and of no other. What tables do not have is not made up: an adopted trial has no
//! pictures, and its record says that it was adopted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use csv::StringRecord;

use crate::columns::is_metric;
use crate::error::{Result, RunnerError};
use crate::experiments::Experiment;
use crate::ledger::folder::Folder;
use crate::ledger::lock::Lock;
use crate::ledger::records::{Entry, Ledger, Record};
use crate::ledger::stamp::Stamp;
use crate::workload::{CurvePoint, Outcome, Status, Trial, Workload};

/// What was adopted.
#[derive(Clone, Debug, Default)]
pub struct Adopted {
    /// Trials that were taken.
    pub taken: usize,
    /// Those of them that have no curve, since the tables have none.
    pub without_curves: usize,
    /// Trials that the ledger had already.
    pub known: usize,
    /// Rows of trials that failed, which a run tries again.
    pub failed: usize,
    /// Rows of no trial of the experiment, as it is now.
    pub foreign: usize,
}

/// Takes the finished trials of the experiment's own `trials.csv` in `results_dir` into its ledger there.
///
/// Errors: no such table; a cell that cannot be read; a run under way. Nothing is taken then.
pub fn adopt(experiment: &Experiment, workload: &dyn Workload, results_dir: &Path) -> Result<Adopted> {
    let grid = experiment.grid(workload)?;
    let folder = Folder::new(results_dir, experiment);
    let table = Table::read(&folder.root.join("trials.csv"))?;
    let beside = |name: &str| {
        let path = folder.root.join(name);
        path.exists().then(|| Table::read(&path)).transpose()
    };
    let mut curves = beside("curves.csv")?.map_or(Ok(BTreeMap::new()), |table| curves(&table))?;
    let mut items = beside("items.csv")?.map_or(Ok(BTreeMap::new()), |table| items(&table))?;
    let trials: BTreeMap<&str, &Trial> = grid.trials.iter().map(|trial| (trial.id.as_str(), trial)).collect();
    let _lock = Lock::acquire(&folder.lock())?;
    folder.prepare()?;
    let ledger = Ledger::new(folder.trials());
    let (mut adopted, mut records) = (Adopted::default(), Vec::new());
    for row in &table.rows {
        let id = table.text(row, "trial_id");
        let Some(trial) = trials.get(id) else {
            adopted.foreign += 1;
            continue;
        };
        if matches!(ledger.read(id), Entry::Found(ours) if ours.is_final()) {
            adopted.known += 1;
            continue;
        }
        let Some(outcome) = table.outcome(row, experiment)? else {
            adopted.failed += 1;
            continue;
        };
        let curves = curves.remove(id).unwrap_or_default();
        adopted.without_curves += usize::from(curves.is_empty());
        records.push(Record {
            experiment: experiment.name.clone(),
            task: experiment.task.clone(),
            config: trial.config.clone(),
            inputs: trial.inputs.clone(),
            outcome: Outcome { curves, items: items.remove(id).unwrap_or_default(), ..outcome },
            stamp: table.stamp(row)?,
        });
    }
    records.iter().try_for_each(|record| ledger.write(record))?;
    adopted.taken = records.len();
    Ok(adopted)
}

/// A CSV file with a header.
struct Table {
    path: PathBuf,
    header: StringRecord,
    rows: Vec<StringRecord>,
}

impl Table {
    fn read(path: &Path) -> Result<Table> {
        let text = std::fs::read(path).map_err(RunnerError::read(path))?;
        let mut reader = csv::Reader::from_reader(text.as_slice());
        let fail =
            |error: csv::Error| RunnerError::Table { path: path.to_path_buf(), message: error.to_string() };
        let header = reader.headers().map_err(fail)?.clone();
        let rows = reader.records().collect::<std::result::Result<_, _>>().map_err(fail)?;
        Ok(Table { path: path.to_path_buf(), header, rows })
    }

    fn text<'r>(&self, row: &'r StringRecord, column: &str) -> &'r str {
        let place = self.header.iter().position(|name| name == column);
        place.and_then(|place| row.get(place)).unwrap_or_default()
    }

    fn parsed<T: std::str::FromStr>(&self, row: &StringRecord, column: &str) -> Result<T> {
        self.value(row, column, self.text(row, column))
    }

    /// What `text` of a column says.
    fn value<T: std::str::FromStr>(&self, row: &StringRecord, column: &str, text: &str) -> Result<T> {
        text.parse().map_err(|_| RunnerError::Table {
            path: self.path.clone(),
            message: format!(
                "line {}: `{column}` is {text:?}, which is no value of this column",
                row.position().map_or(0, csv::Position::line)
            ),
        })
    }

    /// The outcome without curves; none of a trial that failed.
    fn outcome(&self, row: &StringRecord, experiment: &Experiment) -> Result<Option<Outcome>> {
        let message = self.text(row, "message");
        let status = match self.text(row, "status") {
            "done" => Status::Done,
            "diverged" => Status::Diverged {
                step: self.parsed(row, "diverged_step")?,
                reason: (!message.is_empty()).then(|| message.to_owned()),
            },
            _ => return Ok(None),
        };
        let mut outcome = Outcome::new(self.text(row, "trial_id"), status);
        outcome.train_seconds = self.parsed(row, "train_seconds")?;
        for column in self.header.iter() {
            if is_metric(column, experiment) && !self.text(row, column).is_empty() {
                outcome.metrics.insert(column.to_owned(), self.parsed(row, column)?);
            }
        }
        Ok(Some(outcome))
    }

    fn stamp(&self, row: &StringRecord) -> Result<Stamp> {
        let text = |column| self.text(row, column).to_owned();
        Ok(Stamp {
            protocol: self.parsed(row, "protocol")?,
            commit: text("commit"),
            dirty: self.parsed(row, "dirty")?,
            device: text("device"),
            libtorch: text("libtorch"),
            machine: "adopted from trials.csv".to_owned(),
            cores: 0,
            command: "delora adopt".to_owned(),
            started: text("started"),
            finished: text("finished"),
        })
    }
}

/// The points of `curves.csv` by trial.
fn curves(table: &Table) -> Result<BTreeMap<String, Vec<CurvePoint>>> {
    let mut found: BTreeMap<String, Vec<CurvePoint>> = BTreeMap::new();
    for row in &table.rows {
        let layer = table.text(row, "layer");
        let point = CurvePoint {
            step: table.parsed(row, "step")?,
            metric: table.text(row, "metric").to_owned(),
            layer: (!layer.is_empty()).then(|| layer.to_owned()),
            value: table.parsed(row, "value")?,
        };
        found.entry(table.text(row, "trial_id").to_owned()).or_default().push(point);
    }
    Ok(found)
}

/// What single questions add, of `items.csv`, by trial and metric.
fn items(table: &Table) -> Result<BTreeMap<String, BTreeMap<String, Vec<f64>>>> {
    let mut found: BTreeMap<String, BTreeMap<String, Vec<f64>>> = BTreeMap::new();
    for row in &table.rows {
        let values = table.text(row, "values").split(' ').map(|value| table.value(row, "values", value));
        let of_trial = found.entry(table.text(row, "trial_id").to_owned()).or_default();
        of_trial.insert(table.text(row, "metric").to_owned(), values.collect::<Result<_>>()?);
    }
    Ok(found)
}
