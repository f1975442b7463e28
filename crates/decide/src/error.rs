//! What can keep a statement from being decided.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    #[error("`{}`, line {line}: {message}", path.display())]
    Claims { path: PathBuf, line: usize, message: String },

    #[error("`{}` is no design: {message}; a changed design is a new one, beside it", path.display())]
    Design { path: PathBuf, message: String },

    #[error(transparent)]
    Results(#[from] results::ResultsError),
}

pub type Result<T> = std::result::Result<T, DecideError>;
