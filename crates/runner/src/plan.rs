//! What a run would do: which trials are open, in which banks, with what time and memory.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::checkpoints::interrupted;
use crate::error::Result;
use crate::experiment::Experiment;
use crate::folder::Folder;
use crate::grid::Grid;
use crate::ledger::{Entry, Ledger};
use crate::lock::holder;
use crate::progress::duration_text;
use crate::workload::{Estimate, Status, Trial, Workload};

/// What the ledger says of a trial.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    Open,
    Done,
    Diverged {
        step: u64,
    },
    /// Run again by the next run.
    Failed {
        message: String,
    },
    /// Its file does not verify; run again by the next run.
    Damaged {
        reason: String,
    },
}

impl State {
    /// Whether the next run leaves the trial alone.
    pub fn is_final(&self) -> bool {
        matches!(self, State::Done | State::Diverged { .. })
    }

    pub fn name(&self) -> &'static str {
        match self {
            State::Open => "open",
            State::Done => "done",
            State::Diverged { .. } => "diverged",
            State::Failed { .. } => "failed",
            State::Damaged { .. } => "damaged",
        }
    }
}

/// Trials that are trained together, by their place in the grid.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedBank {
    pub members: Vec<usize>,
    /// Whether an interrupted run has left this bank's folder.
    pub resumes: bool,
}

/// Every trial with its state, and the banks of those to run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub experiment: String,
    pub scale: String,
    pub grid: Grid,
    /// State of each trial of the grid.
    pub states: Vec<State>,
    pub banks: Vec<PlannedBank>,
    /// Expected time of the open trials, if the workload knows it.
    pub seconds: Option<f64>,
    /// Expected memory of the largest banks that run at once, if the workload knows it.
    pub memory_bytes: Option<u64>,
    /// The part of that memory for what the trials train.
    pub trained_bytes: Option<u64>,
    /// Process that is running the experiment now.
    pub running: Option<u32>,
}

/// Checks the experiment and says what a run would do.
pub fn plan(experiment: &Experiment, workload: &dyn Workload, results_dir: &Path) -> Result<Plan> {
    let grid = experiment.grid(workload)?;
    Ok(plan_grid(experiment, grid, workload, &Folder::new(results_dir, experiment)))
}

/// The plan of a grid that has been checked.
pub(crate) fn plan_grid(
    experiment: &Experiment,
    grid: Grid,
    workload: &dyn Workload,
    folder: &Folder,
) -> Plan {
    let ledger = Ledger::new(folder.trials());
    let states: Vec<State> = grid.trials.iter().map(|trial| state(&ledger, &trial.id)).collect();
    let banks = banks(&grid.trials, &states, workload, folder);
    let estimates = |members: &[usize]| {
        let open = members.iter().filter(|index| !states[**index].is_final());
        open.map(|index| workload.estimate(&grid.trials[*index].config)).collect::<Option<Vec<_>>>()
    };
    let costs: Option<Vec<_>> = banks.iter().map(|bank| estimates(&bank.members)).collect();
    let seconds = costs.as_ref().map(|banks| banks.iter().flatten().map(|cost| cost.seconds).sum());
    let at_once = workload.workers().map_or(1, |workers| workers.most);
    // The largest banks run at once in the worst case.
    let memory = |banks: &Vec<Vec<Estimate>>| {
        let sum = |bank: &Vec<Estimate>, of: fn(&Estimate) -> u64| bank.iter().map(of).sum::<u64>();
        let mut banks: Vec<(u64, u64)> = banks
            .iter()
            .map(|bank| (sum(bank, |cost| cost.memory_bytes), sum(bank, |cost| cost.trained_bytes)))
            .collect();
        banks.sort_unstable();
        let largest = || banks.iter().rev().take(at_once);
        (largest().map(|bank| bank.0).sum(), largest().map(|bank| bank.1).sum())
    };
    let (memory_bytes, trained_bytes) = costs.as_ref().map(memory).unzip();
    Plan {
        experiment: experiment.name.clone(),
        scale: experiment.scale.clone(),
        memory_bytes,
        trained_bytes,
        seconds,
        running: holder(&folder.lock()),
        grid,
        states,
        banks,
    }
}

/// As [`plan`]: a status is the plan, read for its states instead of its banks.
pub fn status(experiment: &Experiment, workload: &dyn Workload, results_dir: &Path) -> Result<Plan> {
    plan(experiment, workload, results_dir)
}

