//! The task `instruct`: a decoder finetuned on instructions, as in the paper's Table 5.
//!
//! The data side knows no tensors:
//!
//! - [`alpaca`]: instructions in Alpaca's template, and their split;
//! - [`conversations`]: rows of any columns as texts to learn from, by a template or the model's own;
//! - [`chat`]: the template that a checkpoint ships;
//! - [`templates`]: those of experiment files, and which columns are read;
//! - [`tokens`]: token ids of texts, and texts of token ids;
//! - [`tasks`]: what is asked after training, described in TOML;
//! - [`requests`]: questions as prompts and continuations;
//! - [`metrics`]: scores of log-likelihoods.
//!
//! [`scoring`] and [`generate`] run a decoder under a bank: log-likelihoods of continuations, and sampling.

#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod alpaca;
pub mod chat;
pub mod conversations;
pub mod generate;
pub mod metrics;
pub mod requests;
pub mod scoring;
pub mod tasks;
pub mod templates;
pub mod tokens;

#[cfg(test)]
mod broken;
mod estimate;
mod examples;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod invariance;
mod lesson;
mod settings;
pub mod training;
mod workload;
mod world;

pub use estimate::bytes_per_token;
pub use examples::Example;
pub use settings::{Evaluation, InstructSettings, LossMean, LossOn, Settings};
pub use workload::Instruct;
pub use world::Network;
