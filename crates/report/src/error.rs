//! What can keep a report from being made.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
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
