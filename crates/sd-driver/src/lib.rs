//! The paper's experiments with Stable Diffusion: subject-driven generation (in `subject`), and semantic map to image (in
//! `semantic`).
//!
//! Trials run in banks (see delora-core): training, sampling and scoring all carry the trial axis. What the two tasks
//! share, such as a step's noise and sampling, is beside their folders.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod dino;
mod estimate;
#[cfg(test)]
mod identity;
mod moments;
mod pass;
mod pictures;
mod plan_check;
mod sampling;
mod semantic;
mod subject;

/// The row of real pictures, scored as drawn ones are; nothing is trained.
pub(crate) const REAL_IMAGES: &str = "real_images";

pub use semantic::SemanticMap;
pub use subject::{Settings, SubjectDriven, protocol_prompts, sites};
