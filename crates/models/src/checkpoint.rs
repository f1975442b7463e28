//! The configs of a checkpoint in Stable Diffusion's layout, read together and without weights.

use std::path::{Path, PathBuf};

use crate::clip::ClipTextConfig;
use crate::scheduler::ScheduleConfig;
use crate::unet::UNetConfig;
use crate::vae::VaeConfig;
use crate::weights::{WeightsError, read_config};

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

/// Where a checkpoint has its schedule.
pub(crate) const SCHEDULE_FILE: &str = "scheduler/scheduler_config.json";

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
        let configs = CheckpointConfigs {
            unet: read_config(&checkpoint.join("unet/config.json"))?,
            vae: read_config(&checkpoint.join("vae/config.json"))?,
            text_encoder: read_config(&checkpoint.join("text_encoder/config.json"))?,
            schedule: read_config(&checkpoint.join(SCHEDULE_FILE))?,
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
