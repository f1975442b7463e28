//! What is asked of a run, what it reports, and what all its rounds share.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::experiments::{Experiment, Grid};
use crate::ledger::{Desk, Folder, Ledger, Stamp};
use crate::run::selection::Selection;
use crate::run::signal::EXIT_INTERRUPTED;
use crate::workload::MethodText;

/// How a run behaves; nothing here changes a result.
#[derive(Clone, Debug)]
pub struct RunOptions {
    pub results_dir: PathBuf,
    pub selection: Selection,
    /// Begin no bank once this many trials have failed; without it, go on whatever fails.
    pub max_failures: Option<usize>,
    /// Time between two checkpoints of a bank.
    pub checkpoint_every: Duration,
    /// Keep what each trial has learnt beside the results, where the workload can.
    pub save_adapters: bool,
    /// Be one of any number of workers on the same results folder, which write no tables.
    pub worker: bool,
    /// After how much silence another worker counts as gone, and its banks go to others.
    pub lease: Duration,
    /// No progress; notices and failures are still printed.
    pub quiet: bool,
}

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct RunReport {
    /// Trials that this run finished.
    pub done: usize,
    /// Trials that this run found to diverge.
    pub diverged: usize,
    /// Id and message of each trial that failed in this run.
    pub failed: Vec<(String, String)>,
    /// Trials that were finished before.
    pub skipped: usize,
    /// Trials taken from other experiments in the same results folder.
    pub reused: usize,
    /// Trials that other workers finished meanwhile.
    pub elsewhere: usize,
    /// Times that a bank was halved because it ran out of memory.
    pub splits: usize,
    /// Devices that broke; their banks went to others, or were left open where no other was.
    pub broken_devices: Vec<String>,
    /// Trials that this run set out to run.
    pub taken: usize,
    /// Trials that it left open because too many had failed, it was asked to stop, or no device was left.
    pub left: usize,
    /// Files of the ledger that did not verify.
    pub damaged: Vec<String>,
    /// Whether the run was asked to stop and left trials open.
    pub interrupted: bool,
    /// Where the results are.
    pub folder: PathBuf,
}

impl RunReport {
    /// 0 when every trial has a result, 130 when interrupted, else 1.
    pub fn exit_code(&self) -> i32 {
        let stranded = self.left > 0 && !self.broken_devices.is_empty();
        match (self.interrupted, self.failed.is_empty() && !stranded) {
            (true, _) => EXIT_INTERRUPTED,
            (false, true) => 0,
            (false, false) => 1,
        }
    }
}

/// What all rounds of a run share.
pub(crate) struct Run<'a> {
    pub experiment: &'a Experiment,
    pub options: &'a RunOptions,
    /// The whole grid, of which a round has what is known to be needed.
    pub candidates: Grid,
    /// The methods that the workload knows.
    pub methods: Vec<MethodText>,
    pub folder: Folder,
    pub ledger: Ledger,
    pub desk: Desk,
    pub stamp: Stamp,
    pub stop: &'static AtomicBool,
}
