//! What a run would do: which trials are open, in which banks, with what time and memory.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;

use crate::error::Result;
use crate::experiments::{Experiment, Grid};
use crate::ledger::{Folder, Ledger, State, banks, checkpoints, holder, take_over, workers};
use crate::run::forming::{Formed, estimates, form};
use crate::run::progress::duration_text;
use crate::run::selection::Selection;
use crate::tables::{Phase, Phased, TunedPoint, phased_by};
use crate::workload::{Estimate, Trial, Workload};

/// Trials that are trained together, by their place in the grid.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedBank {
    pub members: Vec<usize>,
    /// Whether an interrupted run has left this bank's folder.
    pub resumes: bool,
}

/// Every trial that is known to be needed with its state, and the banks of those to run.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub experiment: String,
    pub scale: String,
    pub grid: Grid,
    /// State of each trial of the grid.
    pub states: Vec<State>,
    /// Per trial, whether a run would train it.
    pub to_run: Vec<bool>,
    /// Trials to run that were not selected: they share the checkpoint of a bank that was begun with one that was.
    pub joined: usize,
    /// Phase of each trial of the grid; empty without tuning.
    pub phases: Vec<Phase>,
    /// Compared points whose settings tuning chooses.
    pub points: Vec<TunedPoint>,
    pub banks: Vec<PlannedBank>,
    /// Whether how many trials a bank holds is still to be measured: `banks` are then as large as they can be.
    pub is_unmeasured: bool,
    /// Why the banks are as large as they are, where that was measured.
    pub reason: Option<String>,
    /// The most banks that run side by side.
    pub at_once: usize,
    /// Expected time of the trials to run, if the workload knows it.
    pub seconds: Option<f64>,
    /// Expected time of the trials that tuning will add, if the workload knows it.
    pub later_seconds: Option<f64>,
    /// Expected memory of the largest banks that run at once, if the workload knows it.
    pub memory_bytes: Option<u64>,
    /// The part of that memory for what the trials train.
    pub trained_bytes: Option<u64>,
    /// The part of that memory for frozen weights.
    pub frozen_bytes: Option<u64>,
    /// What was done to a ledger of an older form.
    pub notices: Vec<String>,
    /// Who is running the experiment now, as in "process 71 of box, since 2026-01-31T12:00:00Z".
    pub running: Option<String>,
    folder: Folder,
    /// What a refresh chooses anew from.
    tuned: Option<Box<(Experiment, Grid)>>,
}

/// Checks the experiment and says what a run of the selected trials would do.
pub fn plan(
    experiment: &Experiment,
    workload: &dyn Workload,
    results_dir: &Path,
    selection: &Selection,
) -> Result<Plan> {
    let mut plan = plan_ledger(experiment, workload, results_dir, selection, true)?;
    plan.estimate(workload);
    Ok(plan)
}

/// Says what a run would do, without time and memory: a workload may have to load its networks for [`plan`].
pub fn status(experiment: &Experiment, workload: &dyn Workload, results_dir: &Path) -> Result<Plan> {
    plan_ledger(experiment, workload, results_dir, &Selection::default(), false)
}

fn plan_ledger(
    experiment: &Experiment,
    workload: &dyn Workload,
    results_dir: &Path,
    selection: &Selection,
    measures: bool,
) -> Result<Plan> {
    let candidates = experiment.grid(workload)?;
    let folder = Folder::new(results_dir, experiment);
    // A folder that cannot be written, or is being written, is looked at as it is.
    let notices = take_over(workload, &candidates.trials, &folder).unwrap_or_default();
    let phased = phased_by(experiment, &candidates, &Ledger::new(folder.trials()));
    let mut plan = plan_trials(experiment, phased, &folder, selection, &BTreeSet::new())?;
    plan.resume_banks(selection.again());
    plan.form_banks(workload, measures);
    plan.notices = notices;
    plan.tuned = experiment.tuning.is_some().then(|| Box::new((experiment.clone(), candidates)));
    Ok(plan)
}

