//! The sections of an experiment file while the scale's table and `--set` are put on top of them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::merge::{Table, get_path, is_selection, leaves, set_path};
use crate::settings::{SettingError, closest};

const HEADER: [&str; 9] =
    ["name", "question", "task", "paper", "metric", "direction", "seeds", "replicates", "figures"];
const SECTIONS: [&str; 5] = ["fixed", "scientific", "nuisance", "method", "scale"];

pub(crate) struct Layers {
    pub header: Table,
    pub fixed: Table,
    pub scientific: Table,
    pub nuisance: Table,
    /// Method name to the method's settings.
    pub methods: Table,
    known_methods: BTreeSet<String>,
}

type Checked<T = ()> = Result<T, SettingError>;

impl Layers {
    /// Sorts the top-level entries of a file; an unknown one is an error.
    pub fn split(file: &Table) -> Checked<Layers> {
        let known: Vec<&str> = HEADER.iter().chain(&SECTIONS).copied().collect();
        if let Some(key) = file.keys().find(|key| !known.contains(&key.as_str())) {
            let mut error = SettingError::unknown_key(key.as_str(), &known);
            let place = "settings of the trials belong under [fixed]";
            let is_short_form = known.iter().any(|name| name.starts_with(key.as_str()));
            if !error.message.contains("did you mean") {
                error.message = format!("unknown key; {place}");
            } else if !file[key].is_object() && !is_short_form {
                error.message += &format!(" {place}");
            }
            return Err(error);
        }
        let section = |key: &str| match file.get(key) {
            None => Ok(Table::new()),
            Some(Value::Object(table)) => Ok(table.clone()),
            Some(found) => {
                Err(SettingError::new(key, format!("found {found}; write it as a table, as in [{key}]")))
            }
        };
        let scales = section("scale")?;
        if let Some((name, found)) = scales.iter().find(|(_, value)| !value.is_object()) {
            let message = format!("found {found}; a scale is a table, as in [scale.{name}]");
            return Err(SettingError::new(format!("scale.{name}"), message));
        }
        let entries = file.iter().filter(|(key, _)| HEADER.contains(&key.as_str()));
        Ok(Layers {
            header: entries.map(|(key, value)| (key.clone(), value.clone())).collect(),
            fixed: section("fixed")?,
            scientific: section("scientific")?,
            nuisance: section("nuisance")?,
            methods: section("method")?,
            known_methods: BTreeSet::new(),
        })
    }

