//! A bank on disk: parameters, constants, moments, quarantine and step, for a bit-identical continuation.

use std::collections::HashMap;
use std::path::Path;

use serde_json::json;
use tch::Tensor;

use crate::bank::Bank;
use crate::error::CoreError;
use crate::tensor_file::{Values, is_like, map, open, tensor_of, write};

/// What the names of kept copies start with.
const KEPT: &str = "kept.";

impl Bank {
    /// Writes the bank's state; a file of that name is replaced whole or not at all.
    pub fn save(&self, path: &Path) -> Result<(), CoreError> {
        let metadata = HashMap::from([
            ("bank".to_owned(), self.identity()),
            ("steps".to_owned(), self.steps.to_string()),
        ]);
        write(path, self.tensors(), metadata, Values::Any, problem)
    }

    /// Continues from what `save` wrote for a bank of the same sites and trials; a wrong file changes nothing.
    pub fn load_state(&mut self, path: &Path) -> Result<(), CoreError> {
        let file = map(path)?;
        let (metadata, stored) = open(&file).map_err(|error| problem(path, error))?;
        let metadata = metadata.unwrap_or_default();
        if metadata.get("bank") != Some(&self.identity()) {
            return Err(problem(path, "it was written for other sites or trials"));
        }
        let steps = metadata.get("steps").and_then(|steps| steps.parse().ok());
        let steps = steps.ok_or_else(|| problem(path, "its number of steps is missing"))?;
        if stored.names().iter().any(|name| name.starts_with(KEPT)) {
            self.keep(&vec![true; self.num_trials()]);
        }
        let mut pairs = Vec::new();
        for (name, tensor) in self.tensors() {
            let view =
                stored.tensor(&name).map_err(|_| problem(path, format!("tensor `{name}` is missing")))?;
            if !is_like(&view, &tensor) {
                let found = format!("tensor `{name}` is {} {:?}", view.dtype(), view.shape());
                return Err(problem(path, found));
            }
            pairs.push((name, tensor, view));
        }
        for (name, mut tensor, view) in pairs {
            let value = tensor_of(&name, &view).map_err(|error| problem(path, error))?;
            gradient_mode::off(|| tensor.copy_(&value));
        }
        self.steps = steps;
        self.refresh();
        Ok(())
    }

    /// Every tensor that a step reads or writes, sharing storage.
    fn tensors(&self) -> Vec<(String, Tensor)> {
        let mut tensors = Vec::new();
        for (index, group) in self.groups.iter().enumerate() {
            for store in &group.stores {
                let name = store.group.map_or("constants".to_owned(), |group| group.to_string());
                tensors.push((format!("{index}.{name}.values"), store.values.detach()));
            }
            let trained = group.stores.iter().filter(|store| store.trained).filter_map(|store| store.group);
            let optimizer = &group.optimizer;
            for ((name, first), second) in
                trained.zip(&optimizer.first_moments).zip(&optimizer.second_moments)
            {
                tensors.push((format!("{index}.{name}.first_moment"), first.shallow_clone()));
                tensors.push((format!("{index}.{name}.second_moment"), second.shallow_clone()));
            }
            tensors.push((format!("{index}.diverged_at"), optimizer.diverged_at.shallow_clone()));
        }
        let kept = self.kept.iter().flatten().enumerate();
        tensors.extend(kept.map(|(index, value)| (format!("{KEPT}{index}"), value.shallow_clone())));
        tensors
    }

    /// Sites and trials, which a state belongs to.
    fn identity(&self) -> String {
        let places: Vec<_> = self.classes.iter().map(|class| (class.size(), class.names())).collect();
        json!({ "sites": places, "trials": self.trials }).to_string()
    }
}

fn problem(path: &Path, problem: impl ToString) -> CoreError {
    CoreError::Checkpoint { path: path.to_owned(), problem: problem.to_string() }
}
