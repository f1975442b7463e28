//! The banks of one round of a run: in turn or side by side, alone or with other workers, every outcome durable as it
//! comes.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::error::{Result, RunnerError};
use crate::experiments::Grid;
use crate::ledger::{BankList, Lease, State, Step, checkpoints};
use crate::run::attempt::{Attempt, End};
use crate::run::forming::{form, split};
use crate::run::plan::Plan;
use crate::run::progress::Reporter;
use crate::run::report::{Run, RunReport};
use crate::tables::files;
use crate::workload::{Status, Trial, WorkerPlace, Workers, Workload};

/// Banks under way, shared by the threads of this process.
pub(crate) struct Session<'a> {
    run: &'a Run<'a>,
    grid: Grid,
    /// Place of each trial in the grid.
    places: HashMap<String, usize>,
    reporter: Reporter,
    state: Mutex<SessionState>,
    /// Told whenever a thread is through with a bank.
    bank_over: Condvar,
}

struct SessionState {
    /// State of each trial of the grid, as last read.
    states: Vec<State>,
    /// The trials that this run has yet to see finished, by their ids.
    wanted: BTreeSet<String>,
    begun: usize,
    /// Bank size that fitted into memory, by bank key and methods, once a larger one did not.
    limits: HashMap<String, usize>,
    report: RunReport,
    /// What ended the run: the ledger or a table could not be written.
    error: Option<RunnerError>,
    /// When the tables were last written, and how long that took.
    written: Option<(Instant, Duration)>,
    /// Whether it was said that others are waited for.
    waits: bool,
}

/// Between two writings of the tables lies at least so often the time that one takes.
const TABLES_PER_INTERVAL: u32 = 20;

impl<'a> Session<'a> {
    /// For the trials of a plan; `report` is what the run has done before.
    pub fn new(run: &'a Run, plan: Plan, report: RunReport) -> Session<'a> {
        let open = plan.open();
        let trials = plan.grid.trials.iter().zip(&plan.to_run);
        let wanted = trials.filter(|(_, to_run)| **to_run).map(|(trial, _)| trial.id.clone()).collect();
        let places = plan.grid.trials.iter().enumerate().map(|(place, trial)| (trial.id.clone(), place));
        Session {
            run,
            reporter: Reporter::new(open, run.options.quiet),
            places: places.collect(),
            grid: plan.grid,
            state: Mutex::new(SessionState {
                report,
                states: plan.states,
                wanted,
                begun: 0,
                limits: HashMap::new(),
                error: None,
                written: None,
                waits: false,
            }),
            bank_over: Condvar::new(),
        }
    }

    pub fn run(self, workload: &dyn Workload) -> Result<RunReport> {
        self.report_damage();
        let banks = self.plan_all(workload)?;
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
        let odd = if self.run.options.worker { Ok(None) } else { self.write_tables() };
        let mut state = self.state.into_inner().expect(NO_PANIC);
        if let Some(error) = state.error {
            return Err(error);
        }
        if let Some(notice) = odd? {
            self.reporter.notice(&notice);
        }
        state.report.left += state.wanted.len();
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

    fn again(&self) -> bool {
        self.run.options.selection.again()
    }

    /// Puts every trial that is wanted and in no bank into one, or waits for who does that; how many banks nobody has.
    fn plan_all(&self, workload: &dyn Workload) -> Result<usize> {
        loop {
            let wanted = self.state().wanted.clone();
            let look = self.run.desk.look(self.again(), &wanted)?;
            match look.is_planned && !self.run.stop.load(Ordering::SeqCst) {
                true => std::thread::sleep(self.pause()),
                false if look.open.is_empty() => return Ok(look.free.len()),
                false => self.plan(look.last, look.open, workload)?,
            }
        }
    }

    /// Time between two looks at what others do.
    fn pause(&self) -> Duration {
        (self.run.options.lease / 20).min(MOST_WAIT)
    }

    /// Runs banks until nothing is wanted any more, the run is to end, or the workload's device has broken.
    fn work(&self, workload: &dyn Workload) {
        loop {
            let outcome = match self.next_bank(workload) {
                Ok(None) => return,
                Ok(Some(lease)) => self.bank(workload, lease),
                Err(error) => Err(error),
            };
            self.bank_over.notify_all();
            match outcome.and_then(|goes_on| self.write_tables_at_times().map(|()| goes_on)) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    self.state().error.get_or_insert(error);
                }
            }
        }
    }

