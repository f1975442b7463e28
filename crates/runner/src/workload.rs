//! What a task gives the runner, and what it gets: the types on both sides of [`Workload`].
//!
//! The runner knows no model and no formula. It hands a workload fully resolved trials, in banks, and
//! writes what comes back; the workload trains, evaluates and keeps its own checkpoints.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A task: how its settings are checked, and how a bank of trials is trained and evaluated.
///
/// Errors are `anyhow`, so that any error passes with `?`; three have a meaning for the runner wherever they
/// stand in the chain: [`SettingError`](crate::SettingError), from `expand` and `validate`, gets the file and
/// line of its key, [`Interrupted`], from `run_bank`, says that the bank has checkpointed and can be resumed, and
/// [`AfterTraining`], from there too, that it need not be trained again.
pub trait Workload {
    /// Value of `task` in the experiment files that this workload runs, as in "subject-driven".
    fn task(&self) -> &str;

    /// The values that a scientific or nuisance setting stands for, as for `subject = { first = 3 }`.
    ///
    /// Asked for each such value that is not already a list; `key` is its path, `config` holds the settings that
    /// are no axes. `None` leaves the value as it is.
    fn expand(&self, key: &str, value: &Value, config: &Value) -> anyhow::Result<Option<Vec<Value>>>;

    /// Every name that a setting such as "method" can have, where the task knows: for tables of included files, which
    /// may be for more names than an experiment compares.
    fn names(&self, _key: &str) -> Option<Vec<String>> {
        None
    }

    /// The methods that its trials may have, in the order of legends, for `methods.csv`.
    fn methods(&self) -> Vec<MethodText> {
        Vec::new()
    }

    /// Settings that name files or folders, by their path in a resolved config, as in "evaluators.dino".
    ///
    /// A `~` at their beginning is the user's home folder, and an error about what is not there names the setting.
    fn paths(&self) -> &'static [&'static str] {
        &[]
    }

    /// The config without settings that cannot change its result, such as the learning rate of a row that trains
    /// nothing. Trials that become equal by it are one.
    fn relevant(&self, config: Value) -> Value {
        config
    }

    /// The part of a resolved config that a trial's result depends on: without what only decides how fast it comes or what is
    /// recorded on the way. [`Workload::paths`] are left out by the runner.
    fn material(&self, config: Value) -> Value {
        config
    }

    /// Checks a resolved config strictly: unknown keys, wrong types, impossible values.
    ///
    /// Returns a digest of the inputs that the config names (weights, data), which becomes part of the trial's
    /// identity. Called once per trial before any is run, so digests of large files should be kept in memory.
    fn validate(&self, config: &Value) -> anyhow::Result<String>;

    /// Where the data have less than a setting asks for at most, a sentence each with the setting, what is asked for and
    /// what is used. Called after [`Workload::validate`], for plans and runs to print.
    fn shortfalls(&self, _config: &Value) -> anyhow::Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Trials with equal keys may share a bank.
    fn bank_key(&self, config: &Value) -> String;

    /// The most trials that a bank with this config should hold; a bank that runs out of memory is halved.
    fn max_bank(&self, config: &Value) -> usize;

    /// Whether [`Workload::max_bank`] has to train something to know, so that only plans and runs ask for it.
    fn measures_bank(&self, _config: &Value) -> bool {
        false
    }

    /// What an update of banks with this config takes on one worker, where [`Workload::max_bank`] has measured it: numbers of
    /// trials, ascending, and seconds.
    fn update_seconds(&self, _config: &Value) -> Vec<(usize, f64)> {
        Vec::new()
    }

    /// Trains and evaluates `trials` side by side, from the checkpoint in the context if there is one.
    ///
    /// Each trial is reported once, through `context.finished` as soon as it is evaluated or in the returned list.
    fn run_bank(&self, trials: &[Trial], context: &BankContext) -> anyhow::Result<Vec<Outcome>>;

    /// Lets go of what it keeps from bank to bank: others take over, or there was no memory.
    fn rest(&self) {}

    /// How to run several banks at once; `None`: one after another, by this workload.
    fn workers(&self) -> Option<Workers> {
        None
    }

    /// Time and memory of one trial in a bank of so many, if known.
    fn estimate(&self, config: &Value, bank: usize) -> Option<Estimate>;

    /// Where the trials run, written beside every result.
    fn provenance(&self) -> Provenance;
}

/// What tables and figures say of a method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodText {
    /// The method as experiment files write it.
    pub name: String,
    /// What tables and legends say.
    pub title: String,
    /// What becomes of a weight.
    pub formula: String,
    /// The groups of parameters that it trains, each with a learning rate of its own.
    pub parameters: String,
}

/// Workloads for banks side by side, each in a thread of its own.
pub struct Workers {
    /// The most banks that the machine runs well at once.
    pub most: usize,
    /// Called in each thread: a workload that shares nothing with the others.
    pub make: Box<dyn Fn(WorkerPlace) -> Box<dyn Workload> + Send + Sync>,
}

/// Which of how many workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerPlace {
    /// From 0.
    pub index: usize,
    pub count: usize,
}

