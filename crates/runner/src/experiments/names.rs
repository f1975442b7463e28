//! Names of methods, and of values that have tables: which of them an experiment compares, and which it cannot know.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::experiments::sections::Sections;
use crate::settings::{SettingError, Source, Table, closest, get_path, is_selection};

/// A name of an included table that the experiment does not compare: the task may know it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unsure {
    /// Key of the table as it is written.
    pub key: String,
    /// "method", or the compared setting.
    pub axis: String,
    pub name: String,
}

pub(crate) struct Names<'a> {
    source: &'a Source,
    methods: BTreeSet<String>,
    /// Each setting that has tables with its values; none where they are chosen by the task.
    values: Vec<(String, Option<BTreeSet<String>>)>,
    pub unsure: Vec<Unsure>,
}

impl<'a> Names<'a> {
    pub fn new(source: &'a Source, axes: &[String]) -> Names<'a> {
        let values = axes.iter().map(|axis| (axis.clone(), Some(BTreeSet::new()))).collect();
        Names { source, methods: BTreeSet::new(), values, unsure: Vec::new() }
    }

    /// Collects every name that the file compares at any scale, and those `given` on the command line, by key.
    pub fn learn(&mut self, file: &Table, given: &[(&str, &Value)]) {
        let methods = lists(file, given, "method");
        self.methods.extend(methods.into_iter().filter_map(Value::as_str).map(String::from));
        for (axis, names) in &mut self.values {
            let list: Option<Vec<&str>> = lists(file, given, axis).into_iter().map(Value::as_str).collect();
            *names = list.map(|list| list.into_iter().map(String::from).collect());
        }
    }

    pub fn has_tables(&self, key: &str) -> bool {
        self.rank(key).is_some()
    }

    /// Place of a compared setting among those that have tables.
    pub fn rank(&self, axis: &str) -> Option<usize> {
        self.values.iter().position(|(known, _)| known == axis)
    }

    /// Whether a method's table at `key` belongs to a method of the experiment.
    pub fn check_method(&mut self, name: &str, key: &str) -> Result<(), String> {
        if self.methods.contains(name) || self.note(name, "method", key) {
            return Ok(());
        }
        Err(unknown_method(name, &self.methods))
    }

    /// Whether the table at `key` belongs to a value of a compared setting.
    pub fn check_value(&mut self, axis: &str, name: &str, key: &str) -> Result<(), String> {
        let known = self.rank(axis).and_then(|rank| self.values[rank].1.clone());
        if known.as_ref().is_none_or(|known| known.contains(name)) || self.note(name, axis, key) {
            return Ok(());
        }
        let known: Vec<&str> = known.iter().flatten().map(String::as_str).collect();
        let remedy = match closest(name, &known) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("settings for a value are `{axis}.<value>.<key>`"),
        };
        Err(format!(
            "`{name}` is no value of `{axis}` in this experiment, which compares {}; {remedy}",
            known.join(", ")
        ))
    }

    /// Notes a name of an included table, which other experiments share, for the task to judge.
    fn note(&mut self, name: &str, axis: &str, key: &str) -> bool {
        let is_included = self.source.is_included(key);
        let unsure = Unsure { key: key.to_string(), axis: axis.to_string(), name: name.to_string() };
        if is_included && !self.unsure.contains(&unsure) {
            self.unsure.push(unsure);
        }
        is_included
    }

    /// What is wrong with an included table's name, for a task that knows `all` names or none.
    pub fn judge(
        unsure: &Unsure,
        all: Option<&[String]>,
        methods: &BTreeSet<String>,
    ) -> Result<(), SettingError> {
        let Unsure { key, axis, name } = unsure;
        match all {
            Some(all) if all.contains(name) => Ok(()),
            Some(all) => {
                let all: Vec<&str> = all.iter().map(String::as_str).collect();
                Err(SettingError::unknown_name(key, axis, name, &all))
            }
            None if axis == "method" => Err(SettingError::new(key, unknown_method(name, methods))),
            None => Ok(()),
        }
    }

    pub fn into_parts(self) -> (Vec<Unsure>, BTreeSet<String>) {
        (self.unsure, self.methods)
    }

    /// Checks that methods are named, and that each method's table belongs to one of them.
    pub fn check(&mut self, sections: &Sections) -> Result<(), SettingError> {
        if let Some(value) = sections.scientific.get("method") {
            let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            if items.is_empty() || !items.iter().all(Value::is_string) {
                let message =
                    format!("found {value}; write a name or a list of names, as in [\"lora\", \"delora\"]");
                return Err(SettingError::new("scientific.method", message));
            }
        }
        let tuned = sections.nuisance.get("method");
        if let Some(found) = tuned.filter(|value| !value.is_object()) {
            let message = format!(
                "found {found}; methods are compared under [scientific], and what is tuned for one stands under [nuisance.method.<name>]"
            );
            return Err(SettingError::new("nuisance.method", message));
        }
        let tuned = tuned.and_then(Value::as_object).into_iter().flatten();
        let named = sections.methods.iter().map(|(name, value)| ("method", name, value));
        for (section, name, value) in named.chain(tuned.map(|(name, value)| ("nuisance.method", name, value)))
        {
            let key = format!("{section}.{name}");
            self.check_method(name, &key).map_err(|message| SettingError::new(&key, message))?;
            if !value.is_object() {
                let message = format!("found {value}; settings of a method are a table, [{key}]");
                return Err(SettingError::new(key, message));
            }
        }
        Ok(())
    }
}

/// What a file names at a key of [scientific], at any scale or on the command line.
fn lists<'f>(file: &'f Table, given: &[(&str, &'f Value)], key: &str) -> Vec<&'f Value> {
    let outright = format!("scientific.{key}");
    let mut lists: Vec<&Value> =
        file.get("scientific").and_then(|table| table.get(key)).into_iter().collect();
    let scales = file.get("scale").and_then(Value::as_object);
    for scale in scales.into_iter().flat_map(Table::values) {
        // A table of this name holds settings for the values.
        lists.extend(scale.get(key).filter(|value| value.as_object().is_none_or(is_selection)));
        lists.extend(get_path(scale, &outright));
    }
    lists.extend(given.iter().filter(|(set, _)| *set == key || *set == outright).map(|(_, value)| *value));
    lists
        .into_iter()
        .flat_map(|value| value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice))
        .collect()
}

fn unknown_method(name: &str, methods: &BTreeSet<String>) -> String {
    let known: Vec<&str> = methods.iter().map(String::as_str).collect();
    let remedy = match closest(name, &known) {
        Some(close) => format!("did you mean `{close}`?"),
        None => "settings of a method are `method.<name>.<key>`".to_string(),
    };
    let compared = if known.is_empty() { "none".to_string() } else { known.join(", ") };
    format!("`{name}` is no method of this experiment, which compares {compared}; {remedy}")
}
