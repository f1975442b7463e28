//! Config files and other JSON beside weights.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::WeightsError;
use crate::config::{self, Config};

/// Parses a network's config file, of which no key is skipped that may change results; see [`Config`].
///
/// Errors: it cannot be read, a key or a value is not supported, or it is of another network, which is then named.
pub fn read_config<C: Config>(path: &Path) -> Result<C, WeightsError> {
    let file: Value = read_json(path)?;
    config::parse_json(&file).map_err(|source| {
        let of = class_of(&file).map(|class| format!("; it is of a network of the class `{class}`"));
        WeightsError::Config { path: path.to_owned(), source, of: of.unwrap_or_default() }
    })
}

/// Parses a JSON file that is no network's config, or is looked at before it is read as one.
///
/// Errors: it cannot be read, or is something else, which is then named.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, WeightsError> {
    let bytes =
        crate::inputs::read(path).map_err(|source| WeightsError::Read { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes).map_err(|source| match ::stored::foreign(&bytes) {
        Some(what) => WeightsError::Foreign { path: path.to_owned(), problem: format!("is {what}") },
        None => WeightsError::Config { path: path.to_owned(), source, of: String::new() },
    })
}

/// The class of the network that a `config.json` is of, as diffusers or transformers write it.
pub fn class_of(config: &Value) -> Option<String> {
    let class =
        [&config["_class_name"], &config["architectures"][0]].into_iter().find_map(|key| key.as_str());
    class.map(str::to_owned)
}
