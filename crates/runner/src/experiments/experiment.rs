//! Experiment files: reading, strictness of the keys that the runner owns, and the layers of settings.
//!
//! ```text
//! file  <-  [scale.<name>]  <-  --set key=value        later wins, leaf by leaf
//! ```
//!
//! A key of a scale's table, or of `--set`, goes where the file has that key: to a header entry (`seeds`), to the
//! compared or tuned settings, to a method's table (`method.<name>.<key>`), or else to the fixed settings.
//! Lists in `[scientific]` and `[method.<name>]` are compared: each value is a row of the summary. Lists in
//! `[nuisance]` and `[nuisance.method.<name>]` are tuned: the summary has the best. A list in `[fixed]` is a value.
//!
//! `fixed.<key>`, `scientific.<key>` and `nuisance.<key>` name the section outright.
//!
//! # Settings for some of the trials
//!
//! `[method.<name>]` holds a method's own settings, and `[method.<name>.fixed]` any others, for its trials only. With
//! `defaults_by = ["task_name"]` the compared names of `task_name` have tables too. Each layer applies, in this order,
//!
//! ```text
//! general  <-  [method.<m>.fixed]  <-  [task_name.<v>]  <-  [task_name.<v>.method.<m>], [task_name.<v>.method.<m>.fixed]
//! ```
//!
//! so that the scale's general settings win over the file's `[task_name.<v>]`, and a general `--set` over every
//! table. Where `defaults_by` has several names, the later one wins. A key of `[task_name.<v>]` goes where the file
//! has it, as a scale's does: where that is a compared or tuned setting it replaces the list, for trials with this
//! value; anywhere else a list is a value. Lists in `[task_name.<v>.method.<m>]` are compared as in `[method.<m>]`,
//! unless the setting is tuned for the method. A trial's resolved config has the settings, and no such table.
//!
//! In a scale's table, where TOML does not take both `task_name = […]` and `[scale.s.task_name.v]`, write
//! `scientific.task_name = […]`.
//!
//! A table for a name that the experiment does not compare at any scale is an error, unless it comes from an included
//! file: those are shared, so the task is asked whether it knows the name
//! ([`Workload::names`](crate::Workload::names)).
//!
//! # Tuning first
//!
//! With a table `[tuning]`, of `seeds` and a `metric`, tuned settings are chosen with those seeds, and only what was
//! chosen runs with all `seeds`: see `tables/tuning.rs`. A scale's table and `--set` override it as `tuning.seeds`,
//! `tuning.metric` and `tuning.first`.
//!
//! # Included files
//!
//! `include = ["tasks/one.toml"]` puts other files beneath this one, leaf by leaf; paths are relative to it. They hold
//! tables of settings only, include no others, and do not set a key twice between them.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::path::Path;

use serde_json::Value;

use crate::error::{Result, RunnerError, mistake};
use crate::experiments::header::Header;
use crate::experiments::include;
use crate::experiments::layers::{Layers, Level, Stack};
use crate::experiments::names::{Names, Unsure};
use crate::experiments::sections::Sections;
use crate::settings::{Scope, SettingError, Source, Table, from_toml, leaves, settings};
use crate::workload::Workload;

/// One question: what is compared, what is tuned, what is fixed, at one scale.
#[derive(Clone, Debug)]
pub struct Experiment {
    header: Header,
    pub scale: String,
    pub(crate) stack: Stack,
    /// The settings of every trial.
    pub(crate) sections: Sections,
    /// Names in included tables that the experiment does not compare, and the methods that it does.
    unsure: (Vec<Unsure>, BTreeSet<String>),
    pub(crate) source: Source,
    remedy: Option<Remedy>,
}

impl Deref for Experiment {
    type Target = Header;

    fn deref(&self) -> &Header {
        &self.header
    }
}

/// How to get what a path setting names, where that is known, as in "`just fetch table3 --scale paper` gets it".
pub type Remedy = fn(&Experiment, &str) -> Option<String>;

impl Experiment {
    /// Reads an experiment at a scale, with `--set` overrides of the form `key=value`.
    ///
    /// A value is TOML where it parses as TOML, a list where it has commas, else a string.
    pub fn load(path: &Path, scale: &str, sets: &[String]) -> Result<Experiment> {
        let text = std::fs::read_to_string(path).map_err(RunnerError::read(path))?;
        Experiment::parse(path, &text, scale, sets)
    }

    /// Reads an experiment from the text of its file, as [`Experiment::load`] does; `path` is for messages.
    pub fn parse(path: &Path, text: &str, scale: &str, sets: &[String]) -> Result<Experiment> {
        let (file, mut source) = include::read(path, text)?;
        let overrides = sets.iter().map(|set| parse_set(set)).collect::<Result<Vec<_>>>()?;
        for (key, written, _) in &overrides {
            source.add_set(key, written);
        }
        let given: Vec<(&str, &Value)> =
            overrides.iter().map(|(key, _, value)| (key.as_str(), value)).collect();
        let mut layers = Layers::split(&file, &source, &given).map_err(|error| written(&source, &error))?;
        layers.apply_scale(&file, scale).map_err(|error| written(&source, &error))?;
        for (key, text, value) in &overrides {
            let path: Vec<&str> = key.split('.').collect();
            let applied = layers.apply(Level::Option, "", &path, value);
            applied.map_err(|message| RunnerError::setting(format!("--set {key}={text}"), key, &message))?;
        }
        layers.check().map_err(|error| written(&source, &error))?;
        let Layers { header, sections, stack, names } = layers;
        let unsure = names.into_parts();
        Experiment::assemble(header, sections, stack, unsure, scale, source)
    }

