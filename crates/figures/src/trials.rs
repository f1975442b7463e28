//! The trials of one results folder: `trials.csv`, less what `summary.csv` did not choose.

use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;

use crate::chosen::Chosen;
use crate::error::{FiguresError, Result};
use crate::frame::Frame;
use crate::glue;
use crate::instruct;
use crate::layout::NONE;
use crate::series::Series;

/// One row of `trials.csv`.
#[derive(Clone, Debug)]
pub struct Trial {
    pub id: String,
    pub method: String,
    /// What was trained on: a subject, or a task of GLUE.
    pub subject: String,
    pub seed: String,
    pub status: Status,
    row: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Done,
    Diverged,
    Failed,
}

pub struct Trials {
    frame: Rc<Frame>,
    trials: Vec<Trial>,
}

impl Trials {
    /// Reads `trials.csv` of `results`; where a summary is there, keeps the trials of the points it lists.
    pub fn read(results: &Path) -> Result<Self> {
        Self::read_across(results, &[])
    }

    /// The same, whatever the summary chose for the settings of `varied`: a figure over a setting shows all
    /// its values.
    pub fn read_across(results: &Path, varied: &[&str]) -> Result<Self> {
        let frame = Frame::read(&results.join("trials.csv"))?;
        let method = frame.one_of(&["method", "config.method.name", "config.method"])?;
        let seed = frame.one_of(&["seed", "config.seed"])?;
        let id = frame.one_of(&["trial_id"])?;
        let status = frame.one_of(&["status"])?;
        let subject = [glue::COLUMN, "config.subject.name", "subject", "config.subject"];
        let subject = subject.into_iter().find(|column| frame.has(column)).unwrap_or("subject");
        let read_row = |row| Trial {
            id: frame.text(row, id).to_owned(),
            method: frame.text(row, method).to_owned(),
            subject: frame.text(row, subject).to_owned(),
            seed: frame.text(row, seed).to_owned(),
            status: match frame.text(row, status) {
                "done" => Status::Done,
                "diverged" => Status::Diverged,
                _ => Status::Failed,
            },
            row,
        };
        let mut trials: Vec<Trial> = (0..frame.len()).map(read_row).collect();
        let chosen = Chosen::read(results, &frame, varied)?;
        trials.retain(|trial| chosen.keeps(&frame, trial.row, &trial.method));
        Ok(Self { frame: Rc::new(frame), trials })
    }

    /// Those of its trials that are kept.
    pub fn only(&self, keep: impl Fn(&Trial) -> bool) -> Self {
        let trials = self.trials.iter().filter(|trial| keep(trial)).cloned().collect();
        Self { frame: Rc::clone(&self.frame), trials }
    }

    /// What a series is called beside these trials: where a head is trained on a task, no method trains it alone.
    pub fn title(&self, series: Series) -> String {
        let head_only = series.method == NONE && self.has(glue::COLUMN);
        if head_only { glue::HEAD_ONLY.to_owned() } else { series.title() }
    }

    /// What `Trial::subject` is.
    pub fn subject_noun(&self) -> &'static str {
        if self.has(glue::COLUMN) { "task" } else { "subject" }
    }

    pub fn all(&self) -> &[Trial] {
        &self.trials
    }

    /// In the order of their numbers.
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

    pub fn setting(&self, trial: &Trial, column: &str) -> &str {
        self.frame.text(trial.row, column)
    }

    pub fn path(&self) -> &Path {
        self.frame.path()
    }

    /// A number of a trial whatever its status.
    pub fn number(&self, trial: &Trial, column: &str) -> Option<f64> {
        self.frame.number(trial.row, column)
    }

    pub fn column<'a>(&self, names: &[&'a str]) -> Result<&'a str> {
        self.frame.one_of(names)
    }

    pub fn has(&self, column: &str) -> bool {
        self.frame.has(column)
    }

    /// In the order of the file.
    pub fn columns(&self) -> &[String] {
        self.frame.names()
    }

    /// Whether these are trials of instruction tuning, which have no subject.
    pub fn is_instruct(&self) -> bool {
        self.has(instruct::MMLU)
    }

    /// An error when there is nothing to draw at all.
    pub fn require_some(&self) -> Result<()> {
        if self.trials.is_empty() {
            return Err(FiguresError::Nothing {
                path: self.frame.path().to_path_buf(),
                what: "trials".to_owned(),
                remedy: "run the experiment first".to_owned(),
            });
        }
        Ok(())
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
        if self.is_instruct() {
            return format!("{trials} ({seeds})");
        }
        format!("{trials} ({} × {seeds})", counted(subjects, self.subject_noun()))
    }
}

pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_of_settings_that_the_summary_did_not_choose_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let trials = "trial_id,status,method,seed,subject,config.rate,dino\n\
            a,done,lora,0,cat,0.1,0.5\nb,done,lora,0,cat,0.2,0.6\nc,done,none,0,cat,,0.1\nd,diverged,delora,0,cat,0.1,0.3\n";
        std::fs::write(folder.path().join("trials.csv"), trials).unwrap();
        let read = |()| Trials::read(folder.path()).unwrap();
        assert_eq!(read(()).all().len(), 4);
        let summary = "method,best.rate,dino_mean\nlora,0.2,0.6\ndelora,,0.3\n";
        std::fs::write(folder.path().join("summary.csv"), summary).unwrap();
        let chosen = read(());
        let ids: Vec<&str> = chosen.all().iter().map(|trial| trial.id.as_str()).collect();
        assert_eq!(ids, ["b", "c", "d"]);
        assert_eq!(chosen.score(&chosen.all()[0], "dino"), Some(0.6));
        assert_eq!(Trials::read_across(folder.path(), &["config.rate"]).unwrap().all().len(), 4);
        assert_eq!(chosen.score(&chosen.all()[2], "dino"), None, "a diverged trial has no score");
        std::fs::write(folder.path().join("summary.csv"), "rate,n\n0.1,2\n").unwrap();
        let without_methods = read(());
        let ids: Vec<&str> = without_methods.all().iter().map(|trial| trial.id.as_str()).collect();
        assert_eq!(ids, ["a", "d"]);
    }
}
