//! The confirmatory trials of one experiment: their design, their folder, and what they have decided.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::decide::{
    Claim, DESIGN_FILE, Decided, Design, Evidence, Judgement, Ledger, Place, Registered, evidence, judge,
    look_levels,
};
use anyhow::{Context, bail};
use jiff::Timestamp;
use runner::{Confirm, Experiment, Selection, duration_text};
use serde_json::Value;

use crate::commands::confirmatory::{at_look, last_look, load};
use crate::commands::report::commit;
use crate::tasks::workload;

pub struct Study {
    file: PathBuf,
    scale: String,
    confirm: Confirm,
    results: PathBuf,
    pub design: Design,
    /// `mini-design1`
    folder: String,
    /// Seconds that a trial takes, by its own trials, else by earlier ones, else by the plan.
    seconds_per_trial: Option<f64>,
    /// What earlier results of the experiment say of each statement.
    pilot: Vec<Option<Evidence>>,
    /// Each statement's id with what is decided of it.
    pub judgements: Vec<(String, Judgement)>,
    /// Looks that have all of their trials.
    looked: usize,
    /// Trials that are finished.
    finished: usize,
    /// Trials of its tables that the ledger beside them has not: they came with the tables.
    unadopted: usize,
}

impl Study {
    /// The study of an experiment; none where the ledger has no statement that its trials could decide.
    pub fn open(file: &Path, scale: &str, results: &Path, ledger: &Ledger) -> anyhow::Result<Option<Study>> {
        let (experiment, confirm) = load(file, scale)?;
        let statements = Design::statements(ledger, &experiment.name);
        if statements.is_empty() {
            return Ok(None);
        }
        let last = last_look(&confirm);
        let whole = at_look(file, scale, &confirm, last, &format!("{scale}-design1"))?;
        let plan = runner::plan(&whole, workload(&whole.task)?.as_ref(), results, &Selection::default())?;
        let order =
            order(&plan.grid.trials.iter().map(|trial| &trial.config).collect::<Vec<_>>(), &confirm.along);
        if order.len() != last || plan.grid.trials.len() % last != 0 {
            bail!(
                "{}: confirm.looks ends with {last}, and the trials have {} values of `{}`; the last look has all",
                file.display(),
                order.len(),
                confirm.along
            );
        }
        let mut design = Design {
            experiment: experiment.name.clone(),
            scale: scale.to_owned(),
            written: runner::utc_now(),
            commit: commit(),
            along: confirm.along.clone(),
            values: order,
            trials_per_value: plan.grid.trials.len() / last,
            looks: look_levels(&confirm.looks),
            statement: statements,
        };
        let base = results.join(&experiment.name);
        let ids: Vec<&str> = plan.grid.trials.iter().map(|trial| trial.id.as_str()).collect();
        let folder = find(results, scale, &mut design, &ids)?;
        let pilot = Place::read(&base.join(scale), scale).ok();
        let measured = pilot.as_ref().and_then(seconds_per_trial);
        let estimated = plan.seconds.map(|seconds| seconds / plan.grid.trials.len() as f64);
        let of = |statement: &Registered| evidence(test(ledger, &statement.id)?, pilot.as_ref()?).ok();
        let pilot = design.statement.iter().map(of).collect();
        Ok(Some(Study {
            file: file.to_path_buf(),
            scale: scale.to_owned(),
            confirm,
            results: results.to_path_buf(),
            design,
            folder,
            seconds_per_trial: measured.or(estimated),
            pilot,
            judgements: Vec::new(),
            looked: 0,
            finished: 0,
            unadopted: 0,
        }))
    }

    /// `table1/mini-design1`
    pub fn folder_name(&self) -> String {
        format!("{}/{}", self.design.experiment, self.folder)
    }

    fn path(&self) -> PathBuf {
        self.results.join(&self.design.experiment).join(&self.folder)
    }

    /// All values along which trials are added.
    pub fn count(&self) -> usize {
        self.design.values.len()
    }

    /// How many of them the next look has; none where all is decided or there is no further look.
    pub fn next_look(&self) -> Option<usize> {
        let is_open = |(_, found): &(String, Judgement)| !found.verdict.is_decided();
        let look = self.design.looks.get(self.looked).map(|look| look.first);
        look.filter(|_| self.judgements.iter().any(is_open))
    }

    /// The experiment up to a look.
    pub fn experiment(&self, look: usize) -> anyhow::Result<Experiment> {
        at_look(&self.file, &self.scale, &self.confirm, look, &self.folder)
    }

