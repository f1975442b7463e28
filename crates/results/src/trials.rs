//! The trials of one results folder: `trials.csv`, and which of them `summary.csv` chose.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::chosen::Chosen;
use crate::error::{Result, ResultsError};
use crate::frame::Frame;
use crate::items::Items;
use crate::methods::Methods;
use crate::series::Series;
use crate::tasks::Task;

/// One row of `trials.csv`.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The trial's identity, under which its files and curves stand.
    pub id: String,
    /// Name of its method, as in experiment files.
    pub method: String,
    /// What was trained on: a subject, or a task of GLUE; empty where all train on the same.
    pub subject: String,
    /// Its seed, as text.
    pub seed: String,
    /// How it ended.
    pub status: Status,
    /// Whether the summary compares it; of a search only the best settings are.
    pub chosen: bool,
    row: usize,
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It ran to its end.
    Done,
    /// Its loss or its weights became infinite.
    Diverged,
    /// An error stopped it.
    Failed,
}

impl Status {
    /// The status as `trials.csv` writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Diverged => "diverged",
            Self::Failed => "failed",
        }
    }
}

/// Trials of one results folder, all or some of them.
#[derive(Clone)]
pub struct Trials {
    frame: Arc<Frame>,
    methods: Arc<Methods>,
    items: Arc<Items>,
    task: &'static Task,
    trials: Vec<Trial>,
}

impl Trials {
    /// The trials that count: where a summary is there, those of the settings that it lists.
    pub fn read(results: &Path) -> Result<Self> {
        Self::read_across(results, &[])
    }

    /// The same, whatever the summary chose for the settings of `varied`: a figure over a setting shows all its values.
    pub fn read_across(results: &Path, varied: &[&str]) -> Result<Self> {
        let mut trials = Self::read_all_across(results, varied)?;
        trials.trials.retain(|trial| trial.chosen);
        Ok(trials)
    }

    /// Every trial; `chosen` says which of them count.
    pub fn read_all(results: &Path) -> Result<Self> {
        Self::read_all_across(results, &[])
    }

    fn read_all_across(results: &Path, varied: &[&str]) -> Result<Self> {
        let frame = Frame::read(&results.join("trials.csv"))?;
        let id = frame.one_of(&["trial_id"])?;
        let status = frame.one_of(&["status"])?;
        let method = frame.one_of(&["method", "config.method.name", "config.method"])?;
        let seed = frame.one_of(&["seed", "config.seed"])?;
        let task = Task::of(&frame);
        let subject = task.subjects.iter().find(|column| frame.has(column)).copied().unwrap_or_default();
        let chosen = Chosen::read(results, &frame, varied)?;
        let read_row = |row| {
            let text = |column| frame.text(row, column).to_owned();
            Trial {
                id: text(id),
                method: text(method),
                subject: text(subject),
                seed: text(seed),
                status: match frame.text(row, status) {
                    "done" => Status::Done,
                    "diverged" => Status::Diverged,
                    _ => Status::Failed,
                },
                chosen: chosen.keeps(&frame, row, frame.text(row, method)),
                row,
            }
        };
        let trials = (0..frame.len()).map(read_row).collect();
        let (methods, items) = (Arc::new(Methods::read(results)?), Arc::new(Items::read(results)?));
        Ok(Self { frame: Arc::new(frame), methods, items, task, trials })
    }

    /// Those of its trials that are kept.
    pub fn only(&self, keep: impl Fn(&Trial) -> bool) -> Self {
        let trials = self.trials.iter().filter(|trial| keep(trial)).cloned().collect();
        let (frame, methods) = (Arc::clone(&self.frame), Arc::clone(&self.methods));
        Self { frame, methods, items: Arc::clone(&self.items), task: self.task, trials }
    }

    /// The trials in the order of the file.
    pub fn all(&self) -> &[Trial] {
        &self.trials
    }

