//! What can go wrong when a results folder is read.

use std::path::{Path, PathBuf};

/// Why results cannot be used; each message names the file.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum ResultsError {
    #[error("cannot read `{}`: {source}; {remedy}", path.display())]
    Read { path: PathBuf, source: std::io::Error, remedy: &'static str },

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

/// The text of a file; `remedy` is for one that is not there.
pub fn read(path: &Path, remedy: &'static str) -> Result<String> {
    std::fs::read_to_string(path).map_err(|source| ResultsError::read(path, source, remedy))
}

/// The bytes of a file, as [`read`].
pub fn read_bytes(path: &Path, remedy: &'static str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| ResultsError::read(path, source, remedy))
}

impl ResultsError {
    /// Whether the results are whole and only lack such values, so that a figure does not apply to them.
    pub fn is_about_absent_values(&self) -> bool {
        matches!(self, Self::MissingColumn { .. } | Self::Nothing { .. })
    }

    /// The error about a file that cannot be read; `remedy` helps where it is not there, and nowhere else.
    pub fn read(path: &Path, source: std::io::Error, remedy: &'static str) -> Self {
        let remedy = match source.kind() {
            std::io::ErrorKind::NotFound => remedy,
            _ => "see that it is a file that you may read",
        };
        Self::Read { path: path.to_path_buf(), source, remedy }
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
    fn the_remedy_is_for_a_file_that_is_not_there() {
        let text = |kind: std::io::ErrorKind| {
            ResultsError::read(Path::new("trials.csv"), kind.into(), "run the experiment first").to_string()
        };
        assert!(text(std::io::ErrorKind::NotFound).ends_with("run the experiment first"));
        for kind in [std::io::ErrorKind::PermissionDenied, std::io::ErrorKind::IsADirectory] {
            assert!(text(kind).ends_with("see that it is a file that you may read"));
        }
    }
}
