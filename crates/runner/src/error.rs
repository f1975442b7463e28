//! Errors of the runner: each says where, what, the value and the remedy.

use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },

    #[error("cannot write {path}: {source}; finished trials are safe, run the same command again")]
    Write { path: PathBuf, source: std::io::Error },

    #[error("{place}: {message}")]
    Syntax { place: String, message: String },

    /// One line for each distinct mistake, with file and line.
    #[error("{}", .0.join("\n"))]
    Settings(Vec<String>),

    #[error("{experiment} is of task `{found}`, and this is the driver of `{expected}`")]
    Task { experiment: PathBuf, found: String, expected: String },

    #[error("{trial}: {source:#}")]
    Trial { trial: String, source: anyhow::Error },

    #[error("{path} is held by {holder}, {remedy}")]
    Locked { path: PathBuf, holder: String, remedy: String },

    #[error("{path} has no trial of this experiment; run it first")]
    Empty { path: PathBuf },

    #[error("`{id}` is no trial of this experiment at this scale; {remedy}")]
    NoTrial { id: String, remedy: String },

    #[error("the {run} run ended with {status}: {message}")]
    Child { run: String, status: std::process::ExitStatus, message: String },

    #[error("the workload broke its contract: {0}")]
    Contract(String),
}

impl RunnerError {
    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> RunnerError {
        move |source| RunnerError::Read { path: path.to_path_buf(), source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> RunnerError {
        move |source| RunnerError::Write { path: path.to_path_buf(), source }
    }

    pub(crate) fn setting(place: impl std::fmt::Display, key: &str, message: &str) -> RunnerError {
        RunnerError::Settings(vec![mistake(place, key, message)])
    }
}

/// One line for one mistake; `key` is empty for something that is missing at the top of a file.
pub(crate) fn mistake(place: impl std::fmt::Display, key: &str, message: &str) -> String {
    if key.is_empty() { format!("{place}: {message}") } else { format!("{place}: {key}: {message}") }
}

pub type Result<T, E = RunnerError> = std::result::Result<T, E>;
