//! The banks of one round of a run: in turn or side by side, every outcome durable as it comes.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::error::{Result, RunnerError};
use crate::experiments::Grid;
use crate::ledger::State;
use crate::run::attempt::{Attempt, End};
use crate::run::plan::Plan;
use crate::run::progress::Reporter;
use crate::run::report::{Run, RunReport};
use crate::tables::files;
use crate::workload::{Status, WorkerPlace, Workers, Workload};

/// Banks under way, shared by the workers.
pub(crate) struct Session<'a> {
    run: &'a Run<'a>,
    grid: Grid,
    reporter: Reporter,
    state: Mutex<SessionState>,
}

struct SessionState {
    /// State of each trial of the grid when the run began.
    states: Vec<State>,
    /// Per trial, whether this run has yet to run it.
    to_run: Vec<bool>,
    queue: VecDeque<Vec<usize>>,
    begun: usize,
    /// Bank size that fitted into memory, by bank key and methods, once a larger one did not.
    limits: HashMap<String, usize>,
    report: RunReport,
    /// What ended the run: the ledger or a table could not be written.
    error: Option<RunnerError>,
    /// When the tables were last written, and how long that took.
    written: Option<(Instant, Duration)>,
}

/// Between two writings of the tables lies at least so often the time that one takes.
const TABLES_PER_INTERVAL: u32 = 20;

impl<'a> Session<'a> {
    /// For the banks of a plan; `report` is what the run has done before.
    pub fn new(run: &'a Run, plan: Plan, report: RunReport) -> Session<'a> {
        Session {
            run,
            reporter: Reporter::new(plan.open(), run.options.quiet),
            grid: plan.grid,
            state: Mutex::new(SessionState {
                report,
                queue: plan.banks.into_iter().map(|bank| bank.members).collect(),
                states: plan.states,
                to_run: plan.to_run,
                begun: 0,
                limits: HashMap::new(),
                error: None,
                written: None,
            }),
        }
    }

    pub fn run(self, workload: &dyn Workload) -> Result<RunReport> {
        self.report_damage();
        let banks = self.state().queue.len();
        match workload.workers() {
            Some(Workers { most, make }) if most.min(banks) > 1 => {
                let count = most.min(banks);
                let (session, make) = (&self, &make);
                workload.rest();
                std::thread::scope(|scope| {
                    for index in 0..count {
                        scope.spawn(move || session.work(make(WorkerPlace { index, count }).as_ref()));
                    }
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
        state.report.left += state.to_run.iter().filter(|to_run| **to_run).count();
        Ok(state.report)
    }

    fn report_damage(&self) {
        let mut state = self.state();
        let SessionState { states, report, .. } = &mut *state;
        for trial in states {
            if let State::Damaged { reason } = trial
                && !report.damaged.contains(reason)
            {
                self.reporter.notice(reason);
                report.damaged.push(reason.clone());
            }
        }
    }

    /// Runs banks until none is left, the run is to end, or the workload's device has broken.
    fn work(&self, workload: &dyn Workload) {
        while let Some((name, members)) = self.next_bank() {
            let outcome = self
                .bank(workload, &name, members)
                .and_then(|goes_on| self.write_tables_at_times().map(|_| goes_on));
            match outcome {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    self.state().error.get_or_insert(error);
                }
            }
        }
    }

    /// The next bank and what to call it.
    fn next_bank(&self) -> Option<(String, Vec<usize>)> {
        let mut state = self.state();
        let failed = state.report.failed.len();
        if state.error.is_some() || self.run.options.max_failures.is_some_and(|most| failed >= most) {
            return None;
        }
        if self.run.stop.load(Ordering::SeqCst) {
            state.report.interrupted |= !state.queue.is_empty();
            return None;
        }
        let members = state.queue.pop_front()?;
        state.begun += 1;
        Some((format!("bank {}/{}", state.begun, state.begun + state.queue.len()), members))
    }

    /// Whether the workload can take another bank.
    fn bank(&self, workload: &dyn Workload, name: &str, members: Vec<usize>) -> Result<bool> {
        let trials: Vec<_> = members.iter().map(|index| self.grid.trials[*index].clone()).collect();
        // What a trial takes depends on its method: a bank of full finetuning says nothing about one of LoRA.
        let methods: BTreeSet<String> =
            trials.iter().map(|trial| trial.config["method"]["name"].to_string()).collect();
        let key = format!("{} {methods:?}", workload.bank_key(&trials[0].config));
        let mut state = self.state();
        let open = state.open(&members);
        if state.limits.get(&key).is_some_and(|limit| open.len() > *limit) {
            state.split(&open);
            return Ok(true);
        }
        let done: Vec<bool> = members.iter().map(|index| !state.to_run[*index]).collect();
        drop(state);
        let attempt = Attempt {
            run: self.run,
            progress: &self.reporter.begin_bank(name, open.len()),
            trials: &trials,
            done: &done,
            again: self.run.options.selection.again(),
        };
        let (end, finished) = attempt.run(workload)?;
        let mut state = self.state();
        for (slot, status) in finished {
            self.account(&mut state, members[slot], status);
        }
        match end {
            End::Complete => {}
            End::Interrupted => state.report.interrupted = true,
            End::BrokenDevice { message } => {
                let device = workload.provenance().device;
                let notice = format!("{device} is left aside for the rest of this run: {message}");
                self.reporter.notice(&notice);
                state.report.broken_devices.push(device);
                state.queue.push_front(members);
                return Ok(false);
            }
            End::OutOfMemory { message } => {
                workload.rest();
                let half = open.len().div_ceil(2);
                self.reporter.notice(&format!("{name} of {} trials is halved: {message}", open.len()));
                state.limits.insert(key, half);
                let open = state.open(&open);
                state.split(&open);
                state.report.splits += 1;
            }
        }
        Ok(true)
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

    /// Writes the tables if that takes no more than a small share of the time: each writing reads the whole ledger.
    fn write_tables_at_times(&self) -> Result<()> {
        let mut state = self.state();
        if state.written.is_some_and(|(at, took)| at.elapsed() < took * TABLES_PER_INTERVAL) {
            return Ok(());
        }
        let started = Instant::now();
        self.write_unlocked()?;
        state.written = Some((Instant::now(), started.elapsed()));
        Ok(())
    }

    /// Under the lock, so that two workers do not write at once.
    fn write_tables(&self) -> Result<Option<String>> {
        let _state = self.state();
        self.write_unlocked()
    }

    fn write_unlocked(&self) -> Result<Option<String>> {
        let Run { experiment, candidates, methods, ledger, folder, .. } = self.run;
        files::write(experiment, candidates, methods, ledger, folder)
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