/// The plan of trials that have been checked, without banks, time and memory; those that were `seen` are not run.
pub(crate) fn plan_trials(
    experiment: &Experiment,
    phased: Phased,
    folder: &Folder,
    selection: &Selection,
    seen: &BTreeSet<String>,
) -> Result<Plan> {
    selection.check(&phased.grid.trials)?;
    let mut plan = Plan {
        experiment: experiment.name.clone(),
        scale: experiment.scale.clone(),
        phases: phased.grid.trials.iter().filter_map(|trial| phased.phase(trial)).collect(),
        points: phased.points,
        folder: folder.clone(),
        grid: phased.grid,
        ..Plan::default()
    };
    plan.refresh();
    let selected = plan.grid.trials.iter().zip(&plan.states);
    plan.to_run =
        selected.map(|(trial, state)| selection.takes(trial, state) && !seen.contains(&trial.id)).collect();
    Ok(plan)
}

impl Plan {
    /// Reads the trials' states and the lock again; the banks stay as they were planned.
    ///
    /// Trials that tuning has added meanwhile come last.
    pub fn refresh(&mut self) {
        let ledger = Ledger::new(self.folder.trials());
        if let Some((experiment, candidates)) = self.tuned.as_deref() {
            let phased = phased_by(experiment, candidates, &ledger);
            let is_new = |trial: &&Trial| !self.grid.trials.contains(trial);
            let new: Vec<Trial> = phased.grid.trials.iter().filter(is_new).cloned().collect();
            self.to_run.resize(self.to_run.len() + new.len(), false);
            Arc::make_mut(&mut self.grid.trials).extend(new);
            let phase = |trial: &Trial| phased.phase(trial).unwrap_or(Phase::Tuning);
            self.phases = self.grid.trials.iter().map(phase).collect();
            self.points = phased.points;
        }
        self.states = self.grid.trials.par_iter().map(|trial| State::read(&ledger, &trial.id)).collect();
        self.running = self.running_now();
    }

    /// Who is at work: a run that has the folder alone, or workers.
    fn running_now(&self) -> Option<String> {
        let alone = holder(&self.folder.lock());
        let workers = workers(&self.folder.workers());
        match (alone, workers.len()) {
            (Some(holder), _) => Some(holder),
            (None, 0) => None,
            (None, 1) => Some(format!("a worker, {}", workers[0].1)),
            (None, count) => Some(format!("{count} workers, the first {}", workers[0].1)),
        }
    }

    /// Takes up the banks of interrupted runs, as they were, that have a trial to run.
    ///
    /// Such a bank runs with all its unfinished trials, selected or not: their progress is in the same checkpoint.
    pub(crate) fn resume_banks(&mut self, again: bool) {
        let places: HashMap<&str, usize> =
            self.grid.trials.iter().enumerate().map(|(place, trial)| (trial.id.as_str(), place)).collect();
        let known = banks(&self.folder);
        let begun = known.all().unwrap_or_default().into_iter().filter(|(_, list)| list.again == again);
        let mut resumed: Vec<Vec<usize>> = Vec::new();
        for (bank, list) in begun {
            let members = &list.banks[bank.index];
            let members: Option<Vec<usize>> =
                members.iter().map(|id| places.get(id.as_str()).copied()).collect();
            let Some(mut members) = members else { continue };
            members.retain(|place| self.to_run[*place] || !again && !self.states[*place].is_final());
            let is_wanted = members.iter().any(|place| self.to_run[*place]);
            if is_wanted && !checkpoints::begun(&known.path(&bank)).is_empty() {
                resumed.push(members);
            }
        }
        for members in resumed {
            for place in &members {
                self.joined += usize::from(!self.to_run[*place]);
                self.to_run[*place] = true;
            }
            self.banks.push(PlannedBank { members, resumes: true });
        }
    }

