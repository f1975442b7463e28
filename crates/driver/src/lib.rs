//! What all drivers have in common: a method in an experiment file, precision, digests of inputs, checkpoints, where trials
//! run.

mod checkpoint;
mod cost;
mod digests;
mod machine;
mod method;

pub use checkpoint::{Record, read_losses, resume, save};
pub use cost::{fastest_of_three, trained_parameters};
pub use digests::Digests;
pub use machine::{Precision, provenance, shared, workers};
pub use method::{MethodSettings, Rates, at_least_one, positive};
