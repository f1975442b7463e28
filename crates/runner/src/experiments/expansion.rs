//! The resolved configs of an experiment: its axes, and their product.
//!
//! Order: the compared settings as they stand in the file, the first varying slowest, then the method's own
//! lists, then what is tuned, then the seed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::error::{Result, RunnerError};
use crate::experiments::experiment::Experiment;
use crate::experiments::grid::TunedAxis;
use crate::experiments::sections::Sections;
use crate::identity::canonical;
use crate::settings::{
    Line, Scope, SettingError, Table, blamed, expand_homes, expand_homes_of, leaves, set_path,
};
use crate::workload::Workload;

/// One key of a section: its path in the resolved config and its values, one when it is no axis.
#[derive(Clone)]
struct Axis {
    path: String,
    values: Vec<Value>,
    is_list: bool,
}

/// Trials of one method, and of one value of each setting that has tables for its values.
struct Part {
    method: Option<String>,
    values: Vec<(String, String)>,
    sections: Sections,
    /// The compared settings, in the order of the file.
    compared: Vec<Axis>,
}

impl Part {
    fn scope(&self) -> Scope<'_> {
        Scope { method: self.method.as_deref(), values: &self.values }
    }
}

pub(crate) struct Expansion<'a> {
    pub experiment: &'a Experiment,
    pub workload: &'a dyn Workload,
}

