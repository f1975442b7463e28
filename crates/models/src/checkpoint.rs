//! A checkpoint in Stable Diffusion's layout: where its parts are, and their configs, read together and without weights.
//!
//! It is a folder of diffusers', or a single file in the original naming that lies in such a folder, of whose configs and
//! tokenizer it then makes use.

mod original;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::clip::ClipTextConfig;
use crate::config::Config;
use crate::scheduler::ScheduleConfig;
use crate::text::tokenizer_files;
use crate::unet::UNetConfig;
use crate::vae::VaeConfig;
use crate::weights::{Weights, WeightsError, find_weights, network_files, read_config, read_json};

/// What can be wrong with a checkpoint folder.
#[derive(Debug, thiserror::Error)]
pub enum DiffusionError {
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error(transparent)]
    Text(#[from] crate::text::TextError),
    #[error("{checkpoint}: {problem}; its parts are of different checkpoints", checkpoint = checkpoint.display())]
    Parts { checkpoint: PathBuf, problem: String },
}

/// Where a checkpoint's parts are.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    folder: PathBuf,
    /// What holds all weights, where it is not the folder's own.
    file: Option<PathBuf>,
}

impl Checkpoint {
    /// The one at `path`: a folder, or a single file in its folder.
    pub fn at(path: &Path) -> Checkpoint {
        let has_ending = |ending: &str| path.extension().is_some_and(|found| found == ending);
        let is_file = path.is_file() || has_ending("safetensors") || has_ending("ckpt");
        match path.parent().filter(|_| is_file) {
            Some(folder) => Checkpoint { folder: folder.to_owned(), file: Some(path.to_owned()) },
            None => Checkpoint { folder: path.to_owned(), file: None },
        }
    }

    /// The file that holds the weights of all parts, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// `config.json` of a part: `unet`, `vae` or `text_encoder`.
    pub fn config_file(&self, part: &str) -> PathBuf {
        self.folder.join(part).join("config.json")
    }

    pub fn schedule_file(&self) -> PathBuf {
        self.folder.join("scheduler/scheduler_config.json")
    }

    pub fn tokenizer(&self) -> PathBuf {
        self.folder.join("tokenizer")
    }

    /// The config in `file`, which is one of its own.
    pub(crate) fn read<C: Config>(&self, file: &Path) -> Result<C, WeightsError> {
        read_config(file).map_err(|error| self.explained(error))
    }

    /// `error`, or what is wrong with the whole, where that says more.
    fn explained(&self, error: WeightsError) -> WeightsError {
        let path = self.folder.join("model_index.json");
        let class =
            read_json::<Value>(&path).ok().and_then(|index| Some(index["_class_name"].as_str()?.to_owned()));
        if let Some(class) = class.filter(|class| class != PIPELINE) {
            let problem =
                format!("is of the class `{class}`, which is not supported; `{PIPELINE}` of 1.x and 2.x is");
            return WeightsError::Foreign { path, problem };
        }
        match (&self.file, error) {
            (Some(file), WeightsError::Read { path, source })
                if source.kind() == ErrorKind::NotFound && file.is_file() =>
            {
                let problem = format!(
                    "is a single file, which has weights alone: configs and tokenizer are read from the folder in which it is, and {} is \
                     not there; put it into the folder of the model that it was made from",
                    path.display()
                );
                WeightsError::Foreign { path: file.clone(), problem }
            }
            (_, error) => error,
        }
    }

    /// Weights of the denoiser under diffusers' names.
    pub fn unet(&self, config: &UNetConfig) -> Result<Weights, WeightsError> {
        self.part("unet", original::UNET, |name| original::unet(name, config.layers_per_block))
    }

    /// Weights of the VAE under diffusers' names.
    pub fn vae(&self, config: &VaeConfig) -> Result<Weights, WeightsError> {
        self.part("vae", original::VAE, |name| original::vae(name, config.block_out_channels.len()))
    }

    /// Weights of the text encoder under transformers' names, or OpenCLIP's.
    pub fn text_encoder(&self, config: &ClipTextConfig) -> Result<Weights, WeightsError> {
        let ours = |name: &str| original::text_encoder(name, config.num_hidden_layers);
        self.part("text_encoder", original::TEXT_ENCODER, ours)
    }