    /// Puts the other trials to run into banks.
    pub(crate) fn form_banks(&mut self, workload: &dyn Workload, measures: bool) {
        let banked: HashSet<usize> =
            self.banks.iter().flat_map(|bank| bank.members.iter().copied()).collect();
        let open: Vec<usize> =
            (0..self.to_run.len()).filter(|place| self.to_run[*place] && !banked.contains(place)).collect();
        let Formed { banks: formed, is_unmeasured, reason } =
            form(&self.grid.trials, &open, workload, measures);
        (self.is_unmeasured, self.reason) = (is_unmeasured, reason);
        let at_once = workload.workers().map_or(1, |workers| workers.most);
        self.at_once = at_once.min(self.banks.len() + formed.len()).max(1);
        self.banks.extend(formed.into_iter().map(|members| PlannedBank { members, resumes: false }));
    }

    /// Asks the workload for the time and memory of the trials to run.
    fn estimate(&mut self, workload: &dyn Workload) {
        let later = self.points.iter().flat_map(|point| &point.later);
        self.later_seconds =
            later.map(|trial| Some(workload.estimate(&trial.config, 1)?.seconds)).sum::<Option<f64>>();
        let of_bank = |bank: &PlannedBank| {
            let open = |place: &usize| self.to_run[*place];
            let open: Vec<usize> = bank.members.iter().copied().filter(open).collect();
            estimates(&self.grid.trials, &open, workload)
        };
        let costs: Option<Vec<_>> = self.banks.iter().map(of_bank).collect();
        let Some(costs) = costs else { return };
        self.seconds = Some(costs.iter().flatten().map(|cost| cost.seconds).sum());
        let sum = |bank: &Vec<Estimate>, part: fn(&Estimate) -> u64| {
            bank.iter().map(part).fold(0, u64::saturating_add)
        };
        let mut banks: Vec<(u64, u64)> = costs
            .iter()
            .map(|bank| (sum(bank, |cost| cost.memory_bytes), sum(bank, |cost| cost.trained_bytes)))
            .collect();
        // The largest banks run at once in the worst case.
        banks.sort_unstable();
        let largest = || banks.iter().rev().take(self.at_once);
        let frozen = costs.iter().flatten().map(|cost| cost.frozen_bytes).max().unwrap_or(0);
        let frozen = frozen.saturating_mul(largest().count() as u64);
        self.memory_bytes = Some(largest().map(|bank| bank.0).fold(frozen, u64::saturating_add));
        self.frozen_bytes = Some(frozen);
        self.trained_bytes = Some(largest().map(|bank| bank.1).fold(0, u64::saturating_add));
    }

    /// How far tuning is, and what is still to come of it.
    fn tuning_text(&self) -> String {
        let (points, trials) =
            (self.points.len(), self.points.iter().map(|point| point.trials).sum::<usize>());
        let chosen = self.points.iter().filter(|point| point.chosen.is_some()).count();
        let later: usize = self.points.iter().map(|point| point.later.len()).sum();
        let rest =
            if later > 0 { format!("; choosing the rest will add {later} trials") } else { String::new() };
        let points = if points == 1 { "1 point".to_string() } else { format!("{points} points") };
        format!("tuning: {trials} trials choose the settings of {points}, {chosen} chosen{rest}")
    }

    /// Number of trials in each state that occurs, by the state's name.
    pub fn counts(&self) -> Vec<(&'static str, usize)> {
        let names = ["done", "diverged", "failed", "damaged", "open"];
        let count = |name| self.states.iter().filter(|state| state.name() == name).count();
        names.into_iter().map(|name| (name, count(name))).filter(|(_, count)| *count > 0).collect()
    }

    /// Number of trials that a run would train.
    pub fn open(&self) -> usize {
        self.to_run.iter().filter(|to_run| **to_run).count()
    }

