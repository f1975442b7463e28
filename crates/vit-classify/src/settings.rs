//! The settings of one trial, as the runner resolves them from an experiment file.

use std::path::PathBuf;

use delora_core::{Group, Role, TrialConfig};
use finetune::{Common, DropoutRates, OwnSettings, at_least_one, below_one};
use runner::SettingError;
use serde::{Deserialize, Serialize};

/// Everything that decides a trial's result.
pub type Settings = finetune::Settings<PictureSettings>;

/// What is the task's own in a trial's settings.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PictureSettings {
    /// Share of all steps over which the learning rate rises from 0; then it falls to 0 on a line.
    pub warmup_ratio: f64,
    /// Passes over the training split; the last step of each has what is left.
    pub epochs: u64,
    #[serde(default)]
    pub dropout: Dropout,
    /// Folder of a vision transformer in Hugging Face's layout.
    pub model: PathBuf,
    /// Folder of labelled pictures, see [`crate::data`].
    pub data: PathBuf,
    #[serde(default = "train")]
    pub train_split: String,
    /// The split that gives the score.
    #[serde(default = "test")]
    pub test_split: String,
    /// Uses at most so many pictures of the training split, equally many of each class where there are; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_limit: Option<usize>,
    /// The same for the split that gives the score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_limit: Option<usize>,
    /// Most pictures in one pass through the network, those of all trials counted: larger batches pass in parts. No
    /// result depends on it, but for rounding.
    pub pictures_per_pass: usize,
}

/// Probabilities of dropout while training.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// For what additive low-rank updates see, and for what LoReFT changes.
    #[serde(default)]
    pub adapter: f64,
}

fn train() -> String {
    "train".to_owned()
}

fn test() -> String {
    "test".to_owned()
}

/// The projections that are adapted where `targets` does not say.
const QUERY_AND_VALUE: [Role; 2] = [Role::Query, Role::Value];

impl OwnSettings for PictureSettings {
    /// The head is trained by every method, also by the one that adapts nothing.
    const UNTRAINED: &'static [&'static str] = &[];
    const GROUPS: &'static [Group] = &[Group::Head];

    fn check(&self, _: &Common) -> Result<(), SettingError> {
        at_least_one("epochs", self.epochs as usize)?;
        at_least_one("pictures_per_pass", self.pictures_per_pass)?;
        at_least_one("train_limit", self.train_limit.unwrap_or(1))?;
        at_least_one("test_limit", self.test_limit.unwrap_or(1))?;
        below_one("warmup_ratio", self.warmup_ratio)?;
        below_one("dropout.adapter", self.dropout.adapter)?;
        for (key, split) in [("train_split", &self.train_split), ("test_split", &self.test_split)] {
            if split.is_empty() || split.starts_with('.') || split.contains(['/', '\\']) {
                let message = format!("found `{split}`; it has to be the name of a split, as `train`");
                return Err(SettingError::new(key, message));
            }
        }
        if self.train_split == self.test_split {
            let message =
                format!("found `{}`, which is `train_split` too; score on other pictures", self.test_split);
            return Err(SettingError::new("test_split", message));
        }
        Ok(())
    }
}

impl PictureSettings {
    pub fn dropout_rates(&self) -> DropoutRates {
        DropoutRates { adapter: self.dropout.adapter, ..DropoutRates::default() }
    }
}

/// The trial as delora-core takes it, of `total_steps` steps.
pub fn trial_of(settings: &Settings, total_steps: u64) -> TrialConfig {
    settings.common.trial_with_head(settings.warmup_ratio, total_steps, &QUERY_AND_VALUE)
}

#[cfg(test)]
pub mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A small trial on the shipped network and pictures.
    pub fn config(method: Value, seed: u64) -> Value {
        let mini = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini");
        json!({
            "method": method, "seed": seed, "warmup_ratio": 0.1, "epochs": 2, "batch": 8,
            "model": mini.join("dino"), "data": mini.join("pictures"), "train_limit": 24, "test_limit": 24,
            "bank": 8, "pictures_per_pass": 256,
        })
    }

    pub fn lora() -> Value {
        json!({"name": "lora", "rank": 4, "alpha": 8.0, "learning_rate": {"angles": 1e-3, "head": 2e-3}})
    }

    fn problem(change: impl Fn(&mut Value)) -> String {
        let mut config = config(lora(), 1);
        change(&mut config);
        Settings::read(&config).unwrap_err().to_string()
    }

    #[test]
    fn query_and_value_are_adapted_where_nothing_else_is_said() {
        let mut config = config(lora(), 1);
        let trial = trial_of(&Settings::read(&config).unwrap(), 10);
        assert_eq!(trial.targets, Some(delora_core::Target::roles(&[Role::Query, Role::Value])));
        config["targets"] = json!(["feed_forward_in"]);
        assert_eq!(
            trial_of(&Settings::read(&config).unwrap(), 10).targets,
            Some(delora_core::Target::roles(&[Role::FeedForwardIn]))
        );
    }

    #[test]
    fn what_cannot_be_meant_is_named_with_its_key() {
        let head = problem(|config| config["method"]["learning_rate"] = json!({"angles": 1e-3}));
        assert!(head.contains("method.lora.learning_rate.head"), "{head}");
        for (key, absurd) in [
            ("epochs", json!(0)),
            ("pictures_per_pass", json!(0)),
            ("train_limit", json!(0)),
            ("test_limit", json!(0)),
            ("warmup_ratio", json!(1.0)),
            ("warmup_ratio", json!(-0.1)),
            ("test_split", json!("train")),
            ("test_split", json!("")),
            ("train_split", json!("../other")),
        ] {
            let message = problem(|config| config[key] = absurd.clone());
            assert!(message.starts_with(&format!("{key}: found")), "{key} = {absurd}: {message}");
        }
        let dropout = problem(|config| config["dropout"] = json!({"adapter": 1.0}));
        assert!(dropout.contains("dropout.adapter: found 1") && dropout.contains("below 1"), "{dropout}");
        let unknown = problem(|config| config["epoch"] = json!(3));
        assert!(unknown.contains("epoch") && unknown.contains("`epochs`"), "{unknown}");
    }
}
