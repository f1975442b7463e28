//! The runner turns an experiment file into finished tables. An experiment file is a TOML file that says which
//! settings are compared, which are tuned and which are fixed; every combination of them is a trial, one training
//! run. The runner works out the trials, gives those without a result to a task in groups (banks), keeps each result
//! in a file of its own (the ledger), and writes CSV tables and a README from the ledger. A run that is killed loses
//! no finished trial, and the same command goes on where it ended.
//!
//! A task, such as finetuning a model and scoring it, plugs in through [`Workload`]. The runner knows no model, no
//! method and no formula.
//!
//! ```text
//! settings  <-  experiments  <-  ledger  <-  tables  <-  run          each folder uses those to its left
//! ```

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod columns;
mod error;
mod experiments;
mod identity;
mod ledger;
mod run;
mod settings;
mod tables;
mod workload;

pub use error::RunnerError;
pub use experiments::{Confirm, Direction, Experiment, Grid, Header, Remedy, TunedAxis, Tuning};
pub use identity::{PROTOCOL_VERSION, canonical};
pub use ledger::{
    Adopted, Difference, Explanation, Leftover, LeftoverKind, Leftovers, Merged, State, adopt, explain,
    leftovers, merge, shell_line, utc_now, write_atomically,
};
pub use run::{
    EXIT_INTERRUPTED, Only, Plan, PlannedBank, RunOptions, RunReport, Selection, Shard, Verdict,
    Verification, duration_text, forget_failures, plan, rebuild, run, status, stop_flag, verify_resume,
};
pub use settings::{SettingError, closest, expand_home, leaves, settings, settings_beside};
pub use tables::{Phase, TunedPoint};
pub use workload::{
    AfterTraining, BankContext, CurvePoint, Estimate, Interrupted, MethodText, Outcome, Progress, Provenance,
    Status, Trial, WorkerPlace, Workers, Workload,
};