    /// Expected time of the trials that a look still needs.
    pub fn time(&self, look: usize) -> Option<Duration> {
        let trials = (look * self.design.trials_per_value).saturating_sub(self.finished);
        Duration::try_from_secs_f64(trials as f64 * self.seconds_per_trial?).ok()
    }

    /// That time in words.
    pub fn time_text(&self, look: usize) -> String {
        self.time(look).map_or("an unknown time".to_owned(), duration_text)
    }

    /// How many open statements a look is expected to decide; of one of which nothing is known, a half. Where no statement is open, 0.
    pub fn expected(&self, look: usize) -> f64 {
        let open = self.judgements.iter().enumerate().filter(|(_, (_, found))| !found.verdict.is_decided());
        let chance = |needed: Option<usize>| if needed? <= look { Some(1.0) } else { Some(0.1) };
        open.map(|(index, _)| chance(self.needed(index)).unwrap_or(0.5)).fold(0.0, |sum, chance| sum + chance)
    }

    /// How many units would decide a statement, by what is there so far.
    fn needed(&self, index: usize) -> Option<usize> {
        let family = &self.design.statement[index].family;
        let count = self.design.statement.iter().filter(|other| other.family == *family).count();
        let level = self.design.looks.last()?.level / count as f64;
        let by_pilot = || self.pilot[index].as_ref()?.units_needed(level);
        self.judgements[index].1.needed.or_else(by_pilot)
    }

    /// Its folder where a run would repeat trials that its tables have.
    pub fn is_unadopted(&self) -> Option<PathBuf> {
        (self.unadopted > 0 && self.next_look().is_some()).then(|| self.path())
    }

    /// Writes the design beside its results, where none is there yet.
    pub fn write_design(&self) -> anyhow::Result<()> {
        let path = self.path().join(DESIGN_FILE);
        if path.exists() {
            return Ok(());
        }
        std::fs::create_dir_all(self.path())
            .with_context(|| format!("cannot make {}", self.path().display()))?;
        let own = path.with_extension(format!("{}.toml", std::process::id()));
        runner::write_atomically(&own, self.design.text().as_bytes())?;
        // Where workers begin together, the first writes it: whoever has read it may have begun its trials.
        let linked = std::fs::hard_link(&own, &path);
        std::fs::remove_file(&own).with_context(|| format!("cannot remove {}", own.display()))?;
        match linked {
            Ok(()) => terminal::line(format_args!("wrote {}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot write {}", path.display())),
        }
        Ok(())
    }

    /// Judges the statements by the trials that are there.
    pub fn judge(&mut self, ledger: &Ledger) -> anyhow::Result<()> {
        let ours = |claim: &&Claim| self.design.statement.iter().any(|statement| statement.id == claim.id);
        let ledger = Ledger { claims: ledger.claims.iter().filter(ours).cloned().collect() };
        let mut failed = Vec::new();
        let has_trials = self.path().join("trials.csv").exists();
        let place = has_trials.then(|| Place::read(&self.path(), &self.folder)).transpose()?;
        self.looked = place.as_ref().map_or(0, |place| self.design.taken(place.trials()).len());
        self.seconds_per_trial = place.as_ref().and_then(seconds_per_trial).or(self.seconds_per_trial);
        let finished = place.iter().flat_map(|place| place.trials().all());
        let finished: Vec<&results::Trial> =
            finished.filter(|trial| trial.status != results::Status::Failed).collect();
        self.finished = finished.len();
        self.unadopted = finished.iter().filter(|trial| !record(&self.path(), &trial.id).exists()).count();
        let judged = judge(&ledger, |_| place.iter().cloned().map(Ok).collect(), &mut failed);
        if let Some((name, error)) = failed.into_iter().next() {
            return Err(anyhow::Error::new(error).context(name));
        }
        let of =
            |(claim, judgements): (Claim, Vec<Judgement>)| (claim.id, judgements.into_iter().next_back());
        let judged = judged.into_iter().map(of).filter_map(|(id, found)| Some((id, found?)));
        self.judgements = judged.collect();
        Ok(())
    }

