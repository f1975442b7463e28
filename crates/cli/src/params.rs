//! Counts of trained parameters from a model's shapes, beside those that the paper prints.

mod count;
mod printed;
mod published;

pub use count::{Count, Model};
pub use printed::grouped;
pub use published::{facts, settings, table};
