//! Where in a file of data something is wrong.

use std::fmt;
use std::path::PathBuf;

/// A row of a file, or a line of it, numbered from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub path: PathBuf,
    /// What is counted, as in "row" or "line".
    pub unit: &'static str,
    pub number: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}: {} {}", self.path.display(), self.unit, self.number)
    }
}
