//! The settings of one trial of semantic map to image.

use std::path::PathBuf;

use delora_core::{Group, Role, Schedule, TrialConfig};
use finetune::{Common, NONE, OwnSettings, at_least_one, positive};
use models::diffusion::Sampling;
use runner::SettingError;
use serde::{Deserialize, Serialize};

use crate::REAL_IMAGES;

/// The row of the condition encoder alone, without adapters.
pub const ENCODER_ONLY: &str = "encoder_only";

/// Everything that decides a trial's result.
pub type Settings = finetune::Settings<SemanticSettings>;

/// What is this task's own in a trial's settings. The condition encoder's rate is never multiplied.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SemanticSettings {
    #[serde(default)]
    pub schedule: Schedule,
    /// Folder of a checkpoint in Stable Diffusion's layout.
    pub model: PathBuf,
    /// Folder of pairs, see [`super::pairs::list`].
    pub data: PathBuf,
    pub condition_encoder: ConditionSettings,
    pub evaluators: Evaluators,
    /// Side of pictures and label maps in pixels.
    pub resolution: u32,
    /// Passes over the training pairs; the last step of a pass has what is left.
    pub epochs: u64,
    /// Whether each epoch has its own order, drawn by the seed.
    #[serde(default = "yes")]
    pub shuffle: bool,
    /// Learns from the first training pairs only; absent: all.
    #[serde(default)]
    pub train_limit: Option<usize>,
    /// Draws the first validation maps only; absent: all.
    #[serde(default)]
    pub validation_limit: Option<usize>,
    pub sampling: Sampling,
    /// Keeps only what goes into each block of the network in training, and computes the blocks again on the way back:
    /// less memory, a third more time, the same result.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub checkpointing: bool,
    /// Lays pictures out with the channels last in the denoiser, which changes rounding alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub channels_last: bool,
}

/// ControlNet's condition encoder: what the label map passes before the denoiser sees it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ConditionSettings {
    /// A ControlNet's file or folder; absent: fresh weights, of which the last layer's are zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<PathBuf>,
    /// Widths of its levels; each level but the first halves the map's side.
    #[serde(default = "control_widths")]
    pub channels: Vec<i64>,
    /// Of its weights, which every trial trains for its own; absent: they are frozen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
}

/// Folders of the networks that score.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluators {
    /// An UPerNet.
    pub segmenter: PathBuf,
    /// The network whose features the Fréchet distance compares: Inception-v3, or a ViT.
    pub features: PathBuf,
}

fn control_widths() -> Vec<i64> {
    vec![16, 32, 96, 256]
}

fn yes() -> bool {
    true
}

/// The layers that semantic map to image adapts (OFT's code: attention and GEGLU).
const TARGETS: [Role; 5] = [Role::Query, Role::Key, Role::Value, Role::Output, Role::FeedForwardIn];

impl OwnSettings for SemanticSettings {
    const ROWS: &'static [&'static str] = &[REAL_IMAGES, NONE, ENCODER_ONLY];
    const UNTRAINED: &'static [&'static str] = &[REAL_IMAGES, NONE];

    fn check(&self, _: &Common) -> Result<(), SettingError> {
        at_least_one("epochs", self.epochs as usize)?;
        at_least_one("sampling.steps", self.sampling.steps)?;
        at_least_one("train_limit", self.train_limit.unwrap_or(1))?;
        // Features of one picture have no covariance.
        if self.validation_limit.is_some_and(|limit| limit < 2) {
            return Err(SettingError::new("validation_limit", "has to be at least 2"));
        }
        if self.resolution == 0 || !self.resolution.is_multiple_of(8) {
            let message = format!("found {}; it has to be a multiple of 8", self.resolution);
            return Err(SettingError::new("resolution", message));
        }
        let ConditionSettings { pretrained, channels, learning_rate } = &self.condition_encoder;
        match learning_rate {
            Some(rate) => positive("condition_encoder.learning_rate", *rate)?,
            None if pretrained.is_none() => {
                let message = "names no `pretrained` weights and trains none: the label map would not be seen; set \
                               `condition_encoder.learning_rate`";
                return Err(SettingError::new("condition_encoder", message));
            }
            None => {}
        }
        if channels.is_empty() || channels.iter().any(|&width| width < 1) {
            let message = format!("found {channels:?}; it has to list positive widths");
            return Err(SettingError::new("condition_encoder.channels", message));
        }
        Ok(())
    }
}

/// The trial as delora-core takes it.
pub fn trial_of(settings: &Settings) -> TrialConfig {
    let mut trial = settings.common.trial(settings.schedule.clone(), &TARGETS);
    if trial.method.name == ENCODER_ONLY {
        trial.method.name = NONE.to_owned();
    }
    if let Some(rate) = settings.condition_encoder.learning_rate {
        trial.learning_rate.extend([Group::Head, Group::HeadBias].map(|group| (group, rate)));
    }
    trial
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config() -> Value {
        json!({
            "method": {"name": "lora", "rank": 4, "alpha": 8.0, "learning_rate": {"angles": 1e-3}},
            "seed": 1, "learning_rate_multiplier": 4.0, "model": "m", "data": "d",
            "condition_encoder": {"channels": [8, 16], "learning_rate": 1e-4},
            "evaluators": {"segmenter": "s", "features": "f"},
            "resolution": 64, "epochs": 2, "batch": 4, "sampling": {"steps": 2, "guidance_scale": 4.0},
            "bank": 2, "tracked_layer": "x", "track_every": 1,
        })
    }

    #[test]
    fn the_multiplier_is_for_the_method_and_not_for_the_condition_encoder() {
        let trial = trial_of(&Settings::read(&config()).unwrap());
        let rates = trial.learning_rate;
        assert_eq!((rates[&Group::Angles], rates[&Group::Head], rates[&Group::HeadBias]), (4e-3, 1e-4, 1e-4));
        assert!(trial.targets.unwrap().contains(&delora_core::Target::Role(Role::FeedForwardIn)));
    }

    #[test]
    fn the_encoder_alone_is_a_trial_without_adapters() {
        let mut config = config();
        config["method"] = json!({"name": "encoder_only"});
        let settings = Settings::read(&config).unwrap();
        assert!(settings.trains());
        assert_eq!(trial_of(&settings).method.name, "none");
    }

    #[test]
    fn what_cannot_be_meant_is_named_with_its_key() {
        let problem = |pointer: &str, value: Value| {
            let mut config = config();
            *config.pointer_mut(pointer).unwrap() = value;
            Settings::read(&config).unwrap_err().to_string()
        };
        let unseen = problem("/condition_encoder", json!({}));
        assert!(
            unseen.contains("would not be seen") && unseen.contains("condition_encoder.learning_rate"),
            "{unseen}"
        );
        let method = problem("/method/name", json!("lroa"));
        assert!(method.contains("did you mean `lora`"), "{method}");
        let widths = problem("/condition_encoder/channels", json!([]));
        assert!(widths.contains("condition_encoder.channels"), "{widths}");
        let epochs = problem("/epochs", json!(0));
        assert!(epochs.contains("epochs") && epochs.contains("at least 1"), "{epochs}");
    }
}
