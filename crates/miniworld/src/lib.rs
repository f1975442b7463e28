//! The mini world: small captioned pictures that make the paper's phenomena measurable on a CPU, and the recipes of
//! the networks trained on them.
//!
//! Scenes are procedural: an object of one of DreamBooth's classes, in one of the contexts, outfits or attributes of
//! DreamBooth's 25 prompts, so that the protocol is word for word the same at every scale. Beside them are sentences of
//! the same objects, for an encoder and for tasks that mirror GLUE's, and facts about invented creatures, for a decoder, for
//! instructions, and for exams.

#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod contexts;
pub mod glue;
pub mod instance;
pub mod instruct;
pub mod knowledge;
pub mod language;
mod noise;
pub mod objects;
pub mod pairs;
pub mod photos;
pub mod pretrain;
pub mod prompts;
mod raster;
pub mod scene;
pub mod subjects;

pub use prompts::{prompts, vocabulary};
pub use scene::{Rendered, Scene};
pub use subjects::{Subject, subjects};

/// Side of a picture in pixels.
pub const SIZE: usize = 64;