fn state(ledger: &Ledger, id: &str) -> State {
    match ledger.read(id) {
        Entry::Missing => State::Open,
        Entry::Damaged { reason } => State::Damaged { reason },
        Entry::Found(record) => match record.outcome.status {
            Status::Done => State::Done,
            Status::Diverged { step } => State::Diverged { step },
            Status::Failed { message } => State::Failed { message },
        },
    }
}

/// Banks of interrupted runs first, as they were, then the other open trials by bank key in even parts.
fn banks(trials: &[Trial], states: &[State], workload: &dyn Workload, folder: &Folder) -> Vec<PlannedBank> {
    let mut open: BTreeSet<usize> = (0..trials.len()).filter(|index| !states[*index].is_final()).collect();
    let mut banks = Vec::new();
    for members in interrupted(trials, folder) {
        if members.iter().any(|index| open.contains(index)) {
            open.retain(|index| !members.contains(index));
            banks.push(PlannedBank { members, resumes: true });
        }
    }
    let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
    for index in open {
        let key = workload.bank_key(&trials[index].config);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(index),
            None => groups.push((key, vec![index])),
        }
    }
    for (_, members) in groups {
        let limits = members.iter().map(|index| workload.max_bank(&trials[*index].config));
        let count = members.len().div_ceil(limits.min().unwrap_or(1).max(1));
        let cut = |part: usize| members.len() * part / count;
        let parts = (0..count).map(|part| members[cut(part)..cut(part + 1)].to_vec());
        banks.extend(parts.map(|members| PlannedBank { members, resumes: false }));
    }
    banks
}

impl Plan {
    /// Number of trials in each state that occurs, by the state's name.
    pub fn counts(&self) -> Vec<(&'static str, usize)> {
        let names = ["done", "diverged", "failed", "damaged", "open"];
        let count = |name| self.states.iter().filter(|state| state.name() == name).count();
        names.into_iter().map(|name| (name, count(name))).filter(|(_, count)| *count > 0).collect()
    }

    /// Number of trials that a run would train.
    pub fn open(&self) -> usize {
        self.states.iter().filter(|state| !state.is_final()).count()
    }

    /// One line per trial: id, state, what is compared, and why it failed.
    pub fn listing(&self) -> String {
        let mut text = String::new();
        for (trial, state) in self.grid.trials.iter().zip(&self.states) {
            let settings: Vec<String> =
                self.grid.settings(trial).map(|(key, value)| format!("{key}={value}")).collect();
            let note = match state {
                State::Open | State::Done => String::new(),
                State::Diverged { step } => format!("  at step {step}"),
                State::Failed { message } => format!("  {message}"),
                State::Damaged { reason } => format!("  {reason}"),
            };
            text += &format!("{} {:8} {}{note}\n", trial.id, state.name(), settings.join(" "));
        }
        text
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let counts: Vec<String> =
            self.counts().iter().map(|(name, count)| format!("{count} {name}")).collect();
        let trials = self.grid.trials.len();
        writeln!(f, "{} at scale {}: {trials} trials ({})", self.experiment, self.scale, counts.join(", "))?;
        if let Some(pid) = self.running {
            writeln!(f, "running now: process {pid}")?;
        }
        if self.banks.is_empty() {
            return writeln!(f, "nothing to run");
        }
        let sizes: Vec<String> = self.banks.iter().map(|bank| bank.members.len().to_string()).collect();
        let resumed = self.banks.iter().filter(|bank| bank.resumes).count();
        writeln!(f, "{} banks of {} trials, {resumed} of them begun", self.banks.len(), sizes.join(", "))?;
        match self.seconds {
            Some(seconds) => {
                writeln!(f, "expected time: {}", duration_text(Duration::from_secs_f64(seconds)))?
            }
            None => writeln!(f, "expected time: unknown")?,
        }
        match self.memory_bytes {
            Some(bytes) => {
                let trained = self.trained_bytes.unwrap_or(0) as f64 / 1e9;
                let share = if trained < 0.05 {
                    String::new()
                } else {
                    format!(", {trained:.1} GB of it for what the trials train")
                };
                writeln!(f, "expected memory: {:.1} GB{share}", bytes as f64 / 1e9)
            }
            None => writeln!(f, "expected memory: unknown"),
        }
    }
}
