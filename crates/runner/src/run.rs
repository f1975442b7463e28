//! Running a plan: banks in order, every outcome durable as it comes, and what happens when a bank fails.
//!
//! - `done` and `diverged` trials are never run again; `failed` and damaged ones are, by every run.
//! - A bank that returns an error or panics fails its unfinished trials, and the run goes on.
//! - A bank that runs out of memory is halved until it fits; a trial that does not fit alone has failed.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::attempt::{Attempt, End};
use crate::checkpoints;
use crate::error::{Result, RunnerError};
use crate::experiment::Experiment;
use crate::folder::Folder;
use crate::ledger::Ledger;
use crate::lock::Lock;
use crate::plan::{Plan, State, plan_grid};
use crate::progress::Reporter;
use crate::reuse::reuse;
use crate::signal::{EXIT_INTERRUPTED, stop_flag};
use crate::stamp::Stamp;
use crate::tables;
use crate::workload::{Status, Workload};

/// How a run behaves; nothing here changes a result.
#[derive(Clone, Debug)]
pub struct RunOptions {
    pub results_dir: PathBuf,
    /// Stop after the first bank with a failed trial.
    pub fail_fast: bool,
    /// Time between two checkpoints of a bank.
    pub checkpoint_every: Duration,
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
    /// Times that a bank was halved because it ran out of memory.
    pub splits: usize,
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
        match (self.interrupted, self.failed.is_empty()) {
            (true, _) => EXIT_INTERRUPTED,
            (false, true) => 0,
            (false, false) => 1,
        }
    }
}

/// Runs what is open, after checking every trial, and writes the tables.
pub fn run(experiment: &Experiment, workload: &dyn Workload, options: &RunOptions) -> Result<RunReport> {
    let grid = experiment.grid(workload)?;
    let folder = Folder::new(&options.results_dir, experiment);
    let stop = stop_flag();
    let lock = Lock::acquire(&folder.lock())?;
    folder.prepare()?;
    let ledger = Ledger::new(folder.trials());
    let reused = reuse(&grid.trials, &ledger, &folder, &options.results_dir, &experiment.scale)?;
    let plan = plan_grid(experiment, grid, workload, &folder);
    checkpoints::sweep(&plan.grid.trials, &plan.states, &folder)?;
    let mut session = Session {
        experiment,
        workload,
        options,
        reporter: Reporter::new(plan.open(), options.quiet),
        stamp: Stamp::now(experiment.path(), workload.provenance()),
        report: RunReport {
            skipped: plan.states.iter().filter(|state| state.is_final()).count() - reused,
            reused,
            folder: folder.root.clone(),
            ..RunReport::default()
        },
        queue: plan.banks.iter().map(|bank| bank.members.clone()).collect(),
        plan,
        folder,
        ledger,
        stop,
        limits: HashMap::new(),
    };
    if let Some(pid) = lock.taken_from {
        session.reporter.notice(&format!("going on after process {pid}, which ended without unlocking"));
    }
    session.run()?;
    Ok(session.report)
}

/// Writes the tables and the README of an experiment anew from its ledger; returns what is odd about them.
///
/// Fails when the ledger has no trial of the experiment, so that tables without their ledger are not emptied.
pub fn rebuild(
    experiment: &Experiment,
    workload: &dyn Workload,
    results_dir: &Path,
) -> Result<Option<String>> {
    let grid = experiment.grid(workload)?;
    let folder = Folder::new(results_dir, experiment);
    let ledger = Ledger::new(folder.trials());
    if !grid.trials.iter().any(|trial| ledger.path(&trial.id).exists()) {
        return Err(RunnerError::Empty { path: folder.trials() });
    }
    let _lock = Lock::acquire(&folder.lock())?;
    tables::write(experiment, &grid, &ledger, &folder)
}

