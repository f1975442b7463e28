//! Experiment files, plans, the ledger of finished trials, checkpoints and result tables.
//!
//! The runner knows no model and no method: a task plugs in through [`Workload`].

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod attempt;
mod checkpoints;
mod clean;
mod compare;
mod error;
mod expansion;
mod experiment;
mod faults;
mod folder;
mod grid;
mod identity;
mod include;
mod layers;
mod ledger;
mod lock;
mod merge;
mod names;
mod owner;
mod paths;
mod plan;
mod progress;
mod readme;
mod reuse;
mod run;
mod sections;
mod selection;
mod session;
mod settings;
mod signal;
mod source;
mod stamp;
mod summary;
mod tables;
mod tuning;
mod verify;
mod words;
mod workload;

pub use clean::{Leftover, LeftoverKind, Leftovers, leftovers};
pub use compare::Difference;
pub use error::RunnerError;
pub use experiment::{Direction, Experiment, Remedy};
pub use folder::write_atomically;
pub use grid::{Grid, TunedAxis};
pub use identity::{PROTOCOL_VERSION, canonical};
pub use paths::expand_home;
pub use plan::{Plan, PlannedBank, State, plan, status};
pub use progress::duration_text;
pub use run::{RunOptions, RunReport, rebuild, run};
pub use selection::{Only, Selection};
pub use settings::{SettingError, closest, settings};
pub use signal::{EXIT_INTERRUPTED, stop_flag};
pub use tuning::{Phase, TunedPoint, Tuning};
pub use verify::{Verdict, Verification, verify_resume};
pub use workload::{
    BankContext, CurvePoint, Estimate, Interrupted, MethodText, Outcome, Progress, Provenance, Status, Trial,
    Workers, Workload,
};
