//! The settings of one trial, as the runner resolves them from an experiment file.

use std::path::PathBuf;

use delora_core::{Role, Schedule, TrialConfig};
use finetune::{Common, OwnSettings, at_least, at_least_one, below_one};
use runner::SettingError;
use serde::{Deserialize, Serialize};

use crate::templates::{Columns, parse_template};

/// Everything that decides a trial's result.
pub type Settings = finetune::Settings<InstructSettings>;

/// What is instruction tuning's own in a trial's settings.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InstructSettings {
    #[serde(default)]
    pub schedule: ScheduleName,
    /// Steps over which the learning rate rises from 0.
    #[serde(default)]
    pub warmup_steps: u64,
    /// Passes over the training set; the last step of each has what is left.
    pub epochs: u64,
    /// Tokens at which an example is cut, begin and end token counted.
    pub max_length: usize,
    /// Absent: [`LossOn::All`], and of chats [`LossOn::Response`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_on: Option<LossOn>,
    #[serde(default)]
    pub loss_mean: LossMean,
    /// Starts the first epoch with the longest example, as the reference does: what does not fit in memory shows at once.
    #[serde(default)]
    pub longest_first: bool,
    /// Folder of a decoder in Hugging Face's layout.
    pub model: PathBuf,
    /// File or folder of instructions, see [`crate::alpaca::files`].
    pub instructions: PathBuf,
    /// Which of their columns are read.
    #[serde(default)]
    pub columns: Columns,
    /// What is in front of the response, in Jinja's language, of the columns of a row; absent: Alpaca's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Conversations in the words of the template that the model ships.
    #[serde(default)]
    pub chat_template: bool,
    /// Share of the instructions that are for testing.
    pub test_share: f64,
    /// Uses at most so many of the examples of the training set, the first; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_limit: Option<usize>,
    /// Uses at most so many of the examples of the test set, the first; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_limit: Option<usize>,
    /// Absent: no exams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
    /// Test instructions that the trained model answers, for the report.
    #[serde(default)]
    pub answers: usize,
    /// Keeps only what goes into each block, and computes it again on the way back: a third more time, far less memory.
    #[serde(default)]
    pub checkpointing: bool,
    /// Most tokens, padding included, in one pass through the network: longer batches pass in parts. No result
    /// depends on it, but for rounding.
    pub tokens_per_pass: usize,
}

/// What is asked after training.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Folder of the tasks' data.
    pub data: PathBuf,
    /// File of the tasks; absent: MMLU, ARC-Challenge and TruthfulQA, see [`crate::tasks`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<PathBuf>,
    /// Puts the begin token in front of each prompt. The harness of the paper's time did not.
    #[serde(default)]
    pub begin: bool,
    /// Asks at most so many questions of each task, evenly spaced; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// Which tokens are to be predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LossOn {
    /// Prompt and response, as in the reference.
    All,
    Response,
}

/// Of what a step's loss is the mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LossMean {
    /// Of the tokens of its examples.
    #[default]
    Tokens,
    /// Of the examples' own means, as in the reference, which takes examples one by one and adds gradients up.
    Examples,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleName {
    Constant,
    Linear,
    #[default]
    Cosine,
}

/// The projections that the paper adapts.
const QUERY_AND_VALUE: [Role; 2] = [Role::Query, Role::Value];

impl OwnSettings for InstructSettings {
    fn check(&self, _: &Common) -> Result<(), SettingError> {
        at_least_one("epochs", self.epochs as usize)?;
        at_least_one("tokens_per_pass", self.tokens_per_pass)?;
        at_least_one("train_limit", self.train_limit.unwrap_or(1))?;
        at_least_one("test_limit", self.test_limit.unwrap_or(1))?;
        let asked = self.evaluation.as_ref().and_then(|evaluation| evaluation.limit);
        at_least_one("evaluation.limit", asked.unwrap_or(1))?;
        self.check_template()?;
        at_least("max_length", self.max_length, SHORTEST)?;
        below_one("test_share", self.test_share)
    }
}

impl InstructSettings {
    pub fn loss_on(&self) -> LossOn {
        self.loss_on.unwrap_or(if self.chat_template { LossOn::Response } else { LossOn::All })
    }

    fn check_template(&self) -> Result<(), SettingError> {
        let template = self.template.as_deref();
        if let Some(template) = template {
            parse_template(template).map_err(|problem| SettingError::new("template", problem))?;
            if self.chat_template {
                return Err(SettingError::new(
                    "template",
                    "`chat_template` is true as well; remove one of them",
                ));
            }
        }
        let columns = self.columns.check(template, self.chat_template);
        columns.map_err(|(key, problem)| SettingError::new(key, problem))
    }
}

/// The trial as delora-core takes it, of `total_steps` steps.
pub fn trial_of(settings: &Settings, total_steps: u64) -> TrialConfig {
    let warmup_steps = settings.warmup_steps;
    let schedule = match settings.schedule {
        ScheduleName::Constant => Schedule::Constant { warmup_steps },
        ScheduleName::Linear => Schedule::Linear { warmup_steps, total_steps },
        ScheduleName::Cosine => Schedule::Cosine { warmup_steps, total_steps },
    };
    settings.common.trial(schedule, &QUERY_AND_VALUE)
}

/// A begin token and one to predict.
const SHORTEST: usize = 2;
