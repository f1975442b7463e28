//! `delora pretrain`: the recipes of the small networks in `assets/mini`.
//!
//! Each is resumable (`runs/pretrain/<model>/checkpoint.safetensors`), seeded, and logged
//! (`runs/pretrain/<model>/log.csv`). What is shipped is the moving average, as fp16 safetensors in the folder
//! layout of the network it stands for.

mod clip;
mod condition;
mod data;
mod decoder;
mod dino;
mod encoder;
mod report;
mod segmenter;
mod shipping;
mod trainer;
mod unet;
mod vae;

use std::str::FromStr;

use anyhow::Result;

pub use shipping::Options;

/// A network of the mini world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    Vae,
    Clip,
    Dino,
    Segmenter,
    UNet,
    Condition,
    Encoder,
    Decoder,
    /// No network: the evaluation of the others, `REPORT.md`.
    Report,
}

impl FromStr for Model {
    type Err = String;

    fn from_str(text: &str) -> Result<Model, String> {
        match text {
            "vae" => Ok(Model::Vae),
            "clip" => Ok(Model::Clip),
            "dino" => Ok(Model::Dino),
            "segmenter" => Ok(Model::Segmenter),
            "unet" => Ok(Model::UNet),
            "condition" => Ok(Model::Condition),
            "encoder" => Ok(Model::Encoder),
            "decoder" => Ok(Model::Decoder),
            "report" => Ok(Model::Report),
            _ => Err(format!(
                "`{text}` is none of all, vae, clip, dino, segmenter, unet, condition, encoder, decoder, report"
            )),
        }
    }
}

/// Trains `model` to the end of its recipe and writes it into the folder that is shipped; or writes the report.
pub fn run(model: Model, options: &Options) -> Result<()> {
    tch::manual_seed(options.seed as i64);
    match model {
        Model::Vae => vae::run(options),
        Model::Clip => clip::run(options),
        Model::Dino => dino::run(options),
        Model::Segmenter => segmenter::run(options),
        Model::UNet => unet::run(options),
        Model::Condition => condition::run(options),
        Model::Encoder => encoder::run(options),
        Model::Decoder => decoder::run(options),
        Model::Report => report::run(options),
    }
}
