//! Every trial of an experiment with its resolved config and its id, checked by the task.

use std::collections::{BTreeSet, HashMap};

use rayon::prelude::*;
use serde_json::Value;

use crate::error::{Result, RunnerError};
use crate::experiments::expansion::Expansion;
use crate::experiments::experiment::Experiment;
use crate::experiments::grid::Grid;
use crate::identity::{flat, material, trial_id};
use crate::workload::{Trial, Workload};

impl Experiment {
    /// Expands the grid and checks every trial; all mistakes come in one error, each with file and line.
    pub fn grid(&self, workload: &dyn Workload) -> Result<Grid> {
        if self.task != workload.task() {
            return Err(RunnerError::Task {
                experiment: self.path().to_path_buf(),
                found: self.task.clone(),
                expected: workload.task().to_string(),
            });
        }
        self.check_names(workload)?;
        let expansion = Expansion { experiment: self, workload };
        let mut mistakes: Vec<String> = Vec::new();
        let mut trials: Vec<Trial> = Vec::new();
        let (mut known, mut shortfalls) = (HashMap::new(), BTreeSet::new());
        let (configs, compared, tuned) = expansion.configs()?;
        let mut checked_configs: Vec<(Value, String, Value)> = Vec::new();
        for config in configs {
            let checked = workload.validate(&config);
            match checked.and_then(|inputs| Ok((inputs, workload.shortfalls(&config)?))) {
                Ok((inputs, found)) => {
                    shortfalls.extend(found);
                    let config = workload.relevant(config);
                    let material = material(workload, &config);
                    checked_configs.push((config, inputs, material));
                }
                Err(error) => {
                    for mistake in expansion.mistakes(error, &config)? {
                        if !mistakes.contains(&mistake) {
                            mistakes.push(mistake);
                        }
                    }
                }
            }
        }
        // In a grid of thousands the hashes take longest.
        let hashed = |(config, inputs, material): (Value, String, Value)| Trial {
            id: trial_id(&self.task, &material, &inputs),
            config,
            inputs,
        };
        for trial in checked_configs.into_par_iter().map(hashed).collect::<Vec<_>>() {
            match known.get(&trial.id).map(|place: &usize| &trials[*place]) {
                Some(same) => shortfalls.extend(equal_in_result(&same.config, &trial.config)),
                None => {
                    known.insert(trial.id.clone(), trials.len());
                    trials.push(trial);
                }
            }
        }
        if mistakes.is_empty() {
            Ok(Grid { trials, compared, tuned, shortfalls: shortfalls.into_iter().collect() })
        } else {
            Err(RunnerError::Settings(mistakes))
        }
    }
}

/// What to say of two configs of one identity that differ: no result depends on the difference, so one trial stands for both.
fn equal_in_result(left: &Value, right: &Value) -> Option<String> {
    let (left, right) = (flat(left), flat(right));
    let keys: BTreeSet<&String> =
        left.keys().chain(right.keys()).filter(|key| left.get(*key) != right.get(*key)).collect();
    let keys: Vec<String> = keys.into_iter().map(|key| format!("`{key}`")).collect();
    (!keys.is_empty())
        .then(|| format!("trials that differ in {} alone have one result, and are run once", keys.join(", ")))
}