    /// The task that they are of.
    pub fn task(&self) -> &'static Task {
        self.task
    }

    /// What a method is called beside these trials: a reference row has the task's title.
    pub fn method_title<'a>(&'a self, method: &'a str) -> &'a str {
        self.task.reference(method).unwrap_or_else(|| self.methods.title(method))
    }

    /// What a method is called, be it a reference row of the task or not.
    pub fn method_name<'a>(&'a self, method: &'a str) -> &'a str {
        self.methods.title(method)
    }

    /// The weight update of a method as a formula; empty where it is not known.
    pub fn formula(&self, method: &str) -> &str {
        self.methods.formula(method)
    }

    /// Distinct seeds in the order of their numbers.
    pub fn seeds(&self) -> Vec<&str> {
        let mut seeds: Vec<&str> = self.trials.iter().map(|trial| trial.seed.as_str()).collect();
        seeds.sort_by_key(|seed| (seed.parse::<u64>().unwrap_or(u64::MAX), *seed));
        seeds.dedup();
        seeds
    }

    /// A number of a trial that ran to its end; a diverged trial has no score.
    pub fn score(&self, trial: &Trial, column: &str) -> Option<f64> {
        (trial.status == Status::Done).then(|| self.frame.number(trial.row, column)).flatten()
    }

    /// Metrics of tests whose items are known, by name.
    pub fn tested(&self) -> Vec<&str> {
        self.items.metrics().into_iter().collect()
    }

    /// What each item of a test added to a score of a trial that ran to its end; none where no test left any.
    pub fn items(&self, trial: &Trial, metric: &str) -> Option<&[f64]> {
        if trial.status == Status::Done { self.items.of(&trial.id, metric) } else { None }
    }

    /// A number of a trial whatever its status.
    pub fn number(&self, trial: &Trial, column: &str) -> Option<f64> {
        self.frame.number(trial.row, column)
    }

    /// The text of a cell; empty where there is no such column.
    pub fn text(&self, trial: &Trial, column: &str) -> &str {
        self.frame.text(trial.row, column)
    }

    /// The path of `trials.csv`.
    pub fn path(&self) -> &Path {
        self.frame.path()
    }

    /// The results folder.
    pub fn folder(&self) -> PathBuf {
        self.path().parent().unwrap_or(Path::new(".")).to_path_buf()
    }

    /// An error that names the first of `names` where none of them is a column.
    pub fn column<'a>(&self, names: &[&'a str]) -> Result<&'a str> {
        self.frame.one_of(names)
    }

    /// Whether there is such a column.
    pub fn has(&self, column: &str) -> bool {
        self.frame.has(column)
    }

    /// Names of the columns in the order of the file.
    pub fn columns(&self) -> &[String] {
        self.frame.names()
    }

    /// Number of trials that ended so.
    pub fn count(&self, status: Status) -> usize {
        self.trials.iter().filter(|trial| trial.status == status).count()
    }

    /// Distinct non-empty values of a column, sorted.
    pub fn distinct(&self, column: &str) -> Vec<&str> {
        let values: BTreeSet<&str> = self.trials.iter().map(|trial| self.text(trial, column)).collect();
        values.into_iter().filter(|value| !value.is_empty()).collect()
    }

    /// An error when there is nothing to draw at all.
    pub fn require_some(&self) -> Result<()> {
        match self.trials.is_empty() {
            true => Err(ResultsError::nothing(self.path(), "trials", "run the experiment first")),
            false => Ok(()),
        }
    }

    /// "18 trials (3 subjects × 6 seeds)", for the compared series with most trials that ran to their end.
    pub fn extent(&self, compared: &[Series]) -> String {
        let done = |series: &Series| self.of(*series).filter(|trial| trial.status == Status::Done).count();
        self.extent_of(compared.iter().map(done).max().unwrap_or(0), compared)
    }

    /// The same with the number of trials given.
    pub fn extent_of(&self, most: usize, compared: &[Series]) -> String {
        let trials = || compared.iter().flat_map(|series| self.of(*series));
        let distinct = |field: fn(&Trial) -> &str| trials().map(field).collect::<BTreeSet<_>>().len();
        let (subjects, seeds) = (distinct(|trial| &trial.subject), distinct(|trial| &trial.seed));
        let (trials, seeds) = (counted(most, "trial"), counted(seeds, "seed"));
        match self.task.subjects {
            [] => format!("{trials} ({seeds})"),
            _ => format!("{trials} ({} × {seeds})", counted(subjects, self.task.noun)),
        }
    }
}

/// "1 trial", "2 trials".
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::folder;

    #[test]
    fn trials_of_settings_that_the_summary_did_not_choose_are_left_out() {
        let folder = folder(
            "trial_id,status,method,seed,subject,config.rate,dino\n\
            a,done,lora,0,cat,0.1,0.5\nb,done,lora,0,cat,0.2,0.6\nc,done,none,0,cat,,0.1\nd,diverged,delora,0,cat,0.1,0.3\n",
        );
        let read = |()| Trials::read(folder.path()).unwrap();
        assert_eq!(read(()).all().len(), 4);
        let summary = "method,best.rate,dino_mean\nlora,0.2,0.6\ndelora,,0.3\n";
        std::fs::write(folder.path().join("summary.csv"), summary).unwrap();
        let ids = |trials: &Trials| trials.all().iter().map(|trial| trial.id.clone()).collect::<Vec<_>>();
        let chosen = read(());
        assert_eq!(ids(&chosen), ["b", "c", "d"]);
        assert_eq!(chosen.score(&chosen.all()[0], "dino"), Some(0.6));
        assert_eq!(Trials::read_across(folder.path(), &["config.rate"]).unwrap().all().len(), 4);
        let flags: Vec<bool> =
            Trials::read_all(folder.path()).unwrap().all().iter().map(|trial| trial.chosen).collect();
        assert_eq!(flags, [false, true, true, true], "of all trials, those that count");
        assert_eq!(chosen.score(&chosen.all()[2], "dino"), None, "a diverged trial has no score");
        assert_eq!(chosen.number(&chosen.all()[2], "dino"), Some(0.3));
        std::fs::write(folder.path().join("summary.csv"), "rate,n\n0.1,2\n").unwrap();
        assert_eq!(ids(&read(())), ["a", "d"]);
    }
}