struct Session<'a> {
    experiment: &'a Experiment,
    workload: &'a dyn Workload,
    options: &'a RunOptions,
    plan: Plan,
    folder: Folder,
    ledger: Ledger,
    stamp: Stamp,
    reporter: Reporter,
    stop: &'static AtomicBool,
    queue: VecDeque<Vec<usize>>,
    /// Bank size that fitted into memory, by bank key, once a larger one did not.
    limits: HashMap<String, usize>,
    report: RunReport,
}

impl Session<'_> {
    fn run(&mut self) -> Result<()> {
        for state in &self.plan.states {
            if let State::Damaged { reason } = state {
                self.reporter.notice(reason);
                self.report.damaged.push(reason.clone());
            }
        }
        let mut number = 0;
        while let Some(members) = self.queue.pop_front() {
            if self.stop.load(Ordering::SeqCst) {
                self.report.interrupted = true;
                break;
            }
            number += 1;
            let name = format!("bank {number}/{}", number + self.queue.len());
            let interrupted = self.bank(&name, members)?;
            self.write_tables()?;
            if interrupted {
                self.report.interrupted = true;
                break;
            }
            if self.options.fail_fast && !self.report.failed.is_empty() {
                break;
            }
        }
        self.reporter.end();
        if let Some(notice) = self.write_tables()? {
            self.reporter.notice(&notice);
        }
        Ok(())
    }

    /// Runs one bank to its end; true when it was interrupted.
    fn bank(&mut self, name: &str, members: Vec<usize>) -> Result<bool> {
        let trials: Vec<_> = members.iter().map(|index| self.plan.grid.trials[*index].clone()).collect();
        let key = self.workload.bank_key(&trials[0].config);
        let open: Vec<usize> =
            members.iter().copied().filter(|index| !self.plan.states[*index].is_final()).collect();
        if self.limits.get(&key).is_some_and(|limit| open.len() > *limit) {
            self.split(&open);
            return Ok(false);
        }
        let done: Vec<bool> = members.iter().map(|index| self.plan.states[*index].is_final()).collect();
        self.reporter.begin_bank(name, open.len());
        let attempt = Attempt {
            experiment: self.experiment,
            folder: &self.folder,
            ledger: &self.ledger,
            stamp: &self.stamp,
            reporter: &self.reporter,
            stop: self.stop,
            checkpoint_every: self.options.checkpoint_every,
            trials: &trials,
            done: &done,
        };
        let (end, finished) = attempt.run(self.workload)?;
        for (slot, status) in finished {
            self.account(members[slot], status);
        }
        match end {
            End::Complete => Ok(false),
            End::Interrupted => Ok(true),
            End::OutOfMemory { message } => {
                let half = open.len().div_ceil(2);
                self.reporter.notice(&format!("{name} of {} trials is halved: {message}", open.len()));
                self.limits.insert(key, half);
                self.split(&open);
                self.report.splits += 1;
                Ok(false)
            }
        }
    }

    fn split(&mut self, open: &[usize]) {
        let remaining: Vec<usize> =
            open.iter().copied().filter(|index| !self.plan.states[*index].is_final()).collect();
        let (left, right) = remaining.split_at(remaining.len().div_ceil(2));
        for half in [right, left].into_iter().filter(|half| !half.is_empty()) {
            self.queue.push_front(half.to_vec());
        }
    }

    fn account(&mut self, index: usize, status: Status) {
        let id = self.plan.grid.trials[index].id.clone();
        self.plan.states[index] = match status {
            Status::Done => {
                self.report.done += 1;
                State::Done
            }
            Status::Diverged { step } => {
                self.report.diverged += 1;
                State::Diverged { step }
            }
            Status::Failed { message } => {
                self.reporter.notice(&format!("trial {id} failed: {message}"));
                self.report.failed.push((id, message.clone()));
                State::Failed { message }
            }
        };
    }

    fn write_tables(&self) -> Result<Option<String>> {
        tables::write(self.experiment, &self.plan.grid, &self.ledger, &self.folder)
    }
}
