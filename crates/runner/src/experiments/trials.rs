//! Every trial of an experiment with its resolved config and its id, checked by the task.

use std::collections::BTreeSet;

use crate::error::{Result, RunnerError};
use crate::experiments::expansion::Expansion;
use crate::experiments::experiment::Experiment;
use crate::experiments::grid::Grid;
use crate::identity::trial_id;
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
        let (mut known, mut shortfalls) = (BTreeSet::new(), BTreeSet::new());
        let (configs, compared, tuned) = expansion.configs()?;
        for config in configs {
            let checked = workload.validate(&config);
            match checked.and_then(|inputs| Ok((inputs, workload.shortfalls(&config)?))) {
                Ok((inputs, found)) => {
                    shortfalls.extend(found);
                    let config = workload.relevant(config);
                    let trial = Trial { id: trial_id(&self.task, &config, &inputs), config };
                    if known.insert(trial.id.clone()) {
                        trials.push(trial);
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
        if mistakes.is_empty() {
            Ok(Grid { trials, compared, tuned, shortfalls: shortfalls.into_iter().collect() })
        } else {
            Err(RunnerError::Settings(mistakes))
        }
    }
}
