//! The tasks `glue`, a pretrained encoder finetuned on GLUE as in the paper's Tables 4 and 7, and `text-classification`, the
//! same on data of one's own.
//!
//! The data side knows no tensors:
//!
//! - [`tasks`]: what a task is, and GLUE's nine: their columns, labels and metrics;
//! - [`data`]: examples from files of GLUE, and of data sets of one's own;
//! - [`split`]: the validation set's tuning half and test half, by seed;
//! - [`tokens`]: token ids of a text or a pair of texts, from a checkpoint's tokenizer;
//! - [`metrics`]: scores of predictions.

#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod data;
pub mod metrics;
pub mod split;
pub mod tasks;
pub mod tokens;

mod batches;
#[cfg(test)]
mod broken;
mod estimate;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod invariance;
mod lesson;
mod settings;
mod workload;
mod world;

pub use settings::{Settings, trial_of};
pub use workload::{Glue, TextClassification};