    fn assemble(
        header: Table,
        sections: Sections,
        stack: Stack,
        unsure: (Vec<Unsure>, BTreeSet<String>),
        scale: &str,
        mut source: Source,
    ) -> Result<Experiment> {
        let header: Header = settings(&Value::Object(header)).map_err(|error| {
            let (place, key) = source.find(&error.key, Scope::default(), scale);
            RunnerError::setting(place, &key, &error.message)
        })?;
        source.set_tables_of(&header.defaults_by);
        let fail = |error: &SettingError| {
            let (place, key) = source.find(&error.key, Scope::default(), scale);
            RunnerError::setting(place, &key, &error.message)
        };
        for (key, name) in [("name", header.name.as_str()), ("scale", scale)] {
            let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if name.is_empty() || !name.chars().all(safe) {
                let message = format!("found {name:?}; it names a folder: letters, digits, `-` and `_`");
                return Err(fail(&SettingError::new(key, message)));
            }
        }
        let tuning_seeds = header.tuning.as_ref().map(|tuning| ("tuning.seeds", &tuning.seeds));
        for (key, seeds) in std::iter::once(("seeds", &header.seeds)).chain(tuning_seeds) {
            if seeds.is_empty() {
                let message = "found no seed; name at least one, as in `seeds = [0]`";
                return Err(fail(&SettingError::new(key, message)));
            }
        }
        for (axis, count) in header.tuning.iter().flat_map(|tuning| &tuning.first) {
            let key = format!("tuning.first.{axis}");
            let known: Vec<&str> = header.replicates.iter().map(String::as_str).collect();
            if !known.contains(&axis.as_str()) {
                return Err(fail(&SettingError::unknown_name(&key, "replicated axis", axis, &known)));
            }
            if *count == 0 {
                return Err(fail(&SettingError::new(&key, "found 0; it has to be at least 1")));
            }
        }
        let axes: Vec<&str> = sections.scientific.keys().map(String::as_str).chain(["seed"]).collect();
        if let Some(name) = header.replicates.iter().find(|name| !axes.contains(&name.as_str())) {
            return Err(fail(&SettingError::unknown_name("replicates", "axis", name, &axes)));
        }
        Ok(Experiment { header, scale: scale.to_string(), stack, sections, unsure, source, remedy: None })
    }

    /// The same experiment, whose errors of missing files and folders say how to get them.
    pub fn with_remedy(self, remedy: Remedy) -> Experiment {
        Experiment { remedy: Some(remedy), ..self }
    }

    pub(crate) fn remedy(&self, path: &str) -> Option<String> {
        self.remedy.and_then(|remedy| remedy(self, path))
    }

    /// File that the experiment was read from.
    pub fn path(&self) -> &Path {
        self.source.path()
    }

    /// Settings that are texts or lists of texts, by key, fixed ones first: among them are those that name folders.
    pub fn texts(&self) -> Vec<(String, Vec<&str>)> {
        let leaves = leaves(&self.sections.fixed).into_iter().chain(leaves(&self.sections.scientific));
        leaves.filter_map(|(path, value)| Some((path.join("."), texts(value)?))).collect()
    }

    /// The error of the setting at `error.key` of a resolved config, with its place in the file.
    pub(crate) fn located(&self, error: &SettingError, scope: Scope) -> String {
        let (place, key) = self.source.find(&error.key, scope, &self.scale);
        mistake(place, &key, &error.message)
    }

    /// The error of a key spelled as in the file.
    pub(crate) fn written(&self, error: &SettingError) -> RunnerError {
        written(&self.source, error)
    }

    /// Asks the task about the names in included tables that the experiment does not compare.
    pub(crate) fn check_names(&self, workload: &dyn Workload) -> Result<()> {
        let (unsure, methods) = &self.unsure;
        unsure.iter().try_for_each(|unsure| {
            let all = workload.names(&unsure.axis);
            Names::judge(unsure, all.as_deref(), methods).map_err(|error| self.written(&error))
        })
    }
}

/// The error of a key spelled as in the file.
fn written(source: &Source, error: &SettingError) -> RunnerError {
    RunnerError::setting(source.place(&error.key), &error.key, &error.message)
}

fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::Array(items) => items.iter().map(Value::as_str).collect(),
        value => Some(vec![value.as_str()?]),
    }
}

/// `key=value` as key, written value and value.
fn parse_set(set: &str) -> Result<(String, String, Value)> {
    let usage = "write `--set key.path=value`";
    let (key, written) =
        set.split_once('=').ok_or_else(|| RunnerError::setting(format!("--set {set}"), "no `=`", usage))?;
    let (key, written) = (key.trim(), written.trim());
    if key.is_empty() || key.split('.').any(str::is_empty) || written.is_empty() {
        return Err(RunnerError::setting(format!("--set {set}"), "empty key or value", usage));
    }
    let value = match toml_value(written) {
        Some(value) => value,
        None if written.contains(',') && !written.starts_with(['[', '{', '"', '\'']) => {
            let item = |text: &str| toml_value(text).unwrap_or_else(|| text.into());
            toml::Value::Array(written.split(',').map(|text| item(text.trim())).collect())
        }
        None => written.into(),
    };
    let value = from_toml(value, key)
        .map_err(|(key, message)| RunnerError::setting(format!("--set {set}"), &key, &message))?;
    // A single seed is a list of one; in a file it is written as one.
    let value = if ["seeds", "tuning.seeds"].contains(&key) && value.is_u64() {
        Value::Array(vec![value])
    } else {
        value
    };
    Ok((key.to_string(), written.to_string(), value))
}

fn toml_value(text: &str) -> Option<toml::Value> {
    let mut table: toml::Table = format!("value = {text}").parse().ok()?;
    (table.len() == 1).then(|| table.remove("value")).flatten()
}
