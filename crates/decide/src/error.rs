//! What can keep a statement from being decided.

use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    #[error("cannot read `{}`: {source}; {remedy}", path.display())]
    Read { path: PathBuf, source: std::io::Error, remedy: &'static str },

    #[error("`{}`, line {line}: {message}", path.display())]
    Claims { path: PathBuf, line: usize, message: String },

    #[error("`{}` is no design: {message}; a changed design is a new one, beside it", path.display())]
    Design { path: PathBuf, message: String },

    #[error(transparent)]
    Results(#[from] results::ResultsError),
}

pub type Result<T> = std::result::Result<T, DecideError>;

/// The text of a file; the remedy is for one that is not there.
pub(crate) fn read(path: &Path, remedy: &'static str) -> Result<String> {
    std::fs::read_to_string(path).map_err(|source| DecideError::Read {
        path: path.to_path_buf(),
        remedy: match source.kind() {
            std::io::ErrorKind::NotFound => remedy,
            _ => "see that it is a file of text that you may read",
        },
        source,
    })
}
