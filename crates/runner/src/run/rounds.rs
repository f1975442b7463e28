//! Running a plan: banks in order, every outcome durable as it comes, and what happens when a bank fails.
//!
//! - `done` and `diverged` trials are never run again; `failed` and damaged ones are, by every run.
//! - A bank that returns an error or panics fails its unfinished trials, and the run goes on, unless `max_failures`
//!   trials have failed. What is left then stays open, so the next run takes it up.
//! - Banks run side by side where the workload says that the machine is better used so; none sees another.
//! - A bank that runs out of memory is halved until it fits; a trial that does not fit alone has failed.
//! - Workers, any number of processes on any machines, run the banks of one plan; a run alone is one that lets no other in
//!   on its machine, tries failed trials again and writes the tables.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::error::{Result, RunnerError};
use crate::experiments::Experiment;
use crate::ledger::{Desk, Folder, Ledger, Lock, Stamp, State, reuse, take_over};
use crate::run::plan::plan_trials;
use crate::run::progress::Reporter;
use crate::run::report::{Run, RunOptions, RunReport};
use crate::run::selection::{Only, Selection};
use crate::run::session::Session;
use crate::run::signal::stop_flag;
use crate::settings::{Scope, SettingError};
use crate::tables::{Phased, TunedPoint, files, phased_by};
use crate::workload::Workload;

/// Runs what is open, after checking every trial, and writes the tables.
///
/// Where settings are tuned first, what was chosen is tested in the same run, unless only some trials were asked for.
pub fn run(experiment: &Experiment, workload: &dyn Workload, options: &RunOptions) -> Result<RunReport> {
    let candidates = experiment.grid(workload)?;
    candidates.shortfalls.iter().for_each(|text| notice(&format!("note: {text}")));
    let folder = Folder::new(&options.results_dir, experiment);
    let stop = stop_flag();
    take_over(workload, &candidates.trials, &folder)?.iter().for_each(|text| notice(text));
    let lock = if options.worker { Lock::share(&folder.lock())? } else { Lock::acquire(&folder.lock())? };
    lock.notices.iter().for_each(|text| notice(text));
    if options.worker {
        folder.make()?
    } else {
        folder.prepare()?
    };
    let desk = Desk::open(&folder, options.lease)?;
    let stamp = Stamp::now(experiment.path(), workload.provenance());
    let (ledger, methods) = (Ledger::new(folder.trials()), workload.methods());
    Run { experiment, options, candidates, methods, folder, ledger, desk, stamp, stop }.whole(workload)
}

/// Writes the tables and the README of an experiment anew from its ledger; returns what is odd about them.
///
/// Fails when the ledger has no trial of the experiment, so that tables without their ledger are not emptied.
pub fn rebuild(
    experiment: &Experiment,
    workload: &dyn Workload,
    results_dir: &Path,
) -> Result<Option<String>> {
    let folder = Folder::new(results_dir, experiment);
    let ledger = Ledger::new(folder.trials());
    if !folder.trials().is_dir() {
        return Err(RunnerError::Empty { path: folder.trials() });
    }
    let grid = experiment.grid(workload)?;
    take_over(workload, &grid.trials, &folder)?.iter().for_each(|text| notice(text));
    // Beside workers, which write no tables.
    let _lock = Lock::share(&folder.lock())?;
    if !grid.trials.iter().any(|trial| ledger.path(&trial.id).exists()) {
        return Err(RunnerError::Empty { path: folder.trials() });
    }
    files::write(experiment, &grid, &workload.methods(), &ledger, &folder)
}

/// Removes the records of failed trials, which are no results, so that workers try them again; says how many.
pub fn forget_failures(
    experiment: &Experiment,
    workload: &dyn Workload,
    results_dir: &Path,
) -> Result<usize> {
    let folder = Folder::new(results_dir, experiment);
    let ledger = Ledger::new(folder.trials());
    let mut count = 0;
    for trial in experiment.grid(workload)?.trials.iter() {
        if matches!(State::read(&ledger, &trial.id), State::Failed { .. }) {
            let path = ledger.path(&trial.id);
            fs::remove_file(&path).map_err(RunnerError::write(&path))?;
            count += 1;
        }
    }
    Ok(count)
}

