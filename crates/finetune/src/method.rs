//! A method as experiment files write it.

use std::collections::BTreeMap;

use delora_core::{Group, METHODS, MethodConfig, find_method};
use runner::{MethodText, SettingError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Learning rate by parameter group.
pub type Rates = BTreeMap<Group, f64>;

/// Every method, for the tables and figures of a run.
pub fn methods() -> Vec<MethodText> {
    let text = |method: &delora_core::Method| MethodText {
        name: method.about.name.to_owned(),
        title: method.about.title.to_owned(),
        formula: method.about.formula.to_owned(),
        parameters: method.about.groups.iter().map(Group::to_string).collect::<Vec<_>>().join(" "),
    };
    METHODS.iter().map(text).collect()
}

/// A method by name, its learning rates per parameter group, and its own settings.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct MethodSettings {
    pub name: String,
    #[serde(default)]
    pub learning_rate: Rates,
    #[serde(flatten)]
    pub settings: Map<String, Value>,
}

impl MethodSettings {
    /// As delora-core takes it.
    pub fn config(&self) -> MethodConfig {
        MethodConfig { name: self.name.clone(), settings: self.settings.clone() }
    }

    /// Refuses a name that is no method's and none of `rows`, and rates that are missing or belong to no group of the
    /// method or of `others`.
    pub fn check(&self, rows: &[&str], others: &[Group]) -> Result<(), SettingError> {
        let name = self.name.as_str();
        if rows.contains(&name) {
            return Ok(());
        }
        let Ok(method) = find_method(name) else {
            let known: Vec<&str> =
                METHODS.iter().map(|method| method.about.name).chain(rows.iter().copied()).collect();
            return Err(SettingError::unknown_name("method.name", "method", name, &known));
        };
        let groups = [method.about.groups, others].concat();
        for group in &groups {
            if !self.learning_rate.contains_key(group) {
                let message = format!("`{name}` trains {group}: set `method.{name}.learning_rate.{group}`");
                return Err(SettingError::new("method.learning_rate", message));
            }
        }
        if let Some(group) = self.learning_rate.keys().find(|group| !groups.contains(group)) {
            let message = format!("`{name}` has no parameters in this group; remove it");
            return Err(SettingError::new(format!("method.learning_rate.{group}"), message));
        }
        Ok(())
    }

    /// Refuses settings that the method has not, or that have another type.
    pub fn check_settings(&self) -> Result<(), SettingError> {
        let Ok(method) = find_method(&self.name) else { return Ok(()) };
        for (name, value) in &self.settings {
            let key = format!("method.{name}");
            if !method.setting_names().contains(&name.as_str()) {
                return Err(SettingError::unknown_key(key, method.setting_names()));
            }
            let alone = Map::from_iter([(name.clone(), value.clone())]);
            method.structure(&alone).map_err(|message| SettingError::new(key, message))?;
        }
        method.structure(&self.settings).map(drop).map_err(|message| SettingError::new("method", message))
    }
}

/// Refuses what is no positive number of an f32.
pub fn positive(key: &str, value: f64) -> Result<(), SettingError> {
    let held = value as f32;
    if held > 0.0 && held.is_finite() {
        return Ok(());
    }
    Err(SettingError::new(key, format!("found {value:?}; it has to be positive, and in the range of an f32")))
}

/// What to say of a limit beyond what is there, where the setting takes at most so many; `data` names what has `found`.
pub fn shortfall(key: &str, wanted: Option<usize>, found: usize, data: &str) -> Option<String> {
    let wanted = wanted.filter(|wanted| *wanted > found)?;
    Some(format!("{key} is {wanted}, and {data} has {found}: all of them are used"))
}

/// Refuses a limit beyond what is there; `data` names what has only `found`.
pub fn enough(key: &str, wanted: Option<usize>, found: usize, data: &str) -> Result<(), SettingError> {
    match wanted.filter(|wanted| *wanted > found) {
        Some(wanted) => {
            let message =
                format!("found {wanted}, and {data} has {found}; lower it, or leave it out for all");
            Err(SettingError::new(key, message))
        }
        None => Ok(()),
    }
}

/// Refuses 0 for a count.
pub fn at_least_one(key: &str, value: usize) -> Result<(), SettingError> {
    at_least(key, value, 1)
}

/// Refuses what is below `least`.
pub fn at_least(key: &str, value: usize, least: usize) -> Result<(), SettingError> {
    if value >= least {
        return Ok(());
    }
    Err(SettingError::new(key, format!("found {value}; it has to be at least {least}")))
}

/// Refuses what is no share of less than all.
pub fn below_one(key: &str, value: f64) -> Result<(), SettingError> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(SettingError::new(key, format!("found {value}; it has to be at least 0 and below 1")))
}