    /// What is open, and what it would take.
    pub fn plan(&self) -> String {
        let mut text = format!(
            "{}: {} statements, {} open; looks at {} {}s\n",
            self.folder_name(),
            self.judgements.len(),
            self.judgements.iter().filter(|(_, found)| !found.verdict.is_decided()).count(),
            self.confirm.looks.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
            self.design.along,
        );
        let looks = self.design.looks.iter().skip(self.looked);
        for look in looks.filter(|_| self.next_look().is_some()) {
            let _ = writeln!(
                text,
                "  look at {}: level {:.4}, {} trials in all, {} more, {:.1} decisions expected",
                look.first,
                look.level,
                look.first * self.design.trials_per_value,
                self.time_text(look.first),
                self.expected(look.first),
            );
        }
        for (index, (id, found)) in self.judgements.iter().enumerate() {
            let needed = match (found.verdict.is_decided(), self.needed(index)) {
                (true, _) => found.verdict.text().to_owned(),
                (false, Some(count)) => format!("open; about {count} units would decide it"),
                (false, None) => "open; nothing is known of its spread".to_owned(),
            };
            let _ = writeln!(text, "  {id}: {needed}");
        }
        text
    }

    /// What is decided so far, a line for each statement.
    pub fn decided(&self) -> String {
        let line = |(id, found): &(String, Judgement)| {
            let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:+.4}"));
            let interval =
                found.interval.map_or(String::new(), |(low, high)| format!(" ({low:+.4} to {high:+.4})"));
            let p = found.p_holm.map_or(String::new(), |p| format!(", p {p:.4} by Holm"));
            format!(
                "  {} {id}: {}; {}{interval} of {} units{p}\n",
                found.verdict.mark(),
                found.verdict.text(),
                number(found.value),
                found.n
            )
        };
        format!("{}:\n{}", self.folder_name(), self.judgements.iter().map(line).collect::<String>())
    }
}

fn test<'a>(ledger: &'a Ledger, id: &str) -> Option<&'a ::decide::Test> {
    match &ledger.claims.iter().find(|claim| claim.id == id)?.decided {
        Decided::By { test, .. } => Some(test),
        Decided::NotAttempted(_) => None,
    }
}

/// The distinct values of an axis, in the order of the trials; of a table its `name`.
fn order(configs: &[&Value], along: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for config in configs {
        let value = &config[along];
        let value = value.get("name").unwrap_or(value);
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if !found.contains(&text) {
            found.push(text);
        }
    }
    found
}

/// Where the ledger of a results folder has a trial.
fn record(folder: &Path, id: &str) -> PathBuf {
    folder.join("trials").join(format!("{id}.json"))
}

/// The folder of a design: the one that has it already, which then says when it was written, else the first that is free.
///
/// A run takes finished trials from other experiments' folders of the same name. A folder in which one of these trials is finished is
/// not free: a design has to be older than its trials. One whose table has other trials is of another design: since they ran,
/// settings, models or data have changed.
fn find(results: &Path, scale: &str, design: &mut Design, ids: &[&str]) -> anyhow::Result<String> {
    let experiments: Vec<PathBuf> = std::fs::read_dir(results)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    let is_finished = |folder: &str| {
        experiments
            .iter()
            .map(|experiment| experiment.join(folder))
            .any(|folder| ids.iter().any(|id| record(&folder, id).exists()))
    };
    let base = results.join(&design.experiment);
    for number in 1.. {
        let folder = format!("{scale}-design{number}");
        match Design::read(&base.join(&folder))? {
            Some(found) if found.is_same(design) && is_of(&base.join(&folder), ids)? => {
                *design = found;
                return Ok(folder);
            }
            Some(_) => {}
            None if is_finished(&folder) => {}
            None => return Ok(folder),
        }
    }
    unreachable!("one of infinitely many numbers is free")
}

/// Whether all trials of a folder's table have one of these ids.
fn is_of(folder: &Path, ids: &[&str]) -> anyhow::Result<bool> {
    let path = folder.join("trials.csv");
    if !path.exists() {
        return Ok(true);
    }
    let frame = results::Frame::read(&path)?;
    Ok((0..frame.len()).all(|row| ids.contains(&frame.text(row, "trial_id"))))
}

/// Seconds of work for each trial: trials of a bank begin together, so the times that overlap count once.
fn seconds_per_trial(place: &Place) -> Option<f64> {
    let trials = place.trials();
    let time = |trial: &results::Trial, column: &str| -> Option<i64> {
        Some(trials.text(trial, column).parse::<Timestamp>().ok()?.as_second())
    };
    let spans = trials.all().iter().map(|trial| Some((time(trial, "started")?, time(trial, "finished")?)));
    let mut spans: Vec<(i64, i64)> = spans.collect::<Option<_>>()?;
    spans.sort_unstable();
    let (mut work, mut until) = (0, i64::MIN);
    for (started, finished) in &spans {
        work += (finished - until.max(*started)).max(0);
        until = until.max(*finished);
    }
    (!spans.is_empty()).then(|| work as f64 / spans.len() as f64)
}
