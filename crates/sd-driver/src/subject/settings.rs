//! The settings of one trial, as the runner resolves them from an experiment file.

use std::path::PathBuf;

use delora_core::{Role, Schedule, TrialConfig};
use finetune::{Common, NONE, OwnSettings, at_least_one, enough, positive};
use models::diffusion::Sampling;
use runner::SettingError;
use serde::{Deserialize, Serialize};

use crate::REAL_IMAGES;
use crate::dino::{DinoPreprocessing, is_default};

/// DreamBooth's prompts of a class.
const PROMPTS: usize = 25;

/// Everything that decides a trial's result.
pub type Settings = finetune::Settings<SubjectDrivenSettings>;

/// What is subject-driven generation's own in a trial's settings. With prior preservation a step has as many pictures of
/// the class on top.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectDrivenSettings {
    pub subject: SubjectSettings,
    #[serde(default)]
    pub schedule: Schedule,
    /// The rare token that names the subject.
    pub identifier: String,
    /// Folder of a checkpoint in Stable Diffusion's layout.
    pub model: PathBuf,
    /// Folder in DreamBooth's layout: a folder of pictures per subject, and `prompts_and_classes.txt`.
    pub data: PathBuf,
    pub evaluators: Evaluators,
    /// Side of the training pictures in pixels.
    pub resolution: u32,
    /// Squares that are cut at random from each training picture, once, the same for every trial; a step learns from one
    /// of them. Absent: the centre square.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random_crops: Option<usize>,
    pub train_steps: u64,
    /// Absent: off.
    #[serde(default)]
    pub prior_preservation: Option<PriorPreservation>,
    pub sampling: Sampling,
    pub pictures_per_prompt: usize,
    /// Which weights the metrics are of.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scored: Scored,
    /// Draws only the first prompts of the 25; absent: all.
    #[serde(default)]
    pub first_prompts: Option<usize>,
    /// Keeps only what goes into each block of the network in training, and computes the blocks again on the way back:
    /// less memory, a third more time, the same result.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub checkpointing: bool,
    /// Lays pictures out with the channels last in the denoiser, which changes rounding alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub channels_last: bool,
}

/// The projections that subject-driven generation adapts.
const ATTENTION: [Role; 4] = [Role::Query, Role::Key, Role::Value, Role::Output];

/// What is adapted to: a folder of pictures and the word for what they show.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectSettings {
    pub name: String,
    pub class: String,
    /// The pictures; absent: the folder `name` under `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Whether the prompts for living things are meant; absent: cats and dogs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<bool>,
}

/// Folders of the networks that score.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluators {
    pub dino: PathBuf,
    pub clip: PathBuf,
    #[serde(default, skip_serializing_if = "is_default")]
    pub dino_preprocessing: DinoPreprocessing,
    /// A second CLIP, in practice ViT-B/32 beside ViT-L/14, for `clip_i_b32` and `clip_t_b32`; absent: neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_b32: Option<PathBuf>,
}

/// Pictures of the class, drawn by the base model, that the adapted model must still be able to denoise.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PriorPreservation {
    pub weight: f64,
    pub class_pictures: usize,
    /// How they are drawn; absent: as the scored pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
}

/// Which weights a trial's metrics are of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scored {
    /// Those of the last step.
    #[default]
    Last,
    /// Those of the step with the best DINO among `evaluate_at` and the last; chosen on the pictures that are reported.
    Best,
}

impl OwnSettings for SubjectDrivenSettings {
    const ROWS: &'static [&'static str] = &[REAL_IMAGES];
    const UNTRAINED: &'static [&'static str] = &[REAL_IMAGES, NONE];

    fn check(&self, common: &Common) -> Result<(), SettingError> {
        at_least_one("pictures_per_prompt", self.pictures_per_prompt)?;
        at_least_one("sampling.steps", self.sampling.steps)?;
        at_least_one("random_crops", self.random_crops.unwrap_or(1))?;
        at_least_one("first_prompts", self.first_prompts.unwrap_or(1))?;
        enough("first_prompts", self.first_prompts, PROMPTS, "a class's list of prompts")?;
        if let Some(prior) = self.prior_preservation {
            at_least_one("prior_preservation.class_pictures", prior.class_pictures)?;
            positive("prior_preservation.weight", prior.weight)?;
        }
        if self.resolution == 0 || !self.resolution.is_multiple_of(8) {
            let message = format!("found {}; it has to be a multiple of 8", self.resolution);
            return Err(SettingError::new("resolution", message));
        }
        if !Self::UNTRAINED.contains(&common.method.name.as_str()) {
            at_least_one("train_steps", self.train_steps as usize)?;
        }
        common.check_evaluate_at(self.train_steps)
    }
}

/// The trial as delora-core takes it.
pub fn trial_of(settings: &Settings) -> TrialConfig {
    settings.common.trial(settings.schedule.clone(), &ATTENTION)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config() -> Value {
        json!({
            "method": {"name": "lora", "rank": 4, "alpha": 8.0, "learning_rate": {"angles": 1e-3}},
            "seed": 1, "subject": {"name": "a", "class": "cat"}, "identifier": "qwe",
            "learning_rate_multiplier": 4.0,
            "model": "m", "data": "d", "evaluators": {"dino": "e", "clip": "f"},
            "resolution": 64, "train_steps": 2, "batch": 1,
            "sampling": {"steps": 2, "guidance_scale": 4.0}, "pictures_per_prompt": 1,
            "bank": 2, "tracked_layer": "x", "track_every": 1,
        })
    }

    fn problem(change: impl Fn(&mut Value)) -> String {
        let mut config = config();
        change(&mut config);
        Settings::read(&config).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_meant_is_named_with_its_key() {
        let unknown = problem(|config| config["identifer"] = json!("qwe"));
        assert!(unknown.contains("identifer") && unknown.contains("`identifier`"), "{unknown}");
        let method = problem(|config| config["method"]["name"] = json!("delroa"));
        assert!(method.contains("method.name") && method.contains("did you mean `delora`"), "{method}");
        let missing = problem(|config| config["method"]["learning_rate"] = json!({}));
        assert!(missing.contains("method.lora.learning_rate.angles"), "{missing}");
        let idle = problem(|config| config["method"]["learning_rate"]["strength"] = json!(1.0));
        assert!(idle.contains("learning_rate.strength") && idle.contains("remove"), "{idle}");
        let size = problem(|config| config["resolution"] = json!(60));
        assert!(size.contains("resolution") && size.contains("multiple of 8"), "{size}");
        let late = problem(|config| config["evaluate_at"] = json!([0, 3]));
        assert!(late.contains("evaluate_at: found 3") && late.contains("ends at step 2"), "{late}");
        for weight in [0.0, -1.0, 1e300] {
            let prior = json!({"weight": weight, "class_pictures": 1});
            let message = problem(|config| config["prior_preservation"] = prior.clone());
            assert!(message.contains("prior_preservation.weight: found"), "{message}");
        }
        let zero = problem(|config| config["sampling"]["steps"] = json!(0));
        assert!(zero.contains("sampling.steps") && zero.contains("at least 1"), "{zero}");
    }
}
