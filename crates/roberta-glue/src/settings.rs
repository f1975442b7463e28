//! The settings of one trial, as the runner resolves them from an experiment file.

use std::path::{Path, PathBuf};

use delora_core::{Group, Role, TrialConfig};
use finetune::{Common, DropoutRates, OwnSettings, at_least, at_least_one, below_one};
use models::roberta::EncoderConfig;
use runner::SettingError;
use serde::{Deserialize, Serialize};

use crate::data::{self, DataError, Dataset, Example, Split};
use crate::split::{Halves, TooFewRows, halves};
use crate::tasks::{self, TextTask};

/// Everything that decides a trial's result.
pub type Settings = finetune::Settings<GlueSettings>;

/// What is GLUE's own in a trial's settings.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GlueSettings {
    /// One of [`tasks`]' names; absent: `dataset` says the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glue_task: Option<String>,
    /// A data set of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<Dataset>,
    /// Share of all steps over which the learning rate rises from 0; then it falls to 0 on a line.
    pub warmup_ratio: f64,
    /// Passes over the training set; the last step of each has what is left.
    pub epochs: u64,
    #[serde(default)]
    pub dropout: Dropout,
    /// Tokens at which a text or pair is cut.
    pub max_length: usize,
    /// Folder of an encoder in Hugging Face's layout.
    pub model: PathBuf,
    /// Folder of GLUE, see [`crate::data`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Uses at most so many examples of the training set, the first; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_limit: Option<usize>,
    /// Uses at most so many examples of the tuning half, the first; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_limit: Option<usize>,
    /// Uses at most so many examples of the test half, the first; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_limit: Option<usize>,
    /// Most tokens, padding included, in one pass through the network: longer batches pass in parts. No result
    /// depends on it, but for rounding.
    pub tokens_per_pass: usize,
}

/// Probabilities of dropout while training.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// Of the encoder's hidden states and attention; absent: as its `config.json` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<f64>,
    /// Of the head's features; absent: as the encoder's hidden states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<f64>,
    /// Of what additive low-rank updates see, and of what LoReFT changes.
    #[serde(default)]
    pub adapter: f64,
}

impl Dropout {
    pub fn rates(&self, config: &EncoderConfig) -> DropoutRates {
        let hidden = self.model.unwrap_or(config.hidden_dropout_prob);
        DropoutRates {
            hidden,
            attention: self.model.unwrap_or(config.attention_probs_dropout_prob),
            head: self.head.unwrap_or(hidden),
            adapter: self.adapter,
        }
    }
}

/// The projections that the paper adapts.
const QUERY_AND_VALUE: [Role; 2] = [Role::Query, Role::Value];

impl OwnSettings for GlueSettings {
    /// The head is trained by every method, also by the one that adapts nothing.
    const UNTRAINED: &'static [&'static str] = &[];
    const GROUPS: &'static [Group] = &[Group::Head];

    fn check(&self, common: &Common) -> Result<(), SettingError> {
        at_least_one("epochs", self.epochs as usize)?;
        at_least_one("tokens_per_pass", self.tokens_per_pass)?;
        at_least_one("train_limit", self.train_limit.unwrap_or(1))?;
        at_least_one("validation_limit", self.validation_limit.unwrap_or(1))?;
        at_least_one("test_limit", self.test_limit.unwrap_or(1))?;
        at_least("max_length", self.max_length, SHORTEST)?;
        below_one("warmup_ratio", self.warmup_ratio)?;
        below_one("dropout.model", self.dropout.model.unwrap_or(0.0))?;
        below_one("dropout.head", self.dropout.head.unwrap_or(0.0))?;
        below_one("dropout.adapter", self.dropout.adapter)?;
        if u32::try_from(common.seed).is_err() {
            let message = format!("found {}; NumPy's generator takes seeds up to {}", common.seed, u32::MAX);
            return Err(SettingError::new("seed", message));
        }
        self.source().map(drop)
    }
}

/// Where a trial's examples are.
enum Source<'a> {
    Glue(&'a Path, &'static TextTask),
    Own(&'a Dataset),
}

