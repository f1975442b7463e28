//! Examples of a data set of one's own: a file to train on and one to choose and report by, CSV, TSV, parquet, JSON or JSON
//! Lines.

use std::path::{Path, PathBuf};

use finetune::{Row, read_rows};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::row::{DataError, Example, Split};
use crate::tasks::{Metric, TextTask};

/// Where the examples are, and what they are labelled by.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// File to train on.
    pub train: PathBuf,
    /// File of labelled rows, of which each seed takes one half to choose the epoch by and reports the other.
    pub validation: PathBuf,
    /// The one or two columns with text.
    pub columns: Vec<String>,
    /// The column with the label.
    #[serde(default = "label")]
    pub label: String,
    /// Names of the classes, in the order of their numbers, by which a file may call them too; absent: the labels that the
    /// training file has, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// What the score is; under `correlation` labels are numbers.
    #[serde(default)]
    pub metric: Metric,
}

fn label() -> String {
    "label".to_owned()
}

/// More labels than a classification has: they are rather numbers or texts.
const MOST_LABELS: usize = 1000;

impl Dataset {
    pub fn file(&self, split: Split) -> &Path {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
        }
    }

    /// What of the settings cannot be: the key and why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        if !matches!(self.columns.len(), 1 | 2) {
            let found = self.columns.join(", ");
            return Err((
                "dataset.columns",
                format!("found [{found}]; a text is one column, and a pair are two"),
            ));
        }
        let Some(labels) = &self.labels else { return Ok(()) };
        if self.metric == Metric::Correlation {
            return Err((
                "dataset.labels",
                "found names; under `metric = \"correlation\"` labels are numbers".to_owned(),
            ));
        }
        if let Some(again) = (1..labels.len()).find(|&index| labels[..index].contains(&labels[index])) {
            return Err((
                "dataset.labels",
                format!("found `{}` twice; each class has a name of its own", labels[again]),
            ));
        }
        enough(self.metric, labels.len()).map_err(|problem| ("dataset.labels", problem))
    }

    /// The task, with labels that are found in the training file where none are listed.
    pub fn task(&self) -> Result<TextTask, DataError> {
        let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let name = self.train.display().to_string();
        let task = TextTask {
            metric: self.metric,
            label: self.label.clone(),
            ..TextTask::new(&name, &name, &columns, &[])
        };
        let label_names = match (&self.labels, self.metric) {
            (_, Metric::Correlation) => Vec::new(),
            (Some(labels), _) => labels.clone(),
            (None, _) => self.found()?,
        };
        Ok(TextTask { label_names, ..task })
    }

    /// The labels of the training file: in the order of numbers where all are, else of the alphabet.
    fn found(&self) -> Result<Vec<String>, DataError> {
        let rows = read_rows(&self.train)?;
        let mut labels =
            rows.iter().map(|row| Ok(name(row, &self.label)?)).collect::<Result<Vec<String>, DataError>>()?;
        labels.sort_unstable();
        labels.dedup();
        if labels.iter().all(|label| label.parse::<i64>().is_ok()) {
            labels.sort_by_key(|label| label.parse::<i64>().unwrap_or(0));
        }
        let path = self.train.clone();
        let problem = match labels.len() > MOST_LABELS {
            true => Err(format!(
                "is {} different ones, more than a classification has; numbers to predict need `dataset.metric = \"correlation\"`",
                labels.len()
            )),
            false => enough(self.metric, labels.len()),
        };
        match problem {
            Ok(()) => Ok(labels),
            Err(problem) => Err(DataError::Labels { path, column: self.label.clone(), problem }),
        }
    }

    /// All examples of a split, in the file's order; `task` is that of [`Dataset::task`].
    pub fn read(&self, task: &TextTask, split: Split) -> Result<Vec<Example>, DataError> {
        read_rows(self.file(split))?
            .iter()
            .map(|row| {
                let texts = task.columns.iter().map(|column| row.text(column).map(str::to_owned));
                Ok(Example { texts: texts.collect::<Result<_, _>>()?, label: number(row, task)? })
            })
            .collect()
    }
}

/// Whether a score can be made of so many classes.
fn enough(metric: Metric, labels: usize) -> Result<(), String> {
    match (metric, labels) {
        (_, 0 | 1) => Err(format!("is {labels} label(s); a classification has two or more")),
        (Metric::AccuracyAndF1, labels) if labels != 2 => {
            Err(format!("is {labels} labels; F1 is of two, of which the second is the positive one"))
        }
        _ => Ok(()),
    }
}

/// The label of a row, as it is written.
fn name(row: &Row, column: &str) -> Result<String, finetune::RowError> {
    let value = row.field(column)?;
    match value {
        Value::String(text) if !text.is_empty() => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(is_so) => Ok(is_so.to_string()),
        _ => Err(row.wrong(column, value, "a text, a number, or true or false")),
    }
}

/// The label of a row as a number: of its class by name or number, or what is to be predicted.
fn number(row: &Row, task: &TextTask) -> Result<f32, DataError> {
    let name = name(row, &task.label)?;
    if task.is_regression() {
        let value = name.parse::<f32>().ok().filter(|value| value.is_finite());
        return value.ok_or_else(|| row.wrong(&task.label, &Value::String(name), "a number").into());
    }
    let by_name = task.label_names.iter().position(|own| *own == name);
    let by_number = || name.parse().ok().filter(|&number: &usize| number < task.num_labels());
    by_name.or_else(by_number).map(|class| class as f32).ok_or_else(|| DataError::OwnLabel {
        place: row.place.clone(),
        found: format!("`{}` is `{name}`", task.label),
        known: task.label_names.join(", "),
    })
}
