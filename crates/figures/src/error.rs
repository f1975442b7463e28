//! What can go wrong between a CSV and its figure.

use std::path::{Path, PathBuf};

use results::ResultsError;

/// Why a figure cannot be drawn; each message names the file.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum FiguresError {
    #[error("figure `{name}` is not known; `figures` may list {known}")]
    UnknownFigure { name: String, known: String },

    #[error(transparent)]
    Results(#[from] ResultsError),

    #[error("cannot write `{}`: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },

    #[error("`{}` is not a usable picture: {message}", path.display())]
    Picture { path: PathBuf, message: String },

    #[error("`experiments/paper.toml`: {0}")]
    Paper(#[from] toml::de::Error),

    #[error("drawing `{}` failed: {message}", path.display())]
    Drawing { path: PathBuf, message: String },
}

/// The result of drawing.
pub type Result<T> = std::result::Result<T, FiguresError>;

impl FiguresError {
    /// Whether the results are whole and only lack such values, so that the figure does not apply to them.
    pub fn is_about_absent_values(&self) -> bool {
        matches!(self, Self::Results(error) if error.is_about_absent_values())
    }

    /// The error about a file that has none of what a figure needs.
    pub(crate) fn nothing(path: &Path, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        ResultsError::nothing(path, what, remedy).into()
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
