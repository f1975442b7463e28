//! Experiment files, and the trials that they ask for.

mod expansion;
mod experiment;
mod grid;
mod header;
mod include;
mod layers;
mod names;
mod sections;
mod trials;

pub use experiment::{Experiment, Remedy};
pub use grid::{Grid, TunedAxis};
pub(crate) use grid::{cell, setting};
pub use header::{Confirm, Direction, Header, Tuning};
