//! Frozen networks in Hugging Face layout.
//!
//! Every network is built in a [`tch::nn::VarStore`] whose variable names are the state-dict names of the
//! reference implementation; [`weights::naming`] has those of other generations and libraries. Sizes come from the
//! checkpoint's `config.json`. The layers and hidden states of an [`Adaptable`] network go through a [`Hook`];
//! the networks know neither methods nor the trial axis.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod attention;
pub mod checkpoint;
pub mod clip;
pub mod config;
pub mod control;
mod conv_norm;
pub mod decoder;
pub mod diffusion;
pub mod frechet;
pub mod images;
pub mod inception;
pub mod inputs;
mod known_keys;
mod layers;
pub mod listing;
mod loaded;
pub mod networks;
pub mod palette;
mod published;
pub mod roberta;
pub mod scheduler;
pub mod segmentation;
pub mod shapes;
pub mod text;
pub mod unet;
pub mod upernet;
pub mod vae;
pub mod vit;
pub mod weights;

pub use delora_core::{Place, Role};
pub use fused::DropoutMask;
pub use layers::{
    Activation, Adaptable, Conv2d, Dropout, Embedding, Frozen, GroupNorm, Hidden, HiddenSite, Hook,
    LayerNorm, Learned, Linear, RmsNorm,
};
pub use loaded::Loaded;
pub use weights::{
    WeightsError, find_weights, load_weights, network_files, read_config, read_json, save_weights,
    weight_files,
};
