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
mod trainer;
mod unet;
mod vae;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tch::{Kind, Tensor, nn};

use crate::photos::{Photo, read_photos};

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

/// Where and how the networks are trained.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder that is shipped, `assets/mini`.
    pub out: PathBuf,
    /// Checkpoints and logs.
    pub work: PathBuf,
    /// Tiny ImageNet in hub layout; segmenter, condition, encoder and decoder need none.
    pub photos: Option<PathBuf>,
    pub seed: u64,
    /// Compute in bf16: several times faster on CPUs with AMX and on GPUs, slower on other CPUs.
    pub bf16: bool,
    /// Steps instead of the recipe's, for a quick look.
    pub steps: Option<u64>,
}

impl Options {
    fn kind(&self) -> Kind {
        if self.bf16 { Kind::BFloat16 } else { Kind::Float }
    }

    fn photos(&self, split: &str) -> Result<Arc<Vec<Photo>>> {
        let folder =
            self.photos.as_deref().context("photographs are needed; name their folder by `--photos`")?;
        Ok(Arc::new(read_photos(folder, split)?))
    }

    /// Folder of the diffusion model, laid out as Stable Diffusion's.
    fn diffusion(&self) -> PathBuf {
        self.out.join("sd")
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

/// Writes a network into `folder` as `config.json` and `file`, in fp16.
fn ship(store: &nn::VarStore, config: &impl Serialize, class: &str, folder: &Path, file: &str) -> Result<()> {
    ship_tensors(&trainer::named(store), config, class, folder, file)
}

/// As [`ship`], of what is named.
fn ship_tensors(
    tensors: &[(String, Tensor)],
    config: &impl Serialize,
    class: &str,
    folder: &Path,
    file: &str,
) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let mut config = serde_json::to_value(config)?;
    let Some(table) = config.as_object_mut() else { bail!("a configuration is a table") };
    table.insert("_class_name".to_owned(), class.into());
    write_json(&folder.join("config.json"), &config)?;
    Ok(models::save_weights(tensors, Kind::Half, &folder.join(file))?)
}

/// How the mini vision towers take pictures: as the rest of the mini world has them, in [-1, 1].
fn ship_preprocessor(folder: &Path) -> Result<()> {
    let config = serde_json::json!({"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]});
    write_json(&folder.join("preprocessor_config.json"), &config)
}

fn write_json(path: &Path, value: &serde_json::Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value)? + "\n";
    std::fs::write(path, text).with_context(|| format!("{}: cannot be written", path.display()))
}
