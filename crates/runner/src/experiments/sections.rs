//! The four sections of settings that a grid is made of, and how a leaf finds its section.

use serde_json::Value;

use crate::settings::{SettingError, Table, is_selection, leaves, set_path};

/// Settings of the trials, by what is done with their lists.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sections {
    pub fixed: Table,
    pub scientific: Table,
    pub nuisance: Table,
    /// Method name to the method's settings.
    pub methods: Table,
}

impl Sections {
    /// Sets one leaf in the section that it belongs to; the path is spelled as in a scale's table.
    pub fn set(&mut self, path: &[&str], value: Value) -> Result<(), String> {
        match path {
            ["seed"] => return Err("the runner takes `seed` from `seeds`; set that".to_string()),
            ["fixed", rest @ ..] if !rest.is_empty() => set_path(&mut self.fixed, rest, value),
            ["scientific", rest @ ..] if !rest.is_empty() => set_path(&mut self.scientific, rest, value),
            ["nuisance", rest @ ..] if !rest.is_empty() => set_path(&mut self.nuisance, rest, value),
            ["fixed" | "scientific" | "nuisance"] => {
                return Err(format!("found {value}; write `{}.<key>`", path[0]));
            }
            ["method"] => set_path(&mut self.scientific, path, value),
            ["method", name] if !value.is_object() => {
                return Err(format!("found {value}; write `method.{name}.<key>`"));
            }
            ["method", rest @ ..] => set_path(&mut self.methods, rest, value),
            _ => self.route(path, value),
        }
        Ok(())
    }

    /// Sets one leaf for some trials only. A setting of a method that is tuned is set where it is tuned; for any
    /// other this is [`Sections::set`].
    pub fn set_scoped(&mut self, path: &[&str], value: Value) -> Result<(), String> {
        if path[0] == "method" && path.len() > 2 && holds(&self.nuisance, path) {
            set_path(&mut self.nuisance, path, value);
            return Ok(());
        }
        self.set(path, value)
    }

    /// Sets a leaf where the file has it, else beside its siblings, else in the fixed settings.
    fn route(&mut self, path: &[&str], value: Value) {
        let root = &path[..1];
        let sections = [&mut self.scientific, &mut self.nuisance, &mut self.fixed];
        let exact = sections.iter().position(|section| holds(section, path));
        let beside = || sections.iter().position(|section| holds(section, root));
        let index = exact.or_else(beside).unwrap_or(2);
        let [scientific, nuisance, fixed] = sections;
        set_path([scientific, nuisance, fixed][index], path, value);
    }

    /// Checks what must hold once every layer is in place.
    pub fn check(&self) -> Result<(), SettingError> {
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

    /// The settings of a method in `[method.<name>]` or, with `tuned`, in `[nuisance.method.<name>]`.
    pub fn of_method(&self, name: &str, tuned: bool) -> Table {
        let tables =
            if tuned { self.nuisance.get("method").and_then(Value::as_object) } else { Some(&self.methods) };
        tables.and_then(|tables| tables.get(name)).and_then(Value::as_object).cloned().unwrap_or_default()
    }
}

/// Whether `table` has a setting at `path`, or one above it that is a single value: a list, a scalar, a selection.
fn holds(table: &Table, path: &[&str]) -> bool {
    match table.get(path[0]) {
        None => false,
        Some(Value::Object(inner)) if path.len() > 1 && !is_selection(inner) => holds(inner, &path[1..]),
        Some(_) => true,
    }
}
