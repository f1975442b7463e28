//! The grid of an experiment: axes, their product, and the resolved config of each trial.
//!
//! Order: the compared settings as they stand in the file, the first varying slowest, then the method's own
//! lists, then what is tuned, then the seed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::error::{Result, RunnerError};
use crate::experiment::Experiment;
use crate::identity::{canonical, trial_id};
use crate::merge::{Table, get_path, leaves, set_path};
use crate::settings::SettingError;
use crate::workload::{Trial, Workload};

/// A tuned setting and its range.
#[derive(Clone, Debug, PartialEq)]
pub struct TunedAxis {
    /// Path in the resolved config, as in `method.lambda`.
    pub path: String,
    /// The one method that the range belongs to; all methods when absent.
    pub method: Option<String>,
    pub values: Vec<Value>,
}

/// Every trial of an experiment, in order, and the paths of what is compared and tuned.
#[derive(Clone, Debug)]
pub struct Grid {
    pub trials: Vec<Trial>,
    /// Paths in the resolved config of the compared settings, `method` first where there are methods.
    pub compared: Vec<String>,
    pub tuned: Vec<TunedAxis>,
}

impl Grid {
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

/// One key of a section: its path in the resolved config and its values, one when it is no axis.
#[derive(Clone)]
struct Axis {
    path: String,
    values: Vec<Value>,
    is_list: bool,
}

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
        let expansion = Expansion { experiment: self, workload };
        let mut mistakes: Vec<String> = Vec::new();
        let mut trials: Vec<Trial> = Vec::new();
        let (configs, compared, tuned) = expansion.configs()?;
        for config in configs {
            match workload.validate(&config) {
                Ok(inputs) => {
                    let config = workload.relevant(config);
                    let trial = Trial { id: trial_id(&self.task, &config, &inputs), config };
                    if !trials.contains(&trial) {
                        trials.push(trial);
                    }
                }
                Err(error) => {
                    let mistake = expansion.mistake(error, &config)?;
                    if !mistakes.contains(&mistake) {
                        mistakes.push(mistake);
                    }
                }
            }
        }
        if mistakes.is_empty() {
            Ok(Grid { trials, compared, tuned })
        } else {
            Err(RunnerError::Settings(mistakes))
        }
    }
}

struct Expansion<'a> {
    experiment: &'a Experiment,
    workload: &'a dyn Workload,
}

