//! What can keep a report from being made.

use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("cannot read `{}`: {source}; {remedy}", path.display())]
    Read { path: PathBuf, source: std::io::Error, remedy: &'static str },

    #[error("`{}` is not an experiment file: {message}", path.display())]
    Experiment { path: PathBuf, message: String },

    #[error("`{}` is not a usable picture: {message}", path.display())]
    Picture { path: PathBuf, message: String },

    #[error("`{}` is no list of answers: {message}", path.display())]
    Answers { path: PathBuf, message: String },

    #[error("`{}` has no results of experiment `{experiment}`; `delora run` it first", results.display())]
    NoResults { results: PathBuf, experiment: String },

    #[error("`{}` has no results of any experiment in `{}`; `delora run` one first", results.display(), experiments.display())]
    Nothing { results: PathBuf, experiments: PathBuf },

    #[error(transparent)]
    Results(#[from] results::ResultsError),

    #[error(transparent)]
    Decide(#[from] decide::DecideError),
}

pub type Result<T> = std::result::Result<T, ReportError>;

/// The text of a file; the remedy is for one that is not there.
pub(crate) fn read(path: &Path, remedy: &'static str) -> Result<String> {
    std::fs::read_to_string(path).map_err(|source| ReportError::Read {
        path: path.to_path_buf(),
        remedy: match source.kind() {
            std::io::ErrorKind::NotFound => remedy,
            _ => "see that it is a file of text that you may read",
        },
        source,
    })
}