impl GlueSettings {
    fn source(&self) -> Result<Source<'_>, SettingError> {
        match (&self.glue_task, &self.data, &self.dataset) {
            (None, None, Some(own)) => {
                own.check().map_err(|(key, problem)| SettingError::new(key, problem))?;
                Ok(Source::Own(own))
            }
            (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                let right = "`dataset` is a task of its own: remove `glue_task` and `data`, or it";
                Err(SettingError::new("dataset", right))
            }
            (Some(name), Some(folder), None) => Ok(Source::Glue(folder, tasks::find(name)?)),
            (None, ..) => Err(SettingError::new(
                "glue_task",
                "is missing; one of GLUE's tasks, or `dataset` for data of your own",
            )),
            (_, None, _) => Err(SettingError::new("data", "is missing; it is the folder of GLUE")),
        }
    }

    fn checked(&self) -> Source<'_> {
        self.source().expect("`read` has checked it")
    }

    /// The task; of one's own data its labels may have to be found in the training file.
    pub fn task(&self) -> Result<TextTask, DataError> {
        match self.checked() {
            Source::Glue(_, task) => Ok(task.clone()),
            Source::Own(dataset) => dataset.task(),
        }
    }

    /// All examples of a split; `task` is that of [`GlueSettings::task`].
    pub fn examples(&self, task: &TextTask, split: Split) -> Result<Vec<Example>, DataError> {
        match self.checked() {
            Source::Glue(folder, task) => data::read(folder, task, split),
            Source::Own(dataset) => dataset.read(task, split),
        }
    }

    /// Files of a split's examples.
    pub fn example_files(&self, split: Split) -> Result<Vec<PathBuf>, DataError> {
        match self.checked() {
            Source::Glue(folder, task) => data::files(folder, task, split),
            Source::Own(dataset) => Ok(vec![dataset.file(split).to_owned()]),
        }
    }
}

/// The halves of a validation set of `num_rows` rows, cut to the trial's limits where `is_limited`.
pub fn halves_of(
    settings: &Settings,
    task: &TextTask,
    num_rows: usize,
    is_limited: bool,
) -> Result<Halves, TooFewRows> {
    let seed = u32::try_from(settings.common.seed).expect("`read` has checked it");
    let mut halves = halves(task, num_rows, seed)?;
    if is_limited {
        halves.tuning.truncate(settings.validation_limit.unwrap_or(usize::MAX));
        halves.test.truncate(settings.test_limit.unwrap_or(usize::MAX));
    }
    Ok(halves)
}

/// The trial as delora-core takes it, of `total_steps` steps.
pub fn trial_of(settings: &Settings, total_steps: u64) -> TrialConfig {
    settings.common.trial_with_head(settings.warmup_ratio, total_steps, &QUERY_AND_VALUE)
}

/// Room for the special tokens of a pair and a token of each text.
const SHORTEST: usize = 6;

#[cfg(test)]
pub mod tests {
    use delora_core::Schedule;
    use serde_json::{Value, json};

    use super::*;

    /// A small trial on the shipped encoder and sentences.
    pub fn config(method: Value, glue_task: &str, seed: u64) -> Value {
        let mini = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini");
        json!({
            "method": method, "seed": seed, "glue_task": glue_task, "warmup_ratio": 0.06,
            "epochs": 2, "batch": 8, "max_length": 64, "model": mini.join("encoder"), "data": mini.join("glue"),
            "train_limit": 24, "validation_limit": 16, "test_limit": 24, "bank": 8, "tokens_per_pass": 2048,
        })
    }

    pub fn lora() -> Value {
        json!({"name": "lora", "rank": 4, "alpha": 8.0, "learning_rate": {"angles": 1e-3, "head": 2e-3}})
    }

    fn problem(change: impl Fn(&mut Value)) -> String {
        let mut config = config(lora(), "cola", 1);
        change(&mut config);
        Settings::read(&config).unwrap_err().to_string()
    }

    #[test]
    fn the_head_has_a_rate_for_its_biases_and_the_schedule_its_steps() {
        let mut config = config(lora(), "cola", 1);
        config["learning_rate_multiplier"] = json!(2.0);
        let trial = trial_of(&Settings::read(&config).unwrap(), 200);
        assert_eq!(trial.learning_rate[&Group::Angles], 2e-3);
        assert_eq!((trial.learning_rate[&Group::Head], trial.learning_rate[&Group::HeadBias]), (4e-3, 4e-3));
        assert_eq!(trial.schedule, Schedule::Linear { warmup_steps: 12, total_steps: 200 });
        assert_eq!(trial.targets, Some(delora_core::Target::roles(&[Role::Query, Role::Value])));
    }

    #[test]
    fn what_cannot_be_meant_is_named_with_its_key() {
        let task = problem(|config| config["glue_task"] = json!("colla"));
        assert!(task.contains("glue_task") && task.contains("did you mean `cola`"), "{task}");
        let head = problem(|config| config["method"]["learning_rate"] = json!({"angles": 1e-3}));
        assert!(head.contains("method.lora.learning_rate.head"), "{head}");
        let dropout = problem(|config| config["dropout"] = json!({"adapter": 1.0}));
        assert!(dropout.contains("dropout.adapter: found 1") && dropout.contains("below 1"), "{dropout}");
        let limit = problem(|config| config["train_limit"] = json!(0));
        assert!(limit.contains("train_limit") && limit.contains("at least 1"), "{limit}");
        let seed = problem(|config| config["seed"] = json!(5_000_000_000u64));
        assert!(seed.contains("seed") && seed.contains("4294967295"), "{seed}");
        let length = problem(|config| config["max_length"] = json!(3));
        assert!(length.contains("max_length: found 3"), "{length}");
        let unknown = problem(|config| config["epoch"] = json!(3));
        assert!(unknown.contains("epoch") && unknown.contains("`epochs`"), "{unknown}");
    }
}
