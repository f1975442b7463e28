//! The results of one experiment at one scale: every trial, its curves, and where they came from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use figures::{Chosen, Frame, glue, instruct};

use crate::error::Result;
use crate::look;

/// Columns of `trials.csv` that end the metrics.
const AFTER_METRICS: &str = "train_seconds";
/// Settings that every trial table has anyway, as method, subject or task, and seed.
const SHOWN_ANYWAY: [&str; 5] =
    ["config.method.name", "config.seed", "config.subject.name", "config.subject.class", glue::COLUMN];

/// A row of `trials.csv`.
#[derive(Clone, Debug)]
pub struct Trial {
    pub id: String,
    pub method: String,
    /// What was trained on: a subject, or a task of GLUE; empty where all train on the same.
    pub subject: String,
    pub seed: String,
    /// `done`, `diverged` or `failed`.
    pub status: String,
    /// Whether the summary compares it; of a search only the best settings are.
    pub chosen: bool,
    row: usize,
}

/// A metric of a trial over its steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Index into `Results::trials`.
    pub trial: usize,
    pub metric: String,
    pub points: Vec<(f64, f64)>,
}

pub struct Results {
    pub folder: PathBuf,
    pub trials: Vec<Trial>,
    pub curves: Vec<Curve>,
    frame: Frame,
}

impl Results {
    pub fn read(folder: &Path) -> Result<Self> {
        let frame = Frame::read(&folder.join("trials.csv"))?;
        let id = frame.one_of(&["trial_id"])?;
        let status = frame.one_of(&["status"])?;
        let method = frame.one_of(&["method", "config.method.name"])?;
        let seed = frame.one_of(&["seed", "config.seed"])?;
        let subject = [glue::COLUMN, "config.subject.name", "subject"];
        let subject = subject.into_iter().find(|column| frame.has(column));
        let chosen = Chosen::read(folder, &frame, &[])?;
        let read_row = |row| {
            let text = |column| frame.text(row, column).to_owned();
            Trial {
                id: text(id),
                method: text(method),
                subject: subject.map(text).unwrap_or_default(),
                seed: text(seed),
                status: text(status),
                chosen: chosen.keeps(&frame, row, frame.text(row, method)),
                row,
            }
        };
        let trials: Vec<Trial> = (0..frame.len()).map(read_row).collect();
        let curves = folder.join("curves.csv");
        let curves = if curves.exists() { read_curves(&Frame::read(&curves)?, &trials)? } else { Vec::new() };
        Ok(Self { folder: folder.to_path_buf(), trials, curves, frame })
    }

    /// What a method is called in these results: where a head is trained on a task, `none` trains it alone.
    pub fn title<'a>(&self, method: &'a str) -> &'a str {
        if method == "none" && self.is_glue() { glue::HEAD_ONLY } else { look::title(method) }
    }

    /// What `Trial::subject` is.
    pub fn subject_noun(&self) -> &'static str {
        if self.is_glue() { "task" } else { "subject" }
    }

    /// Whether trials differ in what they train on.
    pub fn has_subjects(&self) -> bool {
        self.trials.iter().any(|trial| !trial.subject.is_empty())
    }

    fn is_glue(&self) -> bool {
        self.frame.has(glue::COLUMN)
    }

    /// A setting's text; `setting` is its key path, as in `method.rank`.
    pub fn setting(&self, trial: &Trial, setting: &str) -> &str {
        self.frame.text(trial.row, &format!("config.{setting}"))
    }

    pub fn has_setting(&self, setting: &str) -> bool {
        self.frame.has(&format!("config.{setting}"))
    }

    pub fn text(&self, trial: &Trial, column: &str) -> &str {
        self.frame.text(trial.row, column)
    }

    /// A metric, of a trial whatever its status.
    pub fn number(&self, trial: &Trial, column: &str) -> Option<f64> {
        self.frame.number(trial.row, column)
    }

    /// A metric of a trial that ran to its end.
    pub fn score(&self, trial: &Trial, metric: &str) -> Option<f64> {
        (trial.status == "done").then(|| self.number(trial, metric)).flatten()
    }

    /// Key paths of the settings in which trials differ, less method, subject and seed.
    pub fn varying(&self) -> Vec<&str> {
        let differs = |column: &&String| {
            let values: BTreeSet<&str> =
                self.trials.iter().map(|trial| self.frame.text(trial.row, column)).collect();
            values.len() > 1
        };
        let config = self.frame.names().iter().filter(|name| !SHOWN_ANYWAY.contains(&name.as_str()));
        config.filter(|name| name.starts_with("config.")).filter(differs).map(|name| &name[7..]).collect()
    }

    /// Columns of what was measured, in the order of the file; the subjects of MMLU have a table of their own.
    pub fn metrics(&self) -> Vec<&str> {
        let names = self.frame.names();
        let after_config = names.iter().rposition(|name| name.starts_with("config.")).map_or(0, |at| at + 1);
        let metrics = names[after_config..].iter().map(String::as_str);
        let metrics = metrics.take_while(|name| *name != AFTER_METRICS);
        metrics.filter(|name| !instruct::is_of_subject(name)).collect()
    }

    pub fn count(&self, status: &str) -> usize {
        self.trials.iter().filter(|trial| trial.status == status).count()
    }

    /// Distinct non-empty values of a column, sorted.
    pub fn distinct(&self, column: &str) -> Vec<&str> {
        let values: BTreeSet<&str> =
            self.trials.iter().map(|trial| self.frame.text(trial.row, column)).collect();
        values.into_iter().filter(|value| !value.is_empty()).collect()
    }

    /// Methods in the order of the legends.
    pub fn methods(&self) -> Vec<&str> {
        let mut methods: Vec<&str> = self.trials.iter().map(|trial| trial.method.as_str()).collect();
        methods.sort_by_key(|method| (look::rank(method), *method));
        methods.dedup();
        methods
    }

    /// "rank 16, λ 4": the settings in which this trial may differ from others of its method.
    pub fn described(&self, trial: &Trial) -> String {
        let stated = self.varying().into_iter().filter_map(|setting| {
            let value = self.setting(trial, setting);
            (!value.is_empty()).then(|| format!("{} {value}", short_name(setting)))
        });
        stated.collect::<Vec<_>>().join(", ")
    }
}

