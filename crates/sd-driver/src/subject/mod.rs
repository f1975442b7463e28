//! Subject-driven generation: DreamBooth's protocol with adapters on the denoiser's attention.
//!
//! A trial adapts the attention projections to a few pictures of one subject under an identifier token, then draws every
//! prompt and is scored by DINO and CLIP.

#[cfg(test)]
pub(crate) mod broken;
mod dreambooth;
mod estimate;
mod evaluate;
#[cfg(test)]
mod impossible;
#[cfg(test)]
mod invariance;
mod lesson;
#[cfg(test)]
mod photographs;
mod selection;
pub(crate) mod settings;
pub(crate) mod subjects;
mod workload;
pub(crate) mod world;

pub use settings::Settings;
pub use subjects::protocol_prompts;
pub use workload::SubjectDriven;
pub use world::sites;
