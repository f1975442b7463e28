//! The layers of settings: the file's, the scale's and those of `--set`, each with tables for some trials only.
//!
//! Within a layer a later line wins, leaf by leaf:
//!
//! ```text
//! general settings  <-  of a method  <-  of a compared setting's value  <-  of such a value and a method
//! ```

use std::path::Path;

use serde_json::Value;

use crate::experiments::names::Names;
use crate::experiments::sections::Sections;
use crate::settings::{SELECTION, SettingError, Source, Table, leaves, set_path};

/// Keys of an experiment file that are no settings of its trials.
pub(crate) const HEADER: [&str; 13] = [
    "name",
    "question",
    "task",
    "paper",
    "metric",
    "direction",
    "seeds",
    "replicates",
    "figures",
    "include",
    "defaults_by",
    "tuning",
    "confirm",
];
const SECTIONS: [&str; 5] = ["fixed", "scientific", "nuisance", "method", "scale"];
/// Header keys that hold for the file as a whole.
const EVERYWHERE: [&str; 4] = ["name", "task", "include", "defaults_by"];

type Checked<T = ()> = Result<T, SettingError>;

/// A setting for trials whose settings include all of `scope`: values of compared settings, and the method last.
#[derive(Clone, Debug)]
struct ScopedSetting {
    scope: Vec<(String, String)>,
    path: Vec<String>,
    value: Value,
}

/// What one layer puts on top of those below it.
#[derive(Clone, Debug, Default)]
struct Layer {
    general: Vec<(Vec<String>, Value)>,
    /// In the order in which they apply.
    scoped: Vec<ScopedSetting>,
}

/// The settings of an experiment for each of its trials.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stack {
    file: Sections,
    layers: [Layer; 3],
}

impl Stack {
    /// The settings of trials with these values of the settings named in `defaults_by`, and of their method.
    pub fn sections(&self, values: &[(String, String)], method: Option<&str>) -> Checked<Sections> {
        let mut sections = self.file.clone();
        let has = |(axis, name): &(String, String)| {
            if axis == "method" {
                method == Some(name)
            } else {
                values.iter().any(|known| (&known.0, &known.1) == (axis, name))
            }
        };
        for layer in &self.layers {
            for (path, value) in &layer.general {
                put(Sections::set, &mut sections, path, value)?;
            }
            for setting in layer.scoped.iter().filter(|setting| setting.scope.iter().all(has)) {
                put(Sections::set_scoped, &mut sections, &setting.path, &setting.value)?;
            }
        }
        sections.check()?;
        Ok(sections)
    }
}

type Set = fn(&mut Sections, &[&str], Value) -> Result<(), String>;

fn put(set: Set, sections: &mut Sections, path: &[String], value: &Value) -> Checked {
    let keys: Vec<&str> = path.iter().map(String::as_str).collect();
    set(sections, &keys, value.clone()).map_err(|message| SettingError::new(path.join("."), message))
}

/// Which layer a setting is put into.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Level {
    File,
    Scale,
    Option,
}

pub(crate) struct Layers<'a> {
    pub header: Table,
    /// The settings of every trial, of all layers that are in place.
    pub sections: Sections,
    pub stack: Stack,
    pub names: Names<'a>,
}

