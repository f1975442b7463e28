//! What can go wrong between a CSV and its figure.

use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum FiguresError {
    #[error("figure `{name}` is not known; `figures` may list {known}")]
    UnknownFigure { name: String, known: String },

    #[error("cannot read `{}`: {source}; {}", path.display(), remedy(source))]
    Read { path: PathBuf, source: std::io::Error },

    #[error("cannot write `{}`: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },

    #[error("`{}` is not a well-formed CSV: {message}", path.display())]
    Csv { path: PathBuf, message: String },

    #[error("`{}` has no column `{column}`; its columns are {present}", path.display())]
    MissingColumn { path: PathBuf, column: String, present: String },

    #[error("`{}` has trials of the task `{task}`, which is none of GLUE's: {known}", path.display())]
    UnknownTask { path: PathBuf, task: String, known: String },

    #[error("`{}` has no {what}; {remedy}", path.display())]
    Nothing { path: PathBuf, what: String, remedy: String },

    #[error("`{}` is not a usable picture: {message}", path.display())]
    Picture { path: PathBuf, message: String },

    #[error("`experiments/paper.toml`: {0}")]
    Paper(#[from] toml::de::Error),

    #[error("drawing `{}` failed: {message}", path.display())]
    Drawing { path: PathBuf, message: String },
}

pub type Result<T> = std::result::Result<T, FiguresError>;

/// A run helps where the file is not there, and nowhere else.
fn remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => "run the experiment first, it writes this file",
        _ => "see that it is a file of text that you may read",
    }
}

impl FiguresError {
    /// Whether the results are whole and simply have no such values, so that the figure does not apply to them.
    pub fn is_about_absent_values(&self) -> bool {
        matches!(self, Self::MissingColumn { .. } | Self::Nothing { .. })
    }

    pub(crate) fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read { path: path.to_path_buf(), source }
    }

    pub(crate) fn write(path: &Path, source: std::io::Error) -> Self {
        Self::Write { path: path.to_path_buf(), source }
    }

    pub(crate) fn picture(path: &Path, message: impl ToString) -> Self {
        Self::Picture { path: path.to_path_buf(), message: message.to_string() }
    }

    pub(crate) fn drawing(path: &Path, message: impl ToString) -> Self {
        Self::Drawing { path: path.to_path_buf(), message: message.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_that_is_not_there_says_to_run_the_experiment() {
        let text =
            |kind: std::io::ErrorKind| FiguresError::read(Path::new("trials.csv"), kind.into()).to_string();
        assert!(
            text(std::io::ErrorKind::NotFound).ends_with("run the experiment first, it writes this file")
        );
        for kind in [std::io::ErrorKind::PermissionDenied, std::io::ErrorKind::IsADirectory] {
            assert!(text(kind).ends_with("see that it is a file of text that you may read"));
        }
    }
}