    /// Collects every method that the file compares at any scale, and those `given` on the command line.
    pub fn learn_methods<'a>(&mut self, file: &'a Table, given: impl Iterator<Item = &'a Value>) {
        let scales = file.get("scale").and_then(Value::as_object);
        let mut lists: Vec<&Value> =
            file.get("scientific").and_then(|table| table.get("method")).into_iter().collect();
        for scale in scales.into_iter().flat_map(Table::values) {
            lists.extend(scale.get("method"));
            lists.extend(get_path(scale, "scientific.method"));
        }
        for value in lists.into_iter().chain(given) {
            let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            self.known_methods.extend(items.iter().filter_map(|item| item.as_str().map(str::to_string)));
        }
    }

    /// Checks that methods are named, and that each method's table belongs to one of them.
    pub fn check_methods(&self) -> Checked {
        if let Some(value) = self.scientific.get("method") {
            let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            if items.is_empty() || !items.iter().all(Value::is_string) {
                let message =
                    format!("found {value}; write a name or a list of names, as in [\"lora\", \"delora\"]");
                return Err(SettingError::new("scientific.method", message));
            }
        }
        let tuned = self.nuisance.get("method");
        if let Some(found) = tuned.filter(|value| !value.is_object()) {
            let message = format!(
                "found {found}; methods are compared under [scientific], and what is tuned for one stands under [nuisance.method.<name>]"
            );
            return Err(SettingError::new("nuisance.method", message));
        }
        let tuned = tuned.and_then(Value::as_object).into_iter().flatten();
        let named = self.methods.iter().map(|(name, value)| ("method", name, value));
        for (section, name, value) in named.chain(tuned.map(|(name, value)| ("nuisance.method", name, value)))
        {
            self.method_known(name)
                .map_err(|message| SettingError::new(format!("{section}.{name}"), message))?;
            if !value.is_object() {
                let message = format!("found {value}; settings of a method are a table, [{section}.{name}]");
                return Err(SettingError::new(format!("{section}.{name}"), message));
            }
        }
        Ok(())
    }

    fn method_known(&self, name: &str) -> Result<(), String> {
        if self.known_methods.contains(name) {
            return Ok(());
        }
        let known: Vec<&str> = self.known_methods.iter().map(String::as_str).collect();
        let remedy = match closest(name, &known) {
            Some(close) => format!("did you mean `{close}`?"),
            None => "settings of a method are `method.<name>.<key>`".to_string(),
        };
        let compared = if known.is_empty() { "none".to_string() } else { known.join(", ") };
        Err(format!("`{name}` is no method of this experiment, which compares {compared}; {remedy}"))
    }

    /// Puts the table of a scale on top. A file without any scale is the same at every scale.
    pub fn apply_scale(&mut self, file: &Table, scale: &str) -> Checked {
        let Some(scales) = file.get("scale").and_then(Value::as_object) else { return Ok(()) };
        let names: Vec<&str> = scales.keys().map(String::as_str).collect();
        let Some(table) = scales.get(scale).and_then(Value::as_object) else {
            return Err(SettingError::unknown_name("scale", "scale", scale, &names));
        };
        for (path, value) in leaves(table) {
            let fail = |message| SettingError::new(format!("scale.{scale}.{}", path.join(".")), message);
            self.apply(&path, value.clone()).map_err(fail)?;
        }
        Ok(())
    }

    /// Sets one leaf in the section that it belongs to.
    pub fn apply(&mut self, path: &[&str], value: Value) -> Result<(), String> {
        match path {
            ["name" | "task" | "scale", ..] => {
                Err(format!("`{}` is the same at every scale and is not overridden", path[0]))
            }
            ["seed"] => Err("the runner takes `seed` from `seeds`; set that".to_string()),
            [key] if HEADER.contains(key) => {
                self.header.insert(key.to_string(), value);
                Ok(())
            }
            ["fixed", rest @ ..] if !rest.is_empty() => set(&mut self.fixed, rest, value),
            ["scientific", rest @ ..] if !rest.is_empty() => set(&mut self.scientific, rest, value),
            ["nuisance", "method", name, ..] => {
                self.method_known(name)?;
                set(&mut self.nuisance, &path[1..], value)
            }
            ["nuisance", rest @ ..] if !rest.is_empty() => set(&mut self.nuisance, rest, value),
            ["fixed" | "scientific" | "nuisance"] => Err(format!("found {value}; write `{}.<key>`", path[0])),
            ["method"] => set(&mut self.scientific, path, value),
            ["method", name, ..] => {
                self.method_known(name)?;
                if path.len() == 2 && !value.is_object() {
                    return Err(format!("found {value}; write `method.{name}.<key>`"));
                }
                set(&mut self.methods, &path[1..], value)
            }
            _ => self.route(path, value),
        }
    }

    /// Sets a leaf where the file has it, else beside its siblings, else in the fixed settings.
    fn route(&mut self, path: &[&str], value: Value) -> Result<(), String> {
        let root = &path[..1];
        let sections = [&mut self.scientific, &mut self.nuisance, &mut self.fixed];
        let exact = sections.iter().position(|section| holds(section, path));
        let beside = || sections.iter().position(|section| holds(section, root));
        let index = exact.or_else(beside).unwrap_or(2);
        let [scientific, nuisance, fixed] = sections;
        set([scientific, nuisance, fixed][index], path, value)
    }

    /// Checks what must hold once every layer is in place.
    pub fn check(&self) -> Checked {
        self.check_methods()?;
        for (name, section) in
            [("fixed", &self.fixed), ("scientific", &self.scientific), ("nuisance", &self.nuisance)]
        {
            if section.contains_key("seed") {
                return Err(SettingError::new(
                    format!("{name}.seed"),
                    "the runner takes `seed` from `seeds`; set that",
                ));
            }
        }
        if self.fixed.contains_key("method") {
            let message = "a method is compared even when it is the only one; move it to [scientific]";
            return Err(SettingError::new("fixed.method", message));
        }
        let twice = |section: &str, table: &Table, others: &[(&str, &Table)]| {
            for (path, _) in leaves(table) {
                if let Some((other, _)) =
                    others.iter().find(|(_, other)| path[0] != "method" && holds(other, &path))
                {
                    let message = format!("stands in [{other}] too; keep one of them");
                    return Err(SettingError::new(format!("{section}.{}", path.join(".")), message));
                }
            }
            Ok(())
        };
        twice("scientific", &self.scientific, &[("fixed", &self.fixed), ("nuisance", &self.nuisance)])?;
        twice("nuisance", &self.nuisance, &[("fixed", &self.fixed)])
    }
}

fn set(table: &mut Table, path: &[&str], value: Value) -> Result<(), String> {
    set_path(table, path, value);
    Ok(())
}

/// Whether `table` has a setting at `path`, or one above it that is a single value: a list, a scalar, a selection.
fn holds(table: &Table, path: &[&str]) -> bool {
    match table.get(path[0]) {
        None => false,
        Some(Value::Object(inner)) if path.len() > 1 && !is_selection(inner) => holds(inner, &path[1..]),
        Some(_) => true,
    }
}
