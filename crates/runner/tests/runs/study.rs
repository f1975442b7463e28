//! Runs of the toy workload in this process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use runner::{Experiment, Only, RunOptions, RunReport, Selection, run, status};

use crate::toy::Toy;

pub const FILE: &str = r#"
name = "walk"
question = "Which walk ends lowest?"
task = "toy"
metric = "score"
direction = "maximize"
seeds = [0, 1]
replicates = ["seed", "subject"]
[fixed]
steps = 5
[scientific]
method = ["plain", "bounded"]
subject = { first = 2 }
[method.plain]
rate = 0.1
[method.bounded]
rate = 0.2
rank = 4
"#;

/// One experiment and its results folder, which is removed in the end.
pub struct Study {
    pub folder: tempfile::TempDir,
    pub text: String,
    pub toy: Toy,
}

impl Study {
    pub fn new(text: &str) -> Study {
        Study { folder: tempfile::tempdir().unwrap(), text: text.to_string(), toy: Toy::default() }
    }

    pub fn experiment(&self, sets: &[&str]) -> Experiment {
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        Experiment::parse(&self.folder.path().join("walk.toml"), &self.text, "mini", &sets).unwrap()
    }

    pub fn run(&self, sets: &[&str]) -> RunReport {
        self.run_with(sets, &self.options())
    }

    pub fn run_with(&self, sets: &[&str], options: &RunOptions) -> RunReport {
        self.toy.banks.borrow_mut().clear();
        run(&self.experiment(sets), &self.toy, options).unwrap()
    }

    /// Runs the trials in one state.
    pub fn run_only(&self, sets: &[&str], only: Only) -> RunReport {
        let selection = Selection { only: Some(only), ..Selection::default() };
        self.run_with(sets, &RunOptions { selection, ..self.options() })
    }

    pub fn results(&self) -> PathBuf {
        self.folder.path().join("results")
    }

    pub fn options(&self) -> RunOptions {
        RunOptions {
            results_dir: self.results(),
            selection: Selection::default(),
            max_failures: None,
            checkpoint_every: Duration::ZERO,
            save_adapters: false,
            worker: false,
            lease: Duration::from_secs(60),
            quiet: true,
        }
    }

    pub fn bank_sizes(&self) -> Vec<usize> {
        self.toy.banks.borrow().iter().map(Vec::len).collect()
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("results/walk/mini")
    }

    /// Folders of banks that have not ended.
    pub fn banks(&self) -> Vec<PathBuf> {
        let folders = |folder: &PathBuf| -> Vec<PathBuf> {
            let found = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            found.filter(|path| path.is_dir()).collect()
        };
        folders(&self.root().join("checkpoints")).iter().flat_map(folders).collect()
    }

    pub fn rows(&self, table: &str) -> Vec<BTreeMap<String, String>> {
        let mut reader = csv::Reader::from_path(self.root().join(table)).unwrap();
        reader.deserialize().map(|row| row.unwrap()).collect()
    }

    pub fn counts(&self, sets: &[&str]) -> Vec<(&'static str, usize)> {
        let plan = status(&self.experiment(sets), &self.toy, &self.results()).unwrap();
        plan.counts()
    }
}

pub fn column(rows: &[BTreeMap<String, String>], name: &str) -> Vec<String> {
    rows.iter().map(|row| row[name].clone()).collect()
}

pub fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().count() == 0
}
