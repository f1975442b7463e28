//! A row of a file: what it holds, which columns and labels it may have, and what can be wrong with it.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use finetune::{MissingShard, ParquetFileError, Place, RowError};

use crate::tasks::TextTask;

/// GLUE marks the rows of its test splits so.
const UNLABELLED: f64 = -1.0;
const SIMILARITIES: RangeInclusive<f64> = 0.0..=5.0;

#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// One text, or the two of a pair, in the order of [`TextTask::columns`].
    pub texts: Vec<String>,
    /// Number of the class, or for regression the similarity from 0 to 5.
    pub label: f32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    Train,
    /// The labelled split that is not for training; MNLI's is the matched one.
    Validation,
}

#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error(
        "{folder}: no {split} split of `{task}`; {folder} should have {stem}-00000-of-00001.parquet or {}; \
         `delora fetch glue` fetches GLUE", .tsv.join(" or ")
    )]
    NoFile { folder: PathBuf, task: String, split: Split, stem: &'static str, tsv: Vec<&'static str> },

    #[error("{0}: `delora fetch glue` fetches it")]
    Shard(#[from] MissingShard),

    #[error("{path}: cannot be read: {source}")]
    Read { path: PathBuf, source: std::io::Error },

    #[error("{0}; `delora fetch glue` fetches GLUE")]
    Parquet(#[from] ParquetFileError),

    #[error("{path}: no column `{column}`; {needed}, and the columns here are {}", .found.join(", "))]
    MissingColumn { path: PathBuf, column: String, needed: String, found: Vec<String> },

    #[error("{path}: column `{column}` is of the type {found}; it should be {wanted}")]
    ColumnType { path: PathBuf, column: String, found: String, wanted: &'static str },

    #[error("{place}: column `{column}` has no value; fill the cell")]
    Null { place: Place, column: String },

    #[error("{place}: is not UTF-8; convert the file")]
    Encoding { place: Place },

    #[error(
        "{place}: {found} cell(s), and the header has {wanted}; cells are separated by one tab each, and a text \
         has none"
    )]
    Cells { place: Place, found: usize, wanted: usize },

    #[error(
        "{place}: label -1 marks a row without a label, as in GLUE's test splits; training and scoring need labels"
    )]
    Unlabelled { place: Place },

    #[error("{place}: unknown label `{found}`; {known}")]
    Label { place: Place, found: String, known: String },

    #[error(
        "{place}: {found}, which is none of the labels {known}; correct the row, or list all labels under `dataset.labels`"
    )]
    OwnLabel { place: Place, found: String, known: String },

    #[error("{path}: `{column}` {problem}")]
    Labels { path: PathBuf, column: String, problem: String },

    #[error(transparent)]
    Row(#[from] RowError),

    #[error("{path}: has no rows; the {split} split of `{task}` needs some")]
    Empty { path: PathBuf, task: String, split: Split },
}

impl fmt::Display for Split {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self {
            Split::Train => "train",
            Split::Validation => "validation",
        })
    }
}

/// Where each text and the label stand among the columns of a file.
pub(super) fn find_columns(
    path: &Path,
    task: &TextTask,
    names: &[String],
) -> Result<(Vec<usize>, usize), DataError> {
    let find = |column: &String| {
        names.iter().position(|name| name == column).ok_or_else(|| DataError::MissingColumn {
            path: path.to_path_buf(),
            column: column.clone(),
            needed: format!(
                "`{}` needs {}",
                task.name,
                [&task.columns[..], std::slice::from_ref(&task.label)].concat().join(", ")
            ),
            found: names.to_vec(),
        })
    };
    let texts = task.columns.iter().map(find).collect::<Result<_, _>>()?;
    Ok((texts, find(&task.label)?))
}

/// `number` as a label of the task, or why it is none.
pub(super) fn label(task: &TextTask, number: f64, place: impl FnOnce() -> Place) -> Result<f32, DataError> {
    let is_label = match task.is_regression() {
        true => SIMILARITIES.contains(&number),
        false => (0..task.num_labels()).any(|label| label as f64 == number),
    };
    match is_label {
        true => Ok(number as f32),
        false if number == UNLABELLED => Err(DataError::Unlabelled { place: place() }),
        false => Err(unknown_label(task, number.to_string(), place())),
    }
}

pub(super) fn unknown_label(task: &TextTask, found: String, place: Place) -> DataError {
    let numbered: Vec<String> =
        task.label_names.iter().enumerate().map(|(label, name)| format!("{label} ({name})")).collect();
    let known = match task.is_regression() {
        true => format!("similarities from {} to {}", SIMILARITIES.start(), SIMILARITIES.end()),
        false => numbered.join(", "),
    };
    DataError::Label { place, found, known: format!("the labels of `{}` are {known}", task.name) }
}