/// A setting as readers know it: without the table that it stands in.
pub fn short_name(setting: &str) -> String {
    let known = [
        ("method.lambda", "λ"),
        ("method.learning_rate.angles", "rate of A, B"),
        ("method.learning_rate.strength", "rate of λ"),
        ("method.learning_rate.magnitude", "rate of m"),
        ("method.learning_rate.weight", "rate"),
        ("learning_rate_multiplier", "multiplier"),
        ("glue_task", "task"),
    ];
    let name = known.iter().find(|(path, _)| *path == setting).map(|(_, name)| (*name).to_owned());
    name.unwrap_or_else(|| setting.strip_prefix("method.").unwrap_or(setting).replace('_', " "))
}

/// Curves by trial and metric, in the order of the file.
fn read_curves(frame: &Frame, trials: &[Trial]) -> Result<Vec<Curve>> {
    for column in ["trial_id", "step", "metric", "value"] {
        frame.one_of(&[column])?;
    }
    let places: BTreeMap<&str, usize> =
        trials.iter().enumerate().map(|(index, trial)| (trial.id.as_str(), index)).collect();
    let mut curves: Vec<Curve> = Vec::new();
    let mut known: BTreeMap<(usize, &str), usize> = BTreeMap::new();
    for row in 0..frame.len() {
        let Some(trial) = places.get(frame.text(row, "trial_id")) else { continue };
        let point = frame.number(row, "step").zip(frame.number(row, "value"));
        let metric = frame.text(row, "metric");
        let place = *known.entry((*trial, metric)).or_insert_with(|| {
            curves.push(Curve { trial: *trial, metric: metric.to_owned(), points: Vec::new() });
            curves.len() - 1
        });
        curves[place].points.extend(point);
    }
    curves.retain(|curve| !curve.points.is_empty());
    Ok(curves)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Results with these rows under a small header.
    pub fn results(rows: &str) -> (tempfile::TempDir, Results) {
        let folder = tempfile::tempdir().unwrap();
        let header = "trial_id,status,diverged_step,method,seed,subject,config.learning_rate_multiplier,config.method.name,config.method.rank,dino,distance,train_seconds,commit,message";
        std::fs::write(folder.path().join("trials.csv"), format!("{header}\n{rows}")).unwrap();
        let results = Results::read(folder.path()).unwrap();
        (folder, results)
    }

    #[test]
    fn settings_that_vary_metrics_and_scores_are_told_apart() {
        let (_folder, results) = results(
            "a,done,,lora,0,cat,1,lora,16,0.5,1.0,2,abc,\nb,done,,lora,0,cat,4,lora,16,0.4,2.0,2,abc,\n\
             c,diverged,7,lora,1,cat,4,lora,16,0.1,9.0,2,abc,\nd,failed,,dora,0,cat,1,dora,16,,,0,abc,no memory\n",
        );
        assert_eq!(results.varying(), ["learning_rate_multiplier"]);
        assert_eq!(results.metrics(), ["dino", "distance"]);
        assert_eq!(results.methods(), ["lora", "dora"]);
        assert_eq!(results.described(&results.trials[1]), "multiplier 4");
        assert_eq!(results.score(&results.trials[2], "dino"), None, "a diverged trial has no score");
        assert_eq!(results.number(&results.trials[2], "dino"), Some(0.1));
        assert_eq!((results.count("done"), results.count("diverged"), results.count("failed")), (2, 1, 1));
    }

    #[test]
    fn settings_that_the_summary_did_not_choose_are_passed_over() {
        let (folder, all) = results(
            "a,done,,lora,0,cat,1,lora,16,0.5,1,2,c,\nb,done,,lora,0,cat,4,lora,16,0.4,1,2,c,\n\
             c,done,,none,0,cat,,none,,0.1,1,2,c,\n",
        );
        assert!(all.trials.iter().all(|trial| trial.chosen));
        std::fs::write(folder.path().join("summary.csv"), "method,best.learning_rate_multiplier\nlora,4\n")
            .unwrap();
        let chosen: Vec<bool> =
            Results::read(folder.path()).unwrap().trials.iter().map(|trial| trial.chosen).collect();
        assert_eq!(chosen, [false, true, true]);
    }

    #[test]
    fn curves_are_gathered_by_trial_and_metric_and_unknown_trials_are_left_out() {
        let (folder, _) = results("a,done,,lora,0,cat,1,lora,16,0.5,1.0,2,abc,\n");
        let rows = "trial_id,step,metric,layer,value\na,0,loss,,0.5\na,0,distance,x,0\na,1,loss,,0.25\nz,0,loss,,1\n";
        std::fs::write(folder.path().join("curves.csv"), rows).unwrap();
        let curves = Results::read(folder.path()).unwrap().curves;
        assert_eq!(curves.len(), 2);
        assert_eq!(curves[0].points, [(0.0, 0.5), (1.0, 0.25)]);
        assert_eq!((curves[1].metric.as_str(), curves[1].trial), ("distance", 0));
    }
}
