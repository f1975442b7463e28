//! Whether interrupted runs of an experiment give the results of an undisturbed one, proved by interrupting some.
//!
//! Runs are child processes, and an interruption is SIGKILL: nothing in the process can prepare for it. The moments
//! are spread, from a seeded start, between the start of a process and the time that the undisturbed run took. A run
//! that ends before its kill is compared, and the rest of the kills go to a new one.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Result, RunnerError};
use crate::experiments::Experiment;
use crate::ledger::{Difference, Folder, Ledger, banks, checkpoints, differences, entries, make_folder};
use crate::run::plan::plan_trials;
use crate::run::selection::Selection;
use crate::tables::phased_by;
use crate::workload::Workload;

/// What to prove, and how hard to try.
pub struct Verification<'a> {
    /// An empty folder for the results of all runs.
    pub folder: &'a Path,
    pub kills: usize,
    pub seed: u64,
    /// Run the first trials of the grid, this many; otherwise those of the largest bank.
    pub trials: Option<usize>,
    /// The command that runs trials, by id, into a results folder, with this time between two checkpoints.
    pub command: &'a dyn Fn(&Path, Duration, &[String]) -> Command,
    /// Told a line whenever a run has ended.
    pub tell: &'a dyn Fn(&str),
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub trials: usize,
    /// Runs that were killed.
    pub kills: usize,
    /// Killed runs that left a checkpoint from which the next run went on.
    pub with_checkpoint: usize,
    /// Results that were put together from interrupted runs and compared.
    pub compared: usize,
    pub differences: Vec<Difference>,
}

impl Verdict {
    /// Nothing differs, and a checkpoint was put to the test.
    pub fn is_proof(&self) -> bool {
        self.differences.is_empty() && self.with_checkpoint > 0
    }
}

/// Runs trials undisturbed and then again with kills, and compares the results.
pub fn verify_resume(
    experiment: &Experiment,
    workload: &dyn Workload,
    verification: &Verification,
) -> Result<Verdict> {
    let trials = chosen(experiment, workload, verification)?;
    let session = Session { experiment, verification, trials: &trials };
    let undisturbed = session.folder("undisturbed");
    let started = Instant::now();
    session.finish("undisturbed", Duration::from_secs(3600))?;
    let took = started.elapsed();
    (verification.tell)(&format!("undisturbed: {} trials in {:.1} s", trials.len(), took.as_secs_f64()));
    let mut verdict = Verdict { trials: trials.len(), ..Verdict::default() };
    let mut moments = moments(verification.seed, took);
    while verdict.kills < verification.kills {
        let name = format!("interrupted-{}", verdict.compared + 1);
        session.interrupt(&name, took, &mut moments, &mut verdict)?;
        verdict.compared += 1;
        let found = differences(&trials, &undisturbed, &session.folder(&name));
        (verification.tell)(&format!("{name}: {} differences", found.len()));
        verdict.differences.extend(found);
    }
    Ok(verdict)
}

/// When to kill one run after another: steps of the golden ratio from a seeded start, which leave no part of the time
/// out for long. A moment that comes too late for one run is not tried again at the next.
fn moments(seed: u64, took: Duration) -> impl Iterator<Item = Duration> {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let start = f64::from(blake3::hash(&seed.to_le_bytes()).as_bytes()[0]) / 256.0;
    (0u32..).map(move |number| took.mul_f64((start + f64::from(number) * GOLDEN).fract()))
}

/// Ids of the trials to run.
fn chosen(
    experiment: &Experiment,
    workload: &dyn Workload,
    verification: &Verification,
) -> Result<Vec<String>> {
    let grid = experiment.grid(workload)?;
    let folder = Folder::new(verification.folder, experiment);
    let phased = phased_by(experiment, &grid, &Ledger::new(folder.trials()));
    let mut plan = plan_trials(experiment, phased, &folder, &Selection::default(), &BTreeSet::new())?;
    plan.form_banks(workload, true);
    let members: Vec<usize> = match verification.trials {
        Some(count) => (0..plan.grid.trials.len().min(count)).collect(),
        // The first, where several banks are the largest.
        None => {
            let banks = plan.banks.into_iter().rev().map(|bank| bank.members);
            banks.max_by_key(Vec::len).unwrap_or_default()
        }
    };
    Ok(members.into_iter().map(|index| plan.grid.trials[index].id.clone()).collect())
}