/// One training run: a fully resolved config and its identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// First 16 hex digits of the blake3 of task, protocol version, inputs and what of the config a result depends on.
    pub id: String,
    pub config: Value,
    /// Digest of the files that the config names.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub inputs: String,
}

impl Trial {
    /// Name of the trial's method, where the experiment has methods.
    pub fn method(&self) -> Option<&str> {
        self.config.pointer("/method/name").and_then(Value::as_str)
    }
}

/// What one bank runs with.
pub struct BankContext<'a> {
    /// Folder of this bank's checkpoint. It exists; it holds what the workload wrote there in an earlier, interrupted run of
    /// the same trials in the same order. An error before the first
    /// progress is taken for a checkpoint that cannot be read: it is set aside, and the bank starts over.
    pub checkpoint_dir: PathBuf,
    /// Folder for files that outlive the run, such as pictures, without folders in it; it exists, and belongs to the bank
    /// until a trial is reported: then what is there moves to where it stays.
    pub artifacts_dir: PathBuf,
    /// Per trial, whether an earlier run has already finished it. Such a trial is in the bank only because the
    /// checkpoint has its slot: it need not be evaluated again, and its outcome may be left out.
    pub done: &'a [bool],
    /// Set by the first Ctrl-C or SIGTERM: checkpoint and return [`Interrupted`].
    pub stop: &'a AtomicBool,
    pub progress: &'a dyn Progress,
    /// Time between two checkpoints.
    pub checkpoint_every: Duration,
    /// Whether to leave what each trial has learnt in `artifacts_dir`, as the artifact "adapter".
    pub save_adapters: bool,
    /// Takes the outcome of one trial as soon as it is there, and makes it durable before it returns.
    pub finished: &'a (dyn Fn(Outcome) + Sync),
}

impl BankContext<'_> {
    /// Whether the run was asked to stop.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

/// Where a bank reports how far it is.
pub trait Progress: Sync {
    /// `done` of `total` steps of the bank are over; `note` is a few words, such as "sampling" or a loss.
    fn step(&self, done: u64, total: u64, note: &str);
}

/// Returned by `run_bank` when it has stopped at a checkpoint because it was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted at a checkpoint; run the same command again to go on")]
pub struct Interrupted;

/// Returned by `run_bank` when there is no memory for what follows training: the bank's checkpoint stays, since a smaller
/// bank would have to train anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; the training is kept: run again with more memory free, or on a CPU by `--devices cpu`")]
pub struct AfterTraining(pub String);

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    Done,
    /// The trial went non-finite at `step`: a result, not a fault, so it is not run again.
    Diverged {
        step: u64,
        /// The metric and what it is, or what else went non-finite, where the workload says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The trial could not be finished; a later run tries again.
    Failed {
        message: String,
    },
}

impl Status {
    /// A trial that went non-finite at `step`, and what did.
    pub fn diverged(step: u64, reason: impl Into<String>) -> Status {
        Status::Diverged { step, reason: Some(reason.into()) }
    }

    /// The word in `trials.csv`.
    pub fn name(&self) -> &'static str {
        match self {
            Status::Done => "done",
            Status::Diverged { .. } => "diverged",
            Status::Failed { .. } => "failed",
        }
    }
}

/// What came out of one trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub trial_id: String,
    #[serde(flatten)]
    pub status: Status,
    /// Metric name to value. A metric that was not measured is absent; a non-finite one fails a `Done` trial.
    pub metrics: BTreeMap<String, f64>,
    /// What each item of a test (a question, an example) adds to a metric that is a mean over them: numbers whose mean is the metric,
    /// in the order of the test, so that trials can be compared item by item. They are dropped where one is not finite.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub items: BTreeMap<String, Vec<f64>>,
    /// Points of `curves.csv`; non-finite values are dropped when the outcome is written.
    pub curves: Vec<CurvePoint>,
    /// Artifact name to file, relative to `BankContext::artifacts_dir`.
    pub artifacts: BTreeMap<String, String>,
    /// Training time without evaluation; this trial's share of its bank's.
    pub train_seconds: f64,
}

impl Outcome {
    /// An outcome without metrics, curves and artifacts, to be filled.
    pub fn new(trial_id: &str, status: Status) -> Outcome {
        Outcome {
            trial_id: trial_id.to_string(),
            status,
            metrics: BTreeMap::new(),
            items: BTreeMap::new(),
            curves: Vec::new(),
            artifacts: BTreeMap::new(),
            train_seconds: 0.0,
        }
    }
}

/// One value of a curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    pub step: u64,
    pub metric: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    pub value: f64,
}

/// Cost of one trial inside a bank of the usual size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub seconds: f64,
    pub memory_bytes: u64,
    /// The part of it for what the trial trains: parameters, their gradient, the optimizer's moments.
    pub trained_bytes: u64,
    /// Frozen weights, beside that: once in each process, whatever its trials.
    pub frozen_bytes: u64,
}

/// Device and library that the trials run on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Such as "cpu" or "cuda:0 (NVIDIA H200)".
    pub device: String,
    /// Version of libtorch; empty for a workload that uses none.
    pub libtorch: String,
}