impl Run<'_> {
    fn whole(&self, workload: &dyn Workload) -> Result<RunReport> {
        let report = self.rounds(workload)?;
        if report.left == 0 {
            self.desk.retire()?;
        }
        Ok(report)
    }

    /// One round, and another as long as tuning has made new choices.
    fn rounds(&self, workload: &dyn Workload) -> Result<RunReport> {
        let mut report = RunReport { folder: self.folder.root.clone(), ..RunReport::default() };
        let mut seen = BTreeSet::new();
        loop {
            let (phased, reused) = self.needed()?;
            let before = phased.points.clone();
            let trials: Vec<String> = phased.grid.trials.iter().map(|trial| trial.id.clone()).collect();
            report = self.round(workload, phased, reused, &seen, report)?;
            if self.experiment.tuning.is_none() || report.interrupted {
                return Ok(report);
            }
            let now = phased_by(self.experiment, &self.candidates, &self.ledger);
            if let Some(message) = now.unmeasured {
                let error = SettingError::new("tuning.metric", message);
                return Err(RunnerError::Settings(vec![self.experiment.located(&error, Scope::default())]));
            }
            tell_choices(&before, &now.points);
            seen.extend(trials);
            if !self.goes_on(&report) || now.grid.trials.iter().all(|trial| seen.contains(&trial.id)) {
                return Ok(report);
            }
        }
    }

    /// The trials that are needed, with the results of other experiments taken over, and how many those were.
    fn needed(&self) -> Result<(Phased, usize)> {
        let Run { experiment, options, candidates, folder, ledger, .. } = self;
        let mut reused = 0;
        loop {
            let phased = phased_by(experiment, candidates, ledger);
            let trials = &phased.grid.trials;
            let taken = reuse(trials, ledger, folder, &options.results_dir, &experiment.scale)?;
            reused += taken;
            if taken == 0 || experiment.tuning.is_none() {
                return Ok((phased, reused));
            }
        }
    }

    /// Runs the trials that no round before has `seen`.
    fn round(
        &self,
        workload: &dyn Workload,
        phased: Phased,
        reused: usize,
        seen: &BTreeSet<String>,
        mut report: RunReport,
    ) -> Result<RunReport> {
        let selection = &self.options.selection;
        let mut plan = plan_trials(self.experiment, phased, &self.folder, selection, seen)?;
        if !self.options.worker {
            let swept = self.desk.sweep(&plan.grid.trials, &plan.states, selection.again())?;
            swept.iter().for_each(|text| notice(text));
        }
        plan.resume_banks(selection.again());
        if plan.joined > 0 {
            let text = "trials that were not selected are run too: they share the checkpoint of a bank";
            notice(&format!("{} {text}", plan.joined));
        }
        let trials = plan.grid.trials.iter().zip(&plan.states).zip(&plan.to_run);
        let left_alone = trials
            .filter(|((trial, state), to_run)| state.is_final() && !**to_run && !seen.contains(&trial.id))
            .count();
        report.skipped += left_alone.saturating_sub(reused);
        report.reused += reused;
        report.taken += plan.open();
        let report = Session::new(self, plan, report).run(workload)?;
        if !self.options.worker {
            self.desk.discard_unbegun()?;
        }
        Ok(report)
    }

    /// Whether a run does more than was asked for at its begin.
    fn goes_on(&self, report: &RunReport) -> bool {
        let Selection { only, trials, shard, .. } = &self.options.selection;
        let may_fail = self.options.max_failures.is_none_or(|most| report.failed.len() < most);
        trials.is_empty() && shard.is_none() && matches!(only, None | Some(Only::Unfinished)) && may_fail
    }
}

/// Says what a round has chosen, and what it could not choose.
fn tell_choices(before: &[TunedPoint], now: &[TunedPoint]) {
    let known =
        |point: &TunedPoint| before.iter().any(|old| old.name == point.name && old.chosen == point.chosen);
    for point in now {
        let TunedPoint { name, chosen, failed, trials, .. } = point;
        match chosen {
            Some(chosen) if !known(point) => notice(&format!("{name}: chosen is {chosen}")),
            None if *failed > 0 => notice(&format!(
                "{name}: nothing is chosen, since {failed} of {trials} tuning trials failed; the next run tries them again"
            )),
            _ => {}
        }
    }
}

/// Prints a line before or after the progress of a round.
fn notice(text: &str) {
    Reporter::new(0, true).notice(text);
}