struct Session<'a> {
    experiment: &'a Experiment,
    verification: &'a Verification<'a>,
    trials: &'a [String],
}

impl Session<'_> {
    fn folder(&self, name: &str) -> Folder {
        Folder::new(&self.verification.folder.join(name), self.experiment)
    }

    fn finished(&self, name: &str) -> usize {
        entries(&self.folder(name).trials())
            .iter()
            .filter(|path| path.extension().is_some_and(|e| e == "json"))
            .count()
    }

    /// Runs and kills until a run ends by itself, or the kills are spent; then runs to the end.
    fn interrupt(
        &self,
        name: &str,
        took: Duration,
        moments: &mut impl Iterator<Item = Duration>,
        verdict: &mut Verdict,
    ) -> Result<()> {
        // Several checkpoints per run, so that kills meet them at different ages.
        let every = (took / 20).clamp(Duration::from_millis(1), Duration::from_secs(60));
        while verdict.kills < self.verification.kills {
            let moment = moments.next().expect("moments do not end");
            if self.run(name, every, Some(moment))?.is_some() {
                return Ok(());
            }
            verdict.kills += 1;
            let known = banks(&self.folder(name));
            let all = known.all().unwrap_or_default();
            let begun = all.iter().any(|(bank, _)| !checkpoints::begun(&known.path(bank)).is_empty());
            verdict.with_checkpoint += usize::from(begun);
            (self.verification.tell)(&format!(
                "{name}: kill {} of {} after {:.1} s, {} of {} trials finished{}",
                verdict.kills,
                self.verification.kills,
                moment.as_secs_f64(),
                self.finished(name),
                self.trials.len(),
                if begun { ", a checkpoint at hand" } else { "" },
            ));
        }
        self.finish(name, every)
    }

    fn finish(&self, name: &str, every: Duration) -> Result<()> {
        self.run(name, every, None).map(|_| ())
    }

    /// Runs a process to its end, or kills it at a moment; its exit status unless it was killed.
    fn run(&self, name: &str, every: Duration, kill_after: Option<Duration>) -> Result<Option<ExitStatus>> {
        let results = self.verification.folder.join(name);
        make_folder(&results)?;
        let log = self.verification.folder.join(format!("{name}.log"));
        let output = File::create(&log).map_err(RunnerError::write(&log))?;
        let errors = output.try_clone().map_err(RunnerError::write(&log))?;
        let mut command = (self.verification.command)(&results, every, self.trials);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let program = PathBuf::from(command.get_program());
        let mut child = command.spawn().map_err(RunnerError::read(&program))?;
        if let Some(moment) = kill_after {
            let started = Instant::now();
            while started.elapsed() < moment
                && child.try_wait().map_err(RunnerError::read(&program))?.is_none()
            {
                std::thread::sleep(Duration::from_millis(1).min(moment));
            }
            // A child that has just ended cannot be killed, and need not be.
            let _ = child.kill();
        }
        let status = child.wait().map_err(RunnerError::read(&program))?;
        match status.code() {
            None if kill_after.is_some() => Ok(None),
            Some(0) => Ok(Some(status)),
            _ => {
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                let last =
                    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
                Err(RunnerError::Child { run: name.to_string(), status, message: last.to_string() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_cover_the_time_and_depend_on_the_seed() {
        let took = Duration::from_secs(100);
        let first =
            |seed: u64| -> Vec<u64> { moments(seed, took).take(10).map(|at| at.as_secs() / 10).collect() };
        let mut tenths = first(1);
        tenths.sort();
        tenths.dedup();
        assert!(tenths.len() >= 7, "{tenths:?}");
        assert_ne!(first(1), first(2));
        assert!(moments(3, took).take(1000).all(|moment| moment < took));
    }
}
