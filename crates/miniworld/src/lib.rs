//! The mini world: small pictures with captions, and sentences about them, drawn by seeds: one seed always draws the
//! same. It stands in for photographs and texts that take days of a GPU, so that what the paper measures can be
//! measured on a CPU in minutes. The small networks of `assets/mini` are trained on it by the recipes in
//! [`pretrain`].
//!
//! A picture, a [`Scene`], shows an object of one of DreamBooth's classes in one of the contexts, outfits or
//! attributes of DreamBooth's 25 prompts, so that the protocol is word for word the same at every scale. [`language`]
//! has sentences about the same objects, for an encoder and for the tasks in [`glue`], which mirror GLUE's.
//! [`knowledge`] has facts about invented creatures, for a decoder, for the instructions and for the exams in
//! [`instruct`].

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
mod phrases;
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