impl Expansion<'_> {
    /// Every config, and the paths of what is compared and tuned.
    pub fn configs(&self) -> Result<(Vec<Value>, Vec<String>, Vec<TunedAxis>)> {
        let experiment = self.experiment;
        let axis = |seeds: &[u64]| {
            let values = seeds.iter().map(|seed| json!(seed)).collect();
            Axis { path: "seed".into(), values, is_list: true }
        };
        let mut seeds = axis(&experiment.seeds);
        self.distinct(&seeds, "seeds", Scope::default())?;
        if let Some(tuning) = &experiment.tuning {
            let tuning = axis(&tuning.seeds);
            self.distinct(&tuning, "tuning.seeds", Scope::default())?;
            let added = tuning.values.into_iter().filter(|seed| !seeds.values.contains(seed));
            seeds.values = added.chain(seeds.values.clone()).collect();
        }
        let (parts, compared) = self.parts()?;
        let mut columns = Columns::new(&compared);
        let mut ranked = Vec::new();
        for part in &parts {
            let inner = self.inner_axes(part, &mut columns)?;
            for (rank, point) in ranked_product(part, &compared) {
                let configs = product(vec![point], &[&inner[..], std::slice::from_ref(&seeds)].concat());
                ranked.extend(configs.into_iter().map(|config| {
                    let mut config = Value::Object(config);
                    expand_homes(&mut config, self.workload.paths());
                    (rank.clone(), config)
                }));
            }
        }
        // Within a point of the compared settings the order stays.
        ranked.sort_by(|left, right| left.0.cmp(&right.0));
        let configs = ranked.into_iter().map(|(_, config)| config).collect();
        Ok((configs, columns.compared, columns.tuned))
    }

    /// The parts of the grid, and every compared axis with its values of all parts.
    fn parts(&self) -> Result<(Vec<Part>, Vec<Axis>)> {
        let base = self.compared(&self.experiment.sections, Scope::default())?;
        let names =
            |axis: &str| base.iter().find(|known| known.path == axis).map(|axis| axis.values.as_slice());
        let mut values: Vec<Vec<(String, String)>> = vec![Vec::new()];
        for axis in &self.experiment.defaults_by {
            let names = names(axis).unwrap_or_default();
            if let Some(found) = names.iter().find(|name| !name.is_string()) {
                let message = format!("found {found}; `defaults_by` is for settings whose values are names");
                return Err(self.located(&SettingError::new(axis, message), Scope::default()));
            }
            let with = |above: &Vec<(String, String)>, name: &Value| {
                let value = name.as_str().unwrap_or_default().to_string();
                above.iter().cloned().chain([(axis.clone(), value)]).collect()
            };
            values =
                values.iter().flat_map(|above| names.iter().map(move |name| with(above, name))).collect();
        }
        let methods: Vec<Option<String>> = match names("method") {
            None => vec![None],
            Some(methods) => methods.iter().map(|method| method["name"].as_str().map(String::from)).collect(),
        };
        let mut parts = Vec::new();
        let mut all = base;
        for values in values {
            for method in &methods {
                let part = self.part(values.clone(), method.clone())?;
                for axis in &part.compared {
                    match all.iter_mut().find(|known| known.path == axis.path) {
                        None => all.push(axis.clone()),
                        Some(known) => {
                            let new = axis.values.iter().filter(|value| !known.values.contains(value));
                            let new: Vec<Value> = new.cloned().collect();
                            known.values.extend(new);
                        }
                    }
                }
                parts.push(part);
            }
        }
        Ok((parts, all))
    }

    fn part(&self, values: Vec<(String, String)>, method: Option<String>) -> Result<Part> {
        let sections = self.experiment.stack.sections(&values, method.as_deref());
        let sections = sections.map_err(|error| self.experiment.written(&error))?;
        let mut compared = self.compared(&sections, Scope { method: None, values: &values })?;
        for axis in &mut compared {
            if let Some((_, value)) = values.iter().find(|(path, _)| *path == axis.path) {
                axis.values = vec![json!(value)];
            } else if axis.path == "method" {
                axis.values = vec![json!({"name": method})];
            }
        }
        Ok(Part { method, values, sections, compared })
    }

    /// The compared settings that are no method's own.
    fn compared(&self, sections: &Sections, scope: Scope) -> Result<Vec<Axis>> {
        let mut compared =
            self.axes(&shared(&sections.scientific), "scientific", "", &sections.fixed, scope)?;
        if let Some((line, names)) = self.methods(sections)? {
            let values = names.iter().map(|name| json!({"name": name})).collect();
            let axis = Axis { path: "method".to_string(), values, is_list: true };
            let place = compared.iter().take_while(|axis| self.line("scientific", &axis.path) < line).count();
            compared.insert(place, axis);
        }
        Ok(compared)
    }

    /// The method's own settings, then what is tuned.
    fn inner_axes(&self, part: &Part, columns: &mut Columns) -> Result<Vec<Axis>> {
        let (scope, sections) = (part.scope(), &part.sections);
        let tuned = self.axes(&shared(&sections.nuisance), "nuisance", "", &sections.fixed, scope)?;
        columns.tuned(&tuned, None, part);
        let Some(name) = &part.method else { return Ok(tuned) };
        let of_method = |prefix: &str, is_tuned| {
            let table = sections.of_method(name, is_tuned);
            self.axes(&table, &format!("{prefix}method.{name}"), "method", &sections.fixed, scope)
        };
        let compared_of_method = of_method("", false)?;
        columns.compared(compared_of_method.iter().filter(|axis| axis.is_list));
        let tuned_of_method = of_method("nuisance.", true)?;
        columns.tuned(&tuned_of_method, Some(name), part);
        Ok([compared_of_method, tuned, tuned_of_method].concat())
    }

    /// Line and names of the compared methods.
    fn methods(&self, sections: &Sections) -> Result<Option<(Line, Vec<String>)>> {
        let Some(value) = sections.scientific.get("method") else { return Ok(None) };
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let names: Vec<String> = items.iter().filter_map(|item| item.as_str().map(str::to_string)).collect();
        let axis = Axis { path: "method".into(), values: items.to_vec(), is_list: true };
        self.distinct(&axis, "method.name", Scope::default())?;
        Ok(Some((self.line("scientific", "method"), names)))
    }

    /// The keys of a section, in the order of the file. `prefix` is where they stand in the resolved config.
    fn axes(
        &self,
        table: &Table,
        section: &str,
        prefix: &str,
        fixed: &Table,
        scope: Scope,
    ) -> Result<Vec<Axis>> {
        let mut axes = Vec::new();
        for (path, value) in self.settings(table, prefix, &mut Vec::new(), fixed, scope)? {
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
                return Err(self.located(&error, scope));
            }
            self.distinct(axis, &axis.path, scope)?;
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
        fixed: &Table,
        scope: Scope,
    ) -> Result<Vec<(String, Value)>> {
        let mut found = Vec::new();
        for (key, value) in table {
            above.push(key.clone());
            let inner = above.join(".");
            let path = if prefix.is_empty() { inner } else { format!("{prefix}.{inner}") };
            let expanded = if value.is_array() { None } else { self.expand(&path, value, fixed, scope)? };
            match (expanded, value) {
                (Some(values), _) => found.push((path, Value::Array(values))),
                (None, Value::Object(inner)) if !inner.is_empty() => {
                    found.extend(self.settings(inner, prefix, above, fixed, scope)?);
                }
                _ => found.push((path, value.clone())),
            }
            above.pop();
        }
        Ok(found)
    }

    fn expand(&self, path: &str, value: &Value, fixed: &Table, scope: Scope) -> Result<Option<Vec<Value>>> {
        let paths = self.workload.paths();
        let mut fixed = Value::Object(fixed.clone());
        expand_homes(&mut fixed, paths);
        let value = expand_homes_of(path, value, paths);
        self.workload.expand(path, &value, &fixed).map_err(|error| {
            let found = match error.downcast::<SettingError>() {
                Ok(error) => vec![error],
                Err(error) => match self.blamed(&error, &fixed) {
                    found if found.is_empty() => vec![SettingError::new(path, format!("{error:#}"))],
                    found => found,
                },
            };
            RunnerError::Settings(found.iter().map(|error| self.experiment.located(error, scope)).collect())
        })
    }

    fn distinct(&self, axis: &Axis, key: &str, scope: Scope) -> Result<()> {
        let mut seen = BTreeSet::new();
        match axis.values.iter().find(|value| !seen.insert(canonical(value))) {
            None => Ok(()),
            Some(value) => {
                let error = SettingError::new(key, format!("{value} stands twice in the list; remove one"));
                Err(self.located(&error, scope))
            }
        }
    }

    fn line(&self, section: &str, path: &str) -> Line {
        self.experiment.source.line(&format!("{section}.{path}"))
    }

    fn located(&self, error: &SettingError, scope: Scope) -> RunnerError {
        RunnerError::Settings(vec![self.experiment.located(error, scope)])
    }

    /// The settings that an error of the workload is about, where it is about files that they name.
    fn blamed(&self, error: &anyhow::Error, config: &Value) -> Vec<SettingError> {
        blamed(error, config, self.workload.paths(), |path| self.experiment.remedy(path))
    }

    /// Texts of an error that is about settings; any other error of the workload ends the check.
    pub fn mistakes(&self, error: anyhow::Error, config: &Value) -> Result<Vec<String>> {
        let method = config.pointer("/method/name").and_then(Value::as_str);
        let value = |axis: &String| Some((axis.clone(), config.get(axis)?.as_str()?.to_string()));
        let values: Vec<_> = self.experiment.defaults_by.iter().filter_map(value).collect();
        let found = match error.downcast_ref::<SettingError>() {
            Some(setting) => vec![setting.clone()],
            None => self.blamed(&error, config),
        };
        if found.is_empty() {
            let of: String = method.map_or(String::new(), |method| format!(" of `{method}`"));
            let trial =
                format!("{}: trial{of} with seed {}", self.experiment.path().display(), config["seed"]);
            return Err(RunnerError::Trial { trial, source: error });
        }
        let scope = Scope { method, values: &values };
        Ok(found.iter().map(|error| self.experiment.located(error, scope)).collect())
    }
}