impl<'a> Layers<'a> {
    /// Sorts the top-level entries of a file; an unknown one is an error.
    ///
    /// `given` are the values of compared settings that options name.
    pub fn split(file: &Table, source: &'a Source, given: &[(&str, &Value)]) -> Checked<Layers<'a>> {
        let axes = tables_of(file)?;
        check_keys(file, source.path(), &axes)?;
        let scales = section(file, "scale")?;
        if let Some((name, found)) = scales.iter().find(|(_, value)| !value.is_object()) {
            let message = format!("found {found}; a scale is a table, as in [scale.{name}]");
            return Err(SettingError::new(format!("scale.{name}"), message));
        }
        let sections = Sections {
            fixed: section(file, "fixed")?,
            scientific: section(file, "scientific")?,
            nuisance: section(file, "nuisance")?,
            methods: section(file, "method")?,
        };
        let mut names = Names::new(source, &axes);
        names.learn(file, given);
        names.check(&sections)?;
        let header = file.iter().filter(|(key, _)| HEADER.contains(&key.as_str()));
        let header = header.map(|(key, value)| (key.clone(), value.clone())).collect();
        let mut layers = Layers { header, sections, stack: Stack::default(), names };
        layers.take_plain_settings_of_methods()?;
        layers.stack.file = layers.sections.clone();
        for axis in &axes {
            for (path, value) in leaves(&section(file, axis)?) {
                let path = [&[axis.as_str()], &path[..]].concat();
                layers.apply_at(Level::File, "", &path, value)?;
            }
        }
        Ok(layers)
    }

    /// `[method.<name>.fixed]` of the file, as settings of the file's own layer.
    fn take_plain_settings_of_methods(&mut self) -> Checked {
        let methods = self.sections.methods.iter_mut();
        let taken: Vec<(String, Value)> = methods
            .filter_map(|(name, table)| Some((name.clone(), table.as_object_mut()?.remove("fixed")?)))
            .collect();
        for (name, table) in taken {
            if !table.is_object() {
                let key = format!("method.{name}.fixed");
                return Err(SettingError::new(
                    &key,
                    format!("found {table}; write it as a table, as in [{key}]"),
                ));
            }
            let table = Table::from_iter([("fixed".to_string(), table)]);
            for (path, value) in leaves(&table) {
                self.push(Level::File, vec![("method".to_string(), name.clone())], &path, value);
            }
        }
        Ok(())
    }

    /// Puts the table of a scale on top. A file without any scale is the same at every scale.
    pub fn apply_scale(&mut self, file: &Table, scale: &str) -> Checked {
        let Some(scales) = file.get("scale").and_then(Value::as_object) else { return Ok(()) };
        let names: Vec<&str> = scales.keys().map(String::as_str).collect();
        let Some(table) = scales.get(scale).and_then(Value::as_object) else {
            return Err(SettingError::unknown_name("scale", "scale", scale, &names));
        };
        let prefix = format!("scale.{scale}.");
        leaves(table)
            .into_iter()
            .try_for_each(|(path, value)| self.apply_at(Level::Scale, &prefix, &path, value))
    }

    fn apply_at(&mut self, level: Level, prefix: &str, path: &[&str], value: &Value) -> Checked {
        if let [axis, name, ..] = path
            && self.names.has_tables(axis)
            && !SELECTION.contains(name)
        {
            let table = format!("{prefix}{axis}.{name}");
            self.names
                .check_value(axis, name, &table)
                .map_err(|message| SettingError::new(table, message))?;
        }
        let fail = |message| SettingError::new(format!("{prefix}{}", path.join(".")), message);
        self.apply(level, prefix, path, value).map_err(fail)
    }

    /// Puts one leaf on top, for all trials or for those that its path names; `prefix` is what stands before the path
    /// in the file.
    pub fn apply(&mut self, level: Level, prefix: &str, path: &[&str], value: &Value) -> Result<(), String> {
        match path {
            [key, ..] if EVERYWHERE.contains(key) || *key == "scale" => {
                Err(format!("`{key}` is the same at every scale and is not overridden"))
            }
            [_] | ["tuning" | "confirm", ..] if HEADER.contains(&path[0]) => {
                set_path(&mut self.header, path, value.clone());
                Ok(())
            }
            [axis, name, rest @ ..] if self.names.has_tables(axis) && !SELECTION.contains(name) => {
                self.names.check_value(axis, name, &format!("{prefix}{axis}.{name}"))?;
                self.apply_of_value(level, prefix, (axis, name), rest, value)
            }
            _ => {
                self.check_method(prefix, path)?;
                if let Some((name, plain)) = plain_setting_of_method(path) {
                    let mut trial = self.sections.clone();
                    trial.set_scoped(plain, value.clone())?;
                    self.push(level, vec![("method".to_string(), name.to_string())], plain, value);
                    return Ok(());
                }
                self.sections.set(path, value.clone())?;
                let path = path.iter().map(|key| key.to_string()).collect();
                self.stack.layers[level as usize].general.push((path, value.clone()));
                Ok(())
            }
        }
    }

    /// Puts a leaf of the table of a value on top, for the trials that have the value.
    fn apply_of_value(
        &mut self,
        level: Level,
        prefix: &str,
        (axis, name): (&str, &str),
        path: &[&str],
        value: &Value,
    ) -> Result<(), String> {
        if path.is_empty() || path == ["method"] || path == ["nuisance"] {
            let Some(table) = value.as_object() else {
                let table = [&[axis, name], path].concat().join(".");
                return Err(format!("found {value}; settings for a value are a table, as in [{table}]"));
            };
            return leaves(table).into_iter().try_for_each(|(below, leaf)| {
                self.apply_of_value(level, prefix, (axis, name), &[path, &below].concat(), leaf)
            });
        }
        if HEADER.contains(&path[0]) || path[0] == "scientific" || self.names.has_tables(path[0]) {
            return Err(format!("`{}` is the same for every value of `{axis}`", path[0]));
        }
        self.check_method(&format!("{prefix}{axis}.{name}."), path)?;
        let mut scope = vec![(axis.to_string(), name.to_string())];
        let mut path = path;
        if let Some((method, plain)) = plain_setting_of_method(path) {
            scope.push(("method".to_string(), method.to_string()));
            path = plain;
        }
        // What one trial's settings do not take, none does.
        let mut trial = self.sections.clone();
        trial.set_scoped(path, value.clone())?;
        self.push(level, scope, path, value);
        Ok(())
    }

    fn check_method(&mut self, prefix: &str, path: &[&str]) -> Result<(), String> {
        match path {
            ["method", name, ..] => self.names.check_method(name, &format!("{prefix}method.{name}")),
            ["nuisance", "method", name, ..] => {
                self.names.check_method(name, &format!("{prefix}nuisance.method.{name}"))
            }
            _ => Ok(()),
        }
    }

    fn push(&mut self, level: Level, scope: Vec<(String, String)>, path: &[&str], value: &Value) {
        let path = path.iter().map(|key| key.to_string()).collect();
        let scoped = &mut self.stack.layers[level as usize].scoped;
        scoped.push(ScopedSetting { scope, path, value: value.clone() });
        scoped.sort_by_key(|setting| {
            let axis = setting.scope.iter().rev().find_map(|(axis, _)| self.names.rank(axis));
            (axis, setting.scope.last().is_some_and(|(axis, _)| axis == "method"))
        });
    }

    /// Checks what must hold once every layer is in place.
    pub fn check(&mut self) -> Checked {
        self.names.check(&self.sections)?;
        self.sections.check()
    }
}

/// The method of a path such as `method.<name>.fixed.<key>`, and the path of the setting that is not the method's own.
fn plain_setting_of_method<'p>(path: &'p [&'p str]) -> Option<(&'p str, &'p [&'p str])> {
    match path {
        ["method", name, "fixed", _, ..] => Some((name, &path[2..])),
        _ => None,
    }
}

