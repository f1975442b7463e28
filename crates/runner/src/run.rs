//! Running a plan: banks in order, every outcome durable as it comes, and what happens when a bank fails.
//!
//! - `done` and `diverged` trials are never run again; `failed` and damaged ones are, by every run.
//! - A bank that returns an error or panics fails its unfinished trials, and the run goes on, unless `max_failures`
//!   trials have failed. What is left then stays open, so the next run takes it up.
//! - Banks run side by side where the workload says that the machine is better used so; none sees another.
//! - A bank that runs out of memory is halved until it fits; a trial that does not fit alone has failed.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::attempt::{Attempt, End};
use crate::checkpoints;
use crate::error::{Result, RunnerError};
use crate::experiment::Experiment;
use crate::folder::Folder;
use crate::grid::Grid;
use crate::ledger::Ledger;
use crate::lock::Lock;
use crate::plan::{State, plan_grid};
use crate::progress::Reporter;
use crate::reuse::reuse;
use crate::selection::Selection;
use crate::signal::{EXIT_INTERRUPTED, stop_flag};
use crate::stamp::Stamp;
use crate::tables;
use crate::workload::{Status, Workers, Workload};

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
    /// Trials that this run set out to run.
    pub taken: usize,
    /// Trials that it left open because too many had failed, or because it was asked to stop.
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
    let plan = plan_grid(experiment, grid, workload, &folder, &options.selection)?;
    let again = options.selection.again();
    let notices = checkpoints::sweep(&plan.grid.trials, &plan.states, &folder, again)?;
    let taken = plan.open();
    let left_alone =
        plan.states.iter().zip(&plan.to_run).filter(|(state, to_run)| state.is_final() && !**to_run).count();
    let session = Session {
        experiment,
        options,
        reporter: Reporter::new(taken, options.quiet),
        stamp: Stamp::now(experiment.path(), workload.provenance()),
        grid: plan.grid,
        ledger,
        stop,
        state: Mutex::new(SessionState {
            report: RunReport {
                skipped: left_alone.saturating_sub(reused),
                reused,
                taken,
                folder: folder.root.clone(),
                ..RunReport::default()
            },
            queue: plan.banks.into_iter().map(|bank| bank.members).collect(),
            states: plan.states,
            to_run: plan.to_run,
            begun: 0,
            limits: HashMap::new(),
            error: None,
        }),
        folder,
    };
    if let Some(pid) = lock.taken_from {
        session.reporter.notice(&format!("going on after process {pid}, which ended without unlocking"));
    }
    if plan.joined > 0 {
        let text = "trials that were not selected are run too: they share the checkpoint of a bank";
        session.reporter.notice(&format!("{} {text}", plan.joined));
    }
    notices.iter().for_each(|notice| session.reporter.notice(notice));
    session.run(workload)
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

/// A run under way, shared by its workers.
struct Session<'a> {
    experiment: &'a Experiment,
    options: &'a RunOptions,
    grid: Grid,
    folder: Folder,
    ledger: Ledger,
    stamp: Stamp,
    reporter: Reporter,
    stop: &'static AtomicBool,
    state: Mutex<SessionState>,
}

struct SessionState {
    /// State of each trial of the grid when the run began.
    states: Vec<State>,
    /// Per trial, whether this run has yet to run it.
    to_run: Vec<bool>,
    queue: VecDeque<Vec<usize>>,
    begun: usize,
    /// Bank size that fitted into memory, by bank key, once a larger one did not.
    limits: HashMap<String, usize>,
    report: RunReport,
    /// What ended the run: the ledger or a table could not be written.
    error: Option<RunnerError>,
}