    /// The next bank, as soon as there is one that no other worker has; nothing when the run is to end.
    fn next_bank(&self, workload: &dyn Workload) -> Result<Option<Lease<'_>>> {
        loop {
            // Under the lock, so that threads do not plan at once.
            let mut state = self.state();
            let failed = state.report.failed.len();
            if state.error.is_some() || self.run.options.max_failures.is_some_and(|most| failed >= most) {
                return Ok(None);
            }
            if self.run.stop.load(Ordering::SeqCst) || state.report.interrupted {
                state.report.interrupted |= !state.wanted.is_empty();
                return Ok(None);
            }
            match self.run.desk.next(self.again(), &state.wanted)? {
                Step::Over => return Ok(None),
                Step::Run(lease) => {
                    state.begun += 1;
                    return Ok(Some(lease));
                }
                Step::Plan { last, trials } => {
                    drop(state);
                    self.plan(last, trials, workload)?;
                }
                Step::Wait => {
                    self.tell_wait(&mut state)?;
                    drop(self.bank_over.wait_timeout(state, self.pause()).expect(NO_PANIC));
                }
            }
        }
    }

    /// Says once that other workers are waited for.
    fn tell_wait(&self, state: &mut SessionState) -> Result<()> {
        if state.waits {
            return Ok(());
        }
        let others: Vec<String> = self.run.desk.others()?.into_iter().collect();
        if !others.is_empty() {
            state.waits = true;
            let count = state.wanted.len();
            let trials = if count == 1 { "trial" } else { "trials" };
            let names = others.join(", ");
            self.reporter.notice(&format!("waiting for {count} {trials} that other workers have: {names}"));
        }
        Ok(())
    }

    /// Puts trials that were in no bank after plan `last` into banks of a new one, unless they are finished by now.
    fn plan(&self, last: u64, trials: Vec<String>, workload: &dyn Workload) -> Result<()> {
        let places: Vec<usize> = {
            let mut state = self.state();
            trials.iter().for_each(|id| self.reread(&mut state, id));
            let mut open: Vec<usize> =
                trials.iter().filter(|id| state.wanted.contains(*id)).map(|id| self.places[id]).collect();
            open.sort_unstable();
            open
        };
        if places.is_empty() {
            return Ok(());
        }
        let banks = form(&self.grid.trials, &places, workload, true).banks;
        let id = |place: usize| self.grid.trials[place].id.clone();
        let banks = banks.into_iter().map(|bank| bank.into_iter().map(id).collect()).collect();
        // Where another worker has been faster, its plan is read next.
        self.run.desk.propose(last, &BankList { banks, again: self.again() }).map(|_| ())
    }

    /// Reads a trial's state anew, and lets go of it if another worker has finished it.
    fn reread(&self, state: &mut SessionState, id: &str) {
        let place = self.places[id];
        let now = State::read(&self.run.ledger, id);
        if now != state.states[place] && !self.run.options.selection.takes(&self.grid.trials[place], &now) {
            state.wanted.remove(id);
            state.report.elsewhere += 1;
        }
        state.states[place] = now;
    }

    /// Whether the workload can take another bank.
    fn bank(&self, workload: &dyn Workload, lease: Lease) -> Result<bool> {
        let (name, mut parts) = {
            let mut state = self.state();
            // Another worker may have finished some of them before it was gone.
            let finished = lease.trials.iter().filter(|id| !lease.is_new() && self.places.contains_key(*id));
            finished.for_each(|id| self.reread(&mut state, id));
            (format!("bank {}", state.begun), self.parts(&state, &lease))
        };
        let mut keeps_checkpoint = false;
        while let Some(members) = parts.pop_front() {
            let trials: Vec<Trial> = members.iter().map(|place| self.grid.trials[*place].clone()).collect();
            // What a trial takes depends on its method: a bank of full finetuning says nothing about one of LoRA.
            let methods: BTreeSet<String> =
                trials.iter().map(|trial| trial.config["method"]["name"].to_string()).collect();
            let key = format!("{} {methods:?}", workload.bank_key(&trials[0].config));
            let mut state = self.state();
            let done: Vec<bool> = trials.iter().map(|trial| !state.wanted.contains(&trial.id)).collect();
            let open: Vec<usize> =
                members.iter().zip(&done).filter(|(_, done)| !**done).map(|(place, _)| *place).collect();
            if state.limits.get(&key).is_some_and(|limit| open.len() > *limit) {
                split(&mut parts, &open);
                continue;
            }
            drop(state);
            let attempt = Attempt {
                run: self.run,
                lease: &lease,
                progress: &self.reporter.begin_bank(&name, open.len()),
                trials: &trials,
                done: &done,
                again: self.again(),
            };
            let (end, finished) = match attempt.run(workload) {
                Ok(ended) => ended,
                Err(error) => {
                    // The first error is the one to report.
                    let _ = lease.give_back();
                    return Err(error);
                }
            };
            state = self.state();
            for (slot, status) in finished {
                self.account(&mut state, members[slot], status);
            }
            match end {
                End::Complete { keeps_checkpoint: keeps } => keeps_checkpoint |= keeps,
                End::Lost => {
                    self.reporter
                        .notice(&format!("{name} was taken by another worker while this one was silent"));
                    return Ok(true);
                }
                End::Interrupted => {
                    state.report.interrupted = true;
                    lease.give_back()?;
                    return Ok(true);
                }
                End::BrokenDevice { message } => {
                    let device = workload.provenance().device;
                    let notice = format!("{device} is left aside for the rest of this run: {message}");
                    self.reporter.notice(&notice);
                    state.report.broken_devices.push(device);
                    lease.give_back()?;
                    return Ok(false);
                }
                End::OutOfMemory { message } => {
                    workload.rest();
                    self.reporter.notice(&format!("{name} of {} trials is halved: {message}", open.len()));
                    state.limits.insert(key, open.len().div_ceil(2));
                    let rest: Vec<usize> = open
                        .into_iter()
                        .filter(|place| state.wanted.contains(&self.grid.trials[*place].id))
                        .collect();
                    split(&mut parts, &rest);
                    state.report.splits += 1;
                }
            }
        }
        if keeps_checkpoint {
            lease.give_back()?
        } else {
            lease.end()?
        };
        Ok(true)
    }

    /// The parts of a bank to run: those with a checkpoint, each with all its trials, and the rest.
    fn parts(&self, state: &SessionState, lease: &Lease) -> VecDeque<Vec<usize>> {
        let is_wanted = |id: &String| state.wanted.contains(id);
        let mut rest: Vec<usize> =
            lease.trials.iter().filter(|id| is_wanted(id)).map(|id| self.places[id]).collect();
        let mut parts = VecDeque::new();
        for places in checkpoints::begun(&lease.path()) {
            let members = places.iter().map(|place| self.places.get(lease.trials.get(*place)?).copied());
            let Some(members) = members.collect::<Option<Vec<usize>>>() else { continue };
            if members.iter().any(|place| rest.contains(place)) {
                rest.retain(|place| !members.contains(place));
                parts.push_back(members);
            }
        }
        if !rest.is_empty() {
            parts.push_back(rest);
        }
        parts
    }

    fn account(&self, state: &mut SessionState, index: usize, status: Status) {
        state.wanted.remove(&self.grid.trials[index].id);
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
        if self.run.options.worker {
            return Ok(());
        }
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

/// The most time between two looks at banks that others have.
const MOST_WAIT: Duration = Duration::from_secs(1);
const NO_PANIC: &str = "what a workload does cannot panic while the state is held";
