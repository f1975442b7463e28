//! What can go wrong when a results folder is read.

use std::path::{Path, PathBuf};

/// Why results cannot be used; each message names the file.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum ResultsError {
    #[error("cannot read `{}`: {source}; {}", path.display(), remedy(source))]
    Read { path: PathBuf, source: std::io::Error },

    #[error("`{}` is not a well-formed CSV: {message}", path.display())]
    Csv { path: PathBuf, message: String },

    #[error("`{}` has no column `{column}`; its columns are {present}", path.display())]
    MissingColumn { path: PathBuf, column: String, present: String },

    #[error("`{}` has trials of the task `{task}`, which is none of GLUE's: {known}", path.display())]
    UnknownTask { path: PathBuf, task: String, known: String },

    #[error("`{}` has no {what}; {remedy}", path.display())]
    Nothing { path: PathBuf, what: String, remedy: String },
}

/// The result of reading.
pub type Result<T> = std::result::Result<T, ResultsError>;

/// A run helps where the file is not there, and nowhere else.
fn remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => "run the experiment first, it writes this file",
        _ => "see that it is a file of text that you may read",
    }
}

impl ResultsError {
    /// Whether the results are whole and only lack such values, so that a figure does not apply to them.
    pub fn is_about_absent_values(&self) -> bool {
        matches!(self, Self::MissingColumn { .. } | Self::Nothing { .. })
    }

    /// The error about a file that cannot be read.
    pub fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read { path: path.to_path_buf(), source }
    }

    /// The error about a file that has none of `what` is asked of it.
    pub fn nothing(path: &Path, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Nothing { path: path.to_path_buf(), what: what.into(), remedy: remedy.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_that_is_not_there_says_to_run_the_experiment() {
        let text =
            |kind: std::io::ErrorKind| ResultsError::read(Path::new("trials.csv"), kind.into()).to_string();
        assert!(
            text(std::io::ErrorKind::NotFound).ends_with("run the experiment first, it writes this file")
        );
        for kind in [std::io::ErrorKind::PermissionDenied, std::io::ErrorKind::IsADirectory] {
            assert!(text(kind).ends_with("see that it is a file of text that you may read"));
        }
    }
}