/// The compared settings that have tables for their values; what is no list of names is left to the header.
fn tables_of(file: &Table) -> Checked<Vec<String>> {
    let names = file.get("defaults_by").and_then(Value::as_array).into_iter().flatten();
    let axes: Vec<String> = names.filter_map(Value::as_str).map(String::from).collect();
    let has_tables = |axis: &&String| HEADER.contains(&axis.as_str()) || SECTIONS.contains(&axis.as_str());
    if let Some(axis) = axes.iter().find(has_tables) {
        let message = format!("`{axis}` has its own tables; name a setting of [scientific]");
        return Err(SettingError::new("defaults_by", message));
    }
    let compared = section(file, "scientific")?;
    match axes.iter().find(|axis| !compared.contains_key(*axis)) {
        None => Ok(axes),
        Some(axis) => {
            let known: Vec<&str> = compared.keys().map(String::as_str).collect();
            Err(SettingError::unknown_name("defaults_by", "compared setting", axis, &known))
        }
    }
}

/// `path` is of the experiment file: tables of values may stand in what it includes, `defaults_by` may not.
fn check_keys(file: &Table, path: &Path, axes: &[String]) -> Checked {
    let axes = axes.iter().map(String::as_str);
    let known: Vec<&str> = HEADER.into_iter().chain(SECTIONS).chain(axes).collect();
    let Some(key) = file.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
    let compared = file.get("scientific").and_then(|table| table.get(key));
    if compared.is_some() && file[key].is_object() {
        let place = if file.contains_key("defaults_by") { "defaults_by" } else { key };
        let path = path.display();
        let message = format!(
            "for tables of the values of `{key}` write `defaults_by = [{key:?}]` at the top of {path}"
        );
        return Err(SettingError::new(place, message));
    }
    let mut error = SettingError::unknown_key(key.as_str(), &known);
    let place = "settings of the trials belong under [fixed]";
    let is_short_form = known.iter().any(|name| name.starts_with(key.as_str()));
    if !error.message.contains("did you mean") {
        error.message = format!("unknown key; {place}");
    } else if !file[key].is_object() && !is_short_form {
        error.message += &format!(" {place}");
    }
    Err(error)
}

fn section(file: &Table, key: &str) -> Checked<Table> {
    match file.get(key) {
        None => Ok(Table::new()),
        Some(Value::Object(table)) => Ok(table.clone()),
        Some(found) => {
            Err(SettingError::new(key, format!("found {found}; write it as a table, as in [{key}]")))
        }
    }
}