    fn part(
        &self,
        part: &str,
        starts: &[&str],
        ours: impl Fn(&str) -> Option<String>,
    ) -> Result<Weights, WeightsError> {
        let Some(weights) = self.single()? else {
            return Weights::open(&find_weights(&self.folder.join(part))?);
        };
        let part_weights = weights.renamed(ours);
        if part_weights.tensors().is_empty() {
            let problem = format!(
                "has nothing of the part `{part}`: no tensor whose name begins with `{}`",
                starts.join("` or `")
            );
            return Err(WeightsError::Foreign { path: part_weights.path().to_owned(), problem });
        }
        Ok(part_weights)
    }

    /// All of the single file.
    fn single(&self) -> Result<Option<Weights>, WeightsError> {
        let Some(file) = &self.file else { return Ok(None) };
        if file.extension().is_none_or(|ending| ending != "safetensors") {
            let problem = "is no safetensors file; single files are read in that form alone".to_owned();
            return Err(WeightsError::Foreign { path: file.clone(), problem });
        }
        let weights = Weights::open(file)?;
        original::check(&weights)?;
        Ok(Some(weights))
    }

    /// What a single file calls the denoiser's tensors, by diffusers' names; empty for a folder.
    pub fn original_unet_names(&self) -> Result<BTreeMap<String, String>, WeightsError> {
        let Some(weights) = self.single()? else { return Ok(BTreeMap::new()) };
        let config: UNetConfig = self.read(&self.config_file("unet"))?;
        let ours = |name: &str| original::unet(name, config.layers_per_block);
        let names = weights.tensors().iter().map(|tensor| &tensor.name);
        Ok(names.filter_map(|name| Some((ours(name)?, name.clone()))).collect())
    }

    /// All files that it is loaded from.
    pub fn files(&self) -> Result<Vec<PathBuf>, WeightsError> {
        let mut files = vec![self.schedule_file()];
        for part in ["unet", "vae", "text_encoder"] {
            match self.file {
                None => files.extend(network_files(&self.folder.join(part))?),
                Some(_) => files.push(self.config_file(part)),
            }
        }
        files.extend(self.file.clone());
        let text: ClipTextConfig = self.read(&self.config_file("text_encoder"))?;
        files.extend(tokenizer_files(&self.tokenizer(), &text));
        Ok(files)
    }
}

/// The class under `_class_name` in `model_index.json` of what is supported.
const PIPELINE: &str = "StableDiffusionPipeline";

/// What the folders of a checkpoint say of themselves.
#[derive(Debug, Clone)]
pub struct CheckpointConfigs {
    pub unet: UNetConfig,
    pub vae: VaeConfig,
    pub text_encoder: ClipTextConfig,
    pub schedule: ScheduleConfig,
}

impl CheckpointConfigs {
    /// Errors: as [`read_config`], and parts that do not go together.
    pub fn read(checkpoint: &Path) -> Result<CheckpointConfigs, DiffusionError> {
        let parts = Checkpoint::at(checkpoint);
        let configs = CheckpointConfigs {
            unet: parts.read(&parts.config_file("unet"))?,
            vae: parts.read(&parts.config_file("vae"))?,
            text_encoder: parts.read(&parts.config_file("text_encoder"))?,
            schedule: parts.read(&parts.schedule_file())?,
        };
        configs
            .check()
            .map_err(|problem| DiffusionError::Parts { checkpoint: checkpoint.to_owned(), problem })?;
        Ok(configs)
    }

    fn check(&self) -> Result<(), String> {
        let CheckpointConfigs { unet, vae, text_encoder, .. } = self;
        for (ours, size, theirs, other) in [
            ("unet: `in_channels`", unet.in_channels, "vae: `latent_channels`", vae.latent_channels),
            (
                "unet: `cross_attention_dim`",
                unet.cross_attention_dim,
                "text_encoder: `hidden_size`",
                text_encoder.hidden_size,
            ),
            ("vae: `in_channels`", vae.in_channels, "a picture's channels", 3),
            ("vae: `out_channels`", vae.out_channels, "a picture's channels", 3),
        ] {
            if size != other {
                return Err(format!("{ours} is {size}, {theirs} {other}"));
            }
        }
        Ok(())
    }
}