    /// One line per trial: id, state, what is compared, and why it failed.
    pub fn listing(&self) -> String {
        let mut text = String::new();
        for (index, (trial, state)) in self.grid.trials.iter().zip(&self.states).enumerate() {
            let phase = self.phases.get(index).map(|phase| format!("{:6} ", phase.name()));
            let settings: Vec<String> =
                self.grid.settings(trial).map(|(key, value)| format!("{key}={value}")).collect();
            let note = match state {
                State::Open | State::Done => String::new(),
                State::Diverged { step } => format!("  at step {step}"),
                State::Failed { message } => format!("  {message}"),
                State::Damaged { reason } => format!("  {reason}"),
            };
            let (phase, settings) = (phase.unwrap_or_default(), settings.join(" "));
            text += &format!("{} {:8} {phase}{settings}{note}\n", trial.id, state.name());
        }
        text
    }
}

/// Sizes of banks: each, or the smallest and the largest of many.
fn sizes_text(sizes: &[usize]) -> String {
    const MOST: usize = 16;
    match (sizes.iter().min(), sizes.iter().max()) {
        (Some(least), Some(most)) if sizes.len() > MOST && least == most => most.to_string(),
        (Some(least), Some(most)) if sizes.len() > MOST => format!("{least} to {most}"),
        _ => sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// A number of bytes in words, such as "3.4 GB" or "120 MB".
fn memory_text(bytes: u64) -> String {
    match bytes as f64 / 1e6 {
        ..999.5 => format!("{:.0} MB", bytes as f64 / 1e6),
        megabytes => format!("{:.1} GB", megabytes / 1e3),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let counts: Vec<String> =
            self.counts().iter().map(|(name, count)| format!("{count} {name}")).collect();
        let trials = self.grid.trials.len();
        writeln!(f, "{} at scale {}: {trials} trials ({})", self.experiment, self.scale, counts.join(", "))?;
        for note in self.notices.iter().chain(&self.grid.shortfalls) {
            writeln!(f, "note: {note}")?;
        }
        if !self.points.is_empty() {
            writeln!(f, "{}", self.tuning_text())?;
        }
        if let Some(holder) = &self.running {
            writeln!(f, "running now: {holder}")?;
        }
        if self.banks.is_empty() {
            return writeln!(f, "nothing to run");
        }
        let sizes: Vec<usize> = self.banks.iter().map(|bank| bank.members.len()).collect();
        let resumed = self.banks.iter().filter(|bank| bank.resumes).count();
        let at_once = match self.at_once {
            1 => "one at a time".to_string(),
            count => format!("{count} at once"),
        };
        let banks = if self.banks.len() == 1 { "bank" } else { "banks" };
        let sizes = sizes_text(&sizes);
        let trials = if sizes == "1" { "trial" } else { "trials" };
        if self.is_unmeasured {
            return writeln!(
                f,
                "how many trials a bank has is to be measured, as `delora plan` and `delora run` do"
            );
        }
        writeln!(f, "{} {banks} of {sizes} {trials}, {resumed} of them begun, {at_once}", self.banks.len())?;
        if let Some(reason) = &self.reason {
            writeln!(f, "{reason}")?;
        }
        if self.joined > 0 {
            writeln!(f, "{} of these were not selected, but share the checkpoint of a bank", self.joined)?;
        }
        match self.seconds {
            Some(seconds) => {
                let text =
                    |seconds| duration_text(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
                let later = self.later_seconds.filter(|seconds| *seconds > 0.0);
                let later = later.map(|later| format!(", and {} for what tuning will add", text(later)));
                writeln!(f, "expected time: {}{}", text(seconds), later.unwrap_or_default())?
            }
            None => writeln!(f, "expected time: unknown")?,
        }
        match self.memory_bytes {
            Some(bytes) => {
                let share = |bytes: Option<u64>, what: &str| match bytes.unwrap_or(0) {
                    ..500_000 => String::new(),
                    bytes => format!(", {} of it for {what}", memory_text(bytes)),
                };
                let trained = share(self.trained_bytes, "what the trials train");
                let frozen = share(self.frozen_bytes, "frozen weights");
                writeln!(f, "expected memory: {}{trained}{frozen}", memory_text(bytes))
            }
            None => writeln!(f, "expected memory: unknown"),
        }
    }
}