/// A section without its tables of methods.
fn shared(table: &Table) -> Table {
    let entries = table.iter().filter(|(key, _)| *key != "method");
    entries.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Every combination of a part's compared settings on its fixed ones, each with its place in the order of `all`.
fn ranked_product(part: &Part, all: &[Axis]) -> Vec<(Vec<usize>, Table)> {
    let start = vec![(vec![0; all.len()], part.sections.fixed.clone())];
    part.compared.iter().fold(start, |points, axis| {
        let path: Vec<&str> = axis.path.split('.').collect();
        let known =
            all.iter().position(|known| known.path == axis.path).expect("`all` has every part's axes");
        let with = |(rank, point): &(Vec<usize>, Table), value: &Value| {
            let (mut rank, mut point) = (rank.clone(), point.clone());
            rank[known] = all[known].values.iter().position(|other| other == value).unwrap_or_default();
            set_value(&mut point, &path, value);
            (rank, point)
        };
        points.iter().flat_map(|point| axis.values.iter().map(move |value| with(point, value))).collect()
    })
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

/// Paths of the compared and tuned settings, collected over the parts.
struct Columns {
    compared: Vec<String>,
    tuned: Vec<TunedAxis>,
}

impl Columns {
    fn new(compared: &[Axis]) -> Columns {
        Columns { compared: compared.iter().map(|axis| axis.path.clone()).collect(), tuned: Vec::new() }
    }

    fn compared<'a>(&mut self, axes: impl Iterator<Item = &'a Axis>) {
        for axis in axes {
            if !self.compared.contains(&axis.path) {
                self.compared.push(axis.path.clone());
            }
        }
    }

    fn tuned(&mut self, axes: &[Axis], method: Option<&str>, part: &Part) {
        for axis in axes {
            let tuned = TunedAxis {
                path: axis.path.clone(),
                method: method.map(str::to_string),
                of: part.values.clone(),
                values: axis.values.clone(),
            };
            if !self.tuned.contains(&tuned) {
                self.tuned.push(tuned);
            }
        }
    }
}
