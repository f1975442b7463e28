//! Results folders for the tests of this crate.

use crate::trials::Trials;

/// A folder with this `trials.csv`.
pub fn folder(trials: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("trials.csv"), trials).unwrap();
    folder
}

/// The trials of this `trials.csv`.
pub fn trials(text: &str) -> Trials {
    Trials::read(folder(text).path()).unwrap()
}
