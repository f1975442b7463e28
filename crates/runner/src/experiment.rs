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

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Result, RunnerError, mistake};
use crate::layers::Layers;
use crate::merge::{Table, from_toml};
use crate::settings::{SettingError, settings};
use crate::source::Source;
use crate::words::of_syntax;

/// Whether a larger or a smaller metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Maximize,
    Minimize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    name: String,
    question: String,
    task: String,
    #[serde(default)]
    paper: Vec<String>,
    metric: String,
    direction: Direction,
    #[serde(default = "one_seed")]
    seeds: Vec<u64>,
    #[serde(default = "only_seed")]
    replicates: Vec<String>,
    #[serde(default)]
    figures: Vec<String>,
}

fn one_seed() -> Vec<u64> {
    vec![0]
}

fn only_seed() -> Vec<String> {
    vec!["seed".to_string()]
}

/// One question: what is compared, what is tuned, what is fixed, at one scale.
#[derive(Clone, Debug)]
pub struct Experiment {
    pub name: String,
    pub question: String,
    pub task: String,
    /// Figures and tables of the paper that this reproduces.
    pub paper: Vec<String>,
    /// Name of the metric that answers the question.
    pub metric: String,
    pub direction: Direction,
    /// Axes that repeat a compared point, over which `summary.csv` averages.
    pub replicates: Vec<String>,
    /// Tables and figures to draw from the results, by name.
    pub figures: Vec<String>,
    pub scale: String,
    pub seeds: Vec<u64>,
    pub(crate) fixed: Table,
    pub(crate) scientific: Table,
    pub(crate) nuisance: Table,
    /// Method name to the method's settings.
    pub(crate) methods: Table,
    pub(crate) source: Source,
}

impl Experiment {
    /// Reads an experiment at a scale, with `--set` overrides of the form `key=value`.
    ///
    /// A value is TOML where it parses as TOML, a list where it has commas, else a string.
    pub fn load(path: &Path, scale: &str, sets: &[String]) -> Result<Experiment> {
        let text = std::fs::read_to_string(path).map_err(RunnerError::read(path))?;
        Experiment::parse(path, &text, scale, sets)
    }

    /// As [`Experiment::load`], with the text of the file; `path` is for messages.
    pub fn parse(path: &Path, text: &str, scale: &str, sets: &[String]) -> Result<Experiment> {
        let mut source = Source::new(path, text)?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| RunnerError::Syntax {
            place: path.display().to_string(),
            message: of_syntax(error.message()),
        })?;
        let file = from_toml(toml::Value::Table(table), "")
            .map_err(|(key, message)| RunnerError::setting(source.place(&key), &key, &message))?;
        let Value::Object(file) = file else { unreachable!("a TOML document is a table") };
        let mut layers = Layers::split(&file).map_err(|error| written(&source, &error))?;
        let overrides = sets.iter().map(|set| parse_set(set)).collect::<Result<Vec<_>>>()?;
        for (key, written, _) in &overrides {
            source.add_set(key, written);
        }
        let given = overrides.iter().filter(|(key, ..)| key == "method" || key == "scientific.method");
        layers.learn_methods(&file, given.map(|(_, _, value)| value));
        layers.check_methods().map_err(|error| written(&source, &error))?;
        layers.apply_scale(&file, scale).map_err(|error| written(&source, &error))?;
        for (key, text, value) in &overrides {
            let path: Vec<&str> = key.split('.').collect();
            let applied = layers.apply(&path, value.clone());
            applied.map_err(|message| RunnerError::setting(format!("--set {key}={text}"), key, &message))?;
        }
        layers.check().map_err(|error| written(&source, &error))?;
        Experiment::assemble(layers, scale, source)
    }

    fn assemble(layers: Layers, scale: &str, source: Source) -> Result<Experiment> {
        let fail = |error: &SettingError| {
            let (place, key) = source.find(&error.key, None, scale);
            RunnerError::setting(place, &key, &error.message)
        };
        let header: Header = settings(&Value::Object(layers.header)).map_err(|error| fail(&error))?;
        for (key, name) in [("name", header.name.as_str()), ("scale", scale)] {
            let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if name.is_empty() || !name.chars().all(safe) {
                let message = format!("found {name:?}; it names a folder: letters, digits, `-` and `_`");
                return Err(fail(&SettingError::new(key, message)));
            }
        }
        if header.seeds.is_empty() {
            return Err(fail(&SettingError::new(
                "seeds",
                "found no seed; name at least one, as in `seeds = [0]`",
            )));
        }
        let axes: Vec<&str> = layers.scientific.keys().map(String::as_str).chain(["seed"]).collect();
        if let Some(name) = header.replicates.iter().find(|name| !axes.contains(&name.as_str())) {
            return Err(fail(&SettingError::unknown_name("replicates", "axis", name, &axes)));
        }
        Ok(Experiment {
            name: header.name,
            question: header.question,
            task: header.task,
            paper: header.paper,
            metric: header.metric,
            direction: header.direction,
            replicates: header.replicates,
            figures: header.figures,
            scale: scale.to_string(),
            seeds: header.seeds,
            fixed: layers.fixed,
            scientific: layers.scientific,
            nuisance: layers.nuisance,
            methods: layers.methods,
            source,
        })
    }

    /// File that the experiment was read from.
    pub fn path(&self) -> &Path {
        self.source.path()
    }

    /// The error of the setting at `error.key` of a resolved config, with its place in the file.
    pub(crate) fn located(&self, error: &SettingError, method: Option<&str>) -> String {
        let (place, key) = self.source.find(&error.key, method, &self.scale);
        mistake(place, &key, &error.message)
    }
}

/// The error of a key spelled as in the file.
fn written(source: &Source, error: &SettingError) -> RunnerError {
    RunnerError::setting(source.place(&error.key), &error.key, &error.message)
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
    let value = if key == "seeds" && value.is_u64() { Value::Array(vec![value]) } else { value };
    Ok((key.to_string(), written.to_string(), value))
}

fn toml_value(text: &str) -> Option<toml::Value> {
    let mut table: toml::Table = format!("value = {text}").parse().ok()?;
    (table.len() == 1).then(|| table.remove("value")).flatten()
}
