//! Semantic map to image: a picture for a label map and a caption, with adapters on attention and GEGLU and a condition
//! encoder in front (paper, Table 2; OFT's and ETHER's code).
//!
//! The encoder's features are added once, behind the denoiser's first layer; there is no copy of the network as in
//! ControlNet. Each trial trains an encoder of its own, side by side with the others of its bank.

mod corpus;
mod evaluators;
#[cfg(test)]
mod invariance;
mod lesson;
mod masks;
mod pairs;
mod scores;
mod settings;
mod workload;
mod world;

pub use workload::SemanticMap;
#[cfg(test)]
pub(crate) use {corpus::Corpus, settings::Settings, world::World};