impl Session<'_> {
    fn run(self, workload: &dyn Workload) -> Result<RunReport> {
        self.report_damage();
        let banks = self.state().queue.len();
        match workload.workers() {
            Some(Workers { most, make }) if most.min(banks) > 1 => {
                let count = most.min(banks);
                std::thread::scope(|scope| {
                    (0..count).for_each(|_| drop(scope.spawn(|| self.work(make(count).as_ref()))));
                });
            }
            _ => self.work(workload),
        }
        self.reporter.end();
        let odd = self.write_tables();
        let mut state = self.state.into_inner().expect(NO_PANIC);
        if let Some(error) = state.error {
            return Err(error);
        }
        if let Some(notice) = odd? {
            self.reporter.notice(&notice);
        }
        state.report.left = state.to_run.iter().filter(|to_run| **to_run).count();
        Ok(state.report)
    }

    fn report_damage(&self) {
        let mut state = self.state();
        let SessionState { states, report, .. } = &mut *state;
        for trial in states {
            if let State::Damaged { reason } = trial {
                self.reporter.notice(reason);
                report.damaged.push(reason.clone());
            }
        }
    }

    /// Runs banks until none is left, or the run is to end.
    fn work(&self, workload: &dyn Workload) {
        while let Some((name, members)) = self.next_bank() {
            let outcome = self.bank(workload, &name, members).and_then(|()| self.write_tables());
            if let Err(error) = outcome {
                self.state().error.get_or_insert(error);
            }
        }
    }

    /// The next bank and what to call it.
    fn next_bank(&self) -> Option<(String, Vec<usize>)> {
        let mut state = self.state();
        let failed = state.report.failed.len();
        if state.error.is_some() || self.options.max_failures.is_some_and(|most| failed >= most) {
            return None;
        }
        if self.stop.load(Ordering::SeqCst) {
            state.report.interrupted |= !state.queue.is_empty();
            return None;
        }
        let members = state.queue.pop_front()?;
        state.begun += 1;
        Some((format!("bank {}/{}", state.begun, state.begun + state.queue.len()), members))
    }

    fn bank(&self, workload: &dyn Workload, name: &str, members: Vec<usize>) -> Result<()> {
        let trials: Vec<_> = members.iter().map(|index| self.grid.trials[*index].clone()).collect();
        let key = workload.bank_key(&trials[0].config);
        let mut state = self.state();
        let open = state.open(&members);
        if state.limits.get(&key).is_some_and(|limit| open.len() > *limit) {
            state.split(&open);
            return Ok(());
        }
        let done: Vec<bool> = members.iter().map(|index| !state.to_run[*index]).collect();
        drop(state);
        let attempt = Attempt {
            experiment: self.experiment,
            folder: &self.folder,
            ledger: &self.ledger,
            stamp: &self.stamp,
            progress: &self.reporter.begin_bank(name, open.len()),
            stop: self.stop,
            checkpoint_every: self.options.checkpoint_every,
            save_adapters: self.options.save_adapters,
            trials: &trials,
            done: &done,
            again: self.options.selection.again(),
        };
        let (end, finished) = attempt.run(workload)?;
        let mut state = self.state();
        for (slot, status) in finished {
            self.account(&mut state, members[slot], status);
        }
        match end {
            End::Complete => {}
            End::Interrupted => state.report.interrupted = true,
            End::OutOfMemory { message } => {
                let half = open.len().div_ceil(2);
                self.reporter.notice(&format!("{name} of {} trials is halved: {message}", open.len()));
                state.limits.insert(key, half);
                let open = state.open(&open);
                state.split(&open);
                state.report.splits += 1;
            }
        }
        Ok(())
    }

    fn account(&self, state: &mut SessionState, index: usize, status: Status) {
        state.to_run[index] = false;
        match status {
            Status::Done => state.report.done += 1,
            Status::Diverged { .. } => state.report.diverged += 1,
            Status::Failed { message } => {
                let id = self.grid.trials[index].id.clone();
                self.reporter.notice(&format!("trial {id} failed: {message}"));
                state.report.failed.push((id, message));
            }
        }
    }

    /// Under the lock, so that two workers do not write at once.
    fn write_tables(&self) -> Result<Option<String>> {
        let _state = self.state();
        tables::write(self.experiment, &self.grid, &self.ledger, &self.folder)
    }

    fn state(&self) -> MutexGuard<'_, SessionState> {
        self.state.lock().expect(NO_PANIC)
    }
}

impl SessionState {
    fn open(&self, members: &[usize]) -> Vec<usize> {
        members.iter().copied().filter(|index| self.to_run[*index]).collect()
    }

    fn split(&mut self, open: &[usize]) {
        let (left, right) = open.split_at(open.len().div_ceil(2));
        for half in [right, left].into_iter().filter(|half| !half.is_empty()) {
            self.queue.push_front(half.to_vec());
        }
    }
}

const NO_PANIC: &str = "what a workload does cannot panic while the state is held";
