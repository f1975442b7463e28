//! The grid of an experiment: its trials, and which of their settings are compared and tuned.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::identity::canonical;
use crate::settings::get_path;
use crate::workload::Trial;

/// A tuned setting and its range.
#[derive(Clone, Debug, PartialEq)]
pub struct TunedAxis {
    /// Path in the resolved config, as in `method.lambda`.
    pub path: String,
    /// The one method that the range belongs to; all methods when absent.
    pub method: Option<String>,
    /// Values of compared settings that the range belongs to, where such values have tables of their own.
    pub of: Vec<(String, String)>,
    pub values: Vec<Value>,
}

impl TunedAxis {
    /// Whether the range is that of a trial.
    pub(crate) fn is_of(&self, trial: &Trial) -> bool {
        let has = |(path, value): &(String, String)| {
            setting(trial, path).and_then(Value::as_str) == Some(value.as_str())
        };
        self.method.as_deref().is_none_or(|method| trial.method() == Some(method)) && self.of.iter().all(has)
    }

    /// Whether the trial's value is the smallest or largest of three or more numbers.
    fn ends_at(&self, trial: &Trial) -> bool {
        let Some(values) = self.values.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>() else {
            return false;
        };
        let Some(best) = setting(trial, &self.path).and_then(Value::as_f64) else { return false };
        values.len() > 2
            && (values.iter().all(|value| best <= *value) || values.iter().all(|value| best >= *value))
    }
}

/// Every trial that an experiment may run, in order, and the paths of what is compared and tuned.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    /// Shared by the grids that are a part or a copy of it: there may be many.
    pub trials: Arc<Vec<Trial>>,
    /// Paths in the resolved config of the compared settings, `method` first where there are methods.
    pub compared: Vec<String>,
    pub tuned: Vec<TunedAxis>,
    /// Where the data have less than is asked for, each once.
    pub shortfalls: Vec<String>,
}

impl Grid {
    /// Paths of the tuned settings whose value in `trial` is the smallest or largest of three or more numbers.
    pub(crate) fn at_range_end(&self, trial: &Trial) -> Vec<String> {
        let ranges = self.tuned.iter().filter(|axis| axis.is_of(trial));
        ranges.filter(|axis| axis.ends_at(trial)).map(|axis| axis.path.clone()).collect()
    }

    /// Path and text of what tells a trial from the others: compared and tuned settings, and the seed.
    pub fn settings<'a>(&'a self, trial: &'a Trial) -> impl Iterator<Item = (&'a str, String)> {
        let tuned = self.tuned.iter().map(|axis| axis.path.as_str());
        let paths = self.compared.iter().map(String::as_str).chain(tuned).chain(["seed"]);
        let mut seen = BTreeSet::new();
        paths
            .filter(move |path| seen.insert(*path))
            .filter_map(|path| Some((path, cell(setting(trial, path)?))))
    }
}

/// A trial's setting at a path of the grid; `method` gives the method's name.
pub(crate) fn setting<'a>(trial: &'a Trial, path: &str) -> Option<&'a Value> {
    get_path(&trial.config, if path == "method" { "method.name" } else { path })
}

/// Text of a setting in a table: strings bare, numbers in one spelling, lists and tables as JSON.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => canonical(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_at_the_end_of_three_or_more_are_at_the_end() {
        let trial = |value: Value| Trial {
            id: String::new(),
            config: serde_json::json!({"rate": value}),
            inputs: String::new(),
        };
        let axis = |values: &[f64]| TunedAxis {
            path: "rate".to_string(),
            method: None,
            of: Vec::new(),
            values: values.iter().map(|value| Value::from(*value)).collect(),
        };
        assert!(axis(&[1.0, 4.0, 2.0]).ends_at(&trial(4.into())));
        assert!(axis(&[1.0, 4.0, 2.0]).ends_at(&trial(1.0.into())));
        assert!(!axis(&[1.0, 4.0, 2.0]).ends_at(&trial(2.0.into())));
        assert!(!axis(&[1.0, 4.0]).ends_at(&trial(4.0.into())));
        assert!(!TunedAxis { values: vec!["a".into(); 3], ..axis(&[]) }.ends_at(&trial("a".into())));
    }
}
