//! What the records add up to: choices of tuning, means over replicates, tables, and a README.

pub(crate) mod files;
mod phases;
mod readme;
mod summary;
mod tuning;

pub(crate) use phases::Phased;
pub use phases::{Phase, TunedPoint};
pub(crate) use tuning::phased_by;
