//! The paper's experiments with Stable Diffusion: subject-driven generation, DreamBooth's protocol with adapters on the
//! UNet's attention; and semantic map to image (in `semantic`).
//!
//! A trial adapts the attention projections to a few pictures of one subject under an identifier token, then
//! draws every prompt and is scored by DINO and CLIP. Trials run in banks (see delora-core); training, sampling
//! and scoring all carry the trial axis.

#![deny(clippy::print_stdout, clippy::print_stderr)]

#[cfg(test)]
mod broken;
mod dreambooth;
mod estimate;
mod evaluate;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod impossible;
#[cfg(test)]
mod invariance;
mod lesson;
mod moments;
mod pass;
#[cfg(test)]
mod photographs;
mod pictures;
mod plan_check;
mod sampling;
mod selection;
mod semantic;
mod settings;
mod subject;
mod workload;
mod world;

pub use semantic::SemanticMap;
pub use settings::Settings;
pub use subject::protocol_prompts;
pub use workload::SubjectDriven;
pub use world::sites;
