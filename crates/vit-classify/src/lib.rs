//! The task `image-classification`: a pretrained vision transformer finetuned on labelled pictures.
//!
//! Every trial trains a linear head on the class token's features, and its method's adapters in the transformer. Its
//! score is the accuracy on a held-out split. [`data`] reads pictures from folders or parquet files and knows no tensors.

#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod data;

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

pub use settings::Settings;
pub use workload::ImageClassification;
