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
        let mut shortfalls = BTreeSet::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        let hashed = |(config, inputs, material): (Value, String, Value)| Trial {
            id: trial_id(&self.task, &material, &inputs),
            config,
            inputs,
        };
        let mut add = |checked: Vec<_>, trials: &mut Vec<Trial>, shortfalls: &mut BTreeSet<String>| {
            for trial in checked.into_par_iter().map(hashed).collect::<Vec<_>>() {
                match known.get(&trial.id).map(|place| &trials[*place]) {
                    Some(same) => shortfalls.extend(equal_in_result(&same.config, &trial.config)),
                    None => {
                        known.insert(trial.id.clone(), trials.len());
                        trials.push(trial);
                    }
                }
            }
        };
        let (configs, compared, tuned) = expansion.configs()?;
        let mut checked: Vec<(Value, String, Value)> = Vec::new();
        for config in configs {
            let inputs = workload.validate(&config);
            match inputs.and_then(|inputs| Ok((inputs, workload.shortfalls(&config)?))) {
                Ok((inputs, found)) => {
                    shortfalls.extend(found);
                    let config = workload.relevant(config);
                    let material = material(workload, &config);
                    checked.push((config, inputs, material));
                    if checked.len() == HASHED_AT_ONCE {
                        add(std::mem::take(&mut checked), &mut trials, &mut shortfalls);
                    }
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
        add(checked, &mut trials, &mut shortfalls);
        if mistakes.is_empty() {
            Ok(Grid { trials: trials.into(), compared, tuned, shortfalls: shortfalls.into_iter().collect() })
        } else {
            Err(RunnerError::Settings(mistakes))
        }
    }
}

/// In a grid of thousands the hashes take longest, so they are taken side by side, a few at once for the caches.
const HASHED_AT_ONCE: usize = 1024;

/// What to say of two configs of one identity that differ: no result depends on the difference, so one trial stands for both.
fn equal_in_result(left: &Value, right: &Value) -> Option<String> {
    let (left, right) = (flat(left), flat(right));
    let keys: BTreeSet<&String> =
        left.keys().chain(right.keys()).filter(|key| left.get(*key) != right.get(*key)).collect();
    let keys: Vec<String> = keys.into_iter().map(|key| format!("`{key}`")).collect();
    (!keys.is_empty())
        .then(|| format!("trials that differ in {} alone have one result, and are run once", keys.join(", ")))
}