impl Expansion<'_> {
    fn configs(&self) -> Result<(Vec<Value>, Vec<String>, Vec<TunedAxis>)> {
        let experiment = self.experiment;
        let shared = |table: &Table| {
            table
                .iter()
                .filter(|(key, _)| *key != "method")
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect::<Table>()
        };
        let mut compared = self.axes(&shared(&experiment.scientific), "scientific", "", None)?;
        let methods = self.methods()?;
        if let Some((line, names)) = &methods {
            let values = names.iter().map(|name| json!({"name": name})).collect();
            let axis = Axis { path: "method".to_string(), values, is_list: true };
            let place =
                compared.iter().take_while(|axis| self.line("scientific", &axis.path) < *line).count();
            compared.insert(place, axis);
        }
        let tuned = self.axes(&shared(&experiment.nuisance), "nuisance", "", None)?;
        let seeds = Axis {
            path: "seed".into(),
            values: experiment.seeds.iter().map(|seed| json!(seed)).collect(),
            is_list: true,
        };
        self.distinct(&seeds, "seeds")?;

        let mut columns = Columns::default();
        columns.compared.extend(compared.iter().map(|axis| axis.path.clone()));
        columns.tuned(&tuned, None);
        let mut configs = Vec::new();
        for point in product(vec![experiment.fixed.clone()], &compared) {
            let method = point.get("method").and_then(|method| method["name"].as_str()).map(str::to_string);
            let mut inner = Vec::new();
            if let Some(name) = &method {
                let own = self.axes(
                    &section(&experiment.methods, name),
                    &format!("method.{name}"),
                    "method",
                    Some(name),
                )?;
                columns.compared.extend(own.iter().filter(|axis| axis.is_list).map(|axis| axis.path.clone()));
                inner.extend(own);
            }
            inner.extend(tuned.iter().cloned());
            if let (Some(name), Some(Value::Object(table))) = (&method, experiment.nuisance.get("method")) {
                let own = self.axes(
                    &section(table, name),
                    &format!("nuisance.method.{name}"),
                    "method",
                    Some(name),
                )?;
                columns.tuned(&own, Some(name));
                inner.extend(own);
            }
            inner.push(seeds.clone());
            configs.extend(product(vec![point], &inner).into_iter().map(Value::Object));
        }
        let (compared, tuned) = columns.finish();
        Ok((configs, compared, tuned))
    }

    /// Line and names of the compared methods.
    fn methods(&self) -> Result<Option<(usize, Vec<String>)>> {
        let Some(value) = self.experiment.scientific.get("method") else { return Ok(None) };
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let names: Vec<String> = items.iter().filter_map(|item| item.as_str().map(str::to_string)).collect();
        let axis = Axis { path: "method".into(), values: items.to_vec(), is_list: true };
        self.distinct(&axis, "method.name")?;
        Ok(Some((self.line("scientific", "method"), names)))
    }

    /// The keys of a section, in the order of the file. `prefix` is where they stand in the resolved config.
    fn axes(&self, table: &Table, section: &str, prefix: &str, method: Option<&str>) -> Result<Vec<Axis>> {
        let mut axes = Vec::new();
        for (path, value) in self.settings(table, prefix, &mut Vec::new(), method)? {
            let is_list = value.is_array();
            let values = match value {
                Value::Array(items) => items,
                single => vec![single],
            };
            axes.push(Axis { path, values, is_list });
        }
        for axis in &axes {
            if axis.values.is_empty() {
                let error = SettingError::new(&axis.path, "found an empty list; name at least one value");
                return Err(RunnerError::Settings(vec![self.experiment.located(&error, method)]));
            }
            self.distinct_for(axis, &axis.path, method)?;
        }
        let written = |axis: &Axis| {
            axis.path.strip_prefix("method.").filter(|_| prefix == "method").unwrap_or(&axis.path).to_string()
        };
        axes.sort_by_key(|axis| self.line(section, &written(axis)));
        Ok(axes)
    }

    /// Path and value of every setting of a table, selections expanded to lists.
    fn settings(
        &self,
        table: &Table,
        prefix: &str,
        above: &mut Vec<String>,
        method: Option<&str>,
    ) -> Result<Vec<(String, Value)>> {
        let mut found = Vec::new();
        for (key, value) in table {
            above.push(key.clone());
            let inner = above.join(".");
            let path = if prefix.is_empty() { inner } else { format!("{prefix}.{inner}") };
            let expanded = if value.is_array() { None } else { self.expand(&path, value, method)? };
            match (expanded, value) {
                (Some(values), _) => found.push((path, Value::Array(values))),
                (None, Value::Object(inner)) if !inner.is_empty() => {
                    found.extend(self.settings(inner, prefix, above, method)?);
                }
                _ => found.push((path, value.clone())),
            }
            above.pop();
        }
        Ok(found)
    }

    fn expand(&self, path: &str, value: &Value, method: Option<&str>) -> Result<Option<Vec<Value>>> {
        let fixed = Value::Object(self.experiment.fixed.clone());
        self.workload.expand(path, value, &fixed).map_err(|error| match error.downcast::<SettingError>() {
            Ok(error) => RunnerError::Settings(vec![self.experiment.located(&error, method)]),
            Err(source) => RunnerError::Trial { config: format!("{path} = {value}"), source },
        })
    }

    fn distinct(&self, axis: &Axis, key: &str) -> Result<()> {
        self.distinct_for(axis, key, None)
    }

    fn distinct_for(&self, axis: &Axis, key: &str, method: Option<&str>) -> Result<()> {
        let mut seen = BTreeSet::new();
        match axis.values.iter().find(|value| !seen.insert(canonical(value))) {
            None => Ok(()),
            Some(value) => {
                let error = SettingError::new(key, format!("{value} stands twice in the list; remove one"));
                Err(RunnerError::Settings(vec![self.experiment.located(&error, method)]))
            }
        }
    }

    fn line(&self, section: &str, path: &str) -> usize {
        self.experiment.source.line(&format!("{section}.{path}"))
    }

    /// Text of a setting error; any other error of the workload ends the check.
    fn mistake(&self, error: anyhow::Error, config: &Value) -> Result<String> {
        let method = config.pointer("/method/name").and_then(Value::as_str);
        match error.downcast_ref::<SettingError>() {
            Some(setting) => Ok(self.experiment.located(setting, method)),
            None => Err(RunnerError::Trial { config: config.to_string(), source: error }),
        }
    }
}

fn section(table: &Table, name: &str) -> Table {
    table.get(name).and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Every combination of the axes' values set on each of `points`, the first axis varying slowest.
fn product(points: Vec<Table>, axes: &[Axis]) -> Vec<Table> {
    axes.iter().fold(points, |points, axis| {
        let path: Vec<&str> = axis.path.split('.').collect();
        let with = |point: &Table, value: &Value| {
            let mut point = point.clone();
            set_value(&mut point, &path, value);
            point
        };
        points.iter().flat_map(|point| axis.values.iter().map(move |value| with(point, value))).collect()
    })
}

/// Sets a value; a table is merged into what is there.
fn set_value(point: &mut Table, path: &[&str], value: &Value) {
    match value {
        Value::Object(table) if !table.is_empty() => {
            for (below, leaf) in leaves(table) {
                set_path(point, &[path, &below].concat(), leaf.clone());
            }
        }
        _ => set_path(point, path, value.clone()),
    }
}

/// Paths of the compared and tuned settings, collected over the methods.
#[derive(Default)]
struct Columns {
    compared: Vec<String>,
    tuned: Vec<TunedAxis>,
}

impl Columns {
    fn tuned(&mut self, axes: &[Axis], method: Option<&str>) {
        for axis in axes {
            let tuned = TunedAxis {
                path: axis.path.clone(),
                method: method.map(str::to_string),
                values: axis.values.clone(),
            };
            if !self.tuned.contains(&tuned) {
                self.tuned.push(tuned);
            }
        }
    }

    fn finish(self) -> (Vec<String>, Vec<TunedAxis>) {
        let mut compared: Vec<String> = Vec::new();
        for path in self.compared {
            if !compared.contains(&path) {
                compared.push(path);
            }
        }
        (compared, self.tuned)
    }
}
