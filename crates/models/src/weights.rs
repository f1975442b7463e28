//! Reading and writing weights (`.safetensors`) and `config.json`, strictly.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;
use tch::{Device, Kind, Tensor, nn};

/// What can be wrong with a folder of weights.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    #[error("{path}: cannot be read: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: cannot be written: {source}", path = path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{path}: not the expected configuration: {source}", path = path.display())]
    Config { path: PathBuf, source: serde_json::Error },
    #[error("{path}: not a whole safetensors file ({source}); fetch or copy it again", path = path.display())]
    Damaged { path: PathBuf, source: safetensors::SafeTensorError },
    #[error("{path}: tensor `{name}` is missing, and {more} more; the file is of another model or version", path = path.display())]
    Missing { path: PathBuf, name: String, more: usize },
    #[error("{path}: tensor `{name}` is not part of this model, and {more} more; the file is of another model or version", path = path.display())]
    Unexpected { path: PathBuf, name: String, more: usize },
    #[error("{path}: tensor `{name}` has shape {found:?}, the configuration asks for {expected:?}", path = path.display())]
    Shape { path: PathBuf, name: String, found: Vec<i64>, expected: Vec<i64> },
    #[error("{path}: tensor `{name}` is stored as {found:?}; supported are F64, F32, F16 and BF16", path = path.display())]
    Kind { path: PathBuf, name: String, found: Dtype },
}

/// Buffers that some checkpoints carry and no network here needs.
const IGNORED: [&str; 2] = ["position_ids", "rotary_emb.inv_freq"];

/// Endings that early BERT files use for a parameter, and ours.
const RENAMED: [(&str, &str); 2] =
    [("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")];

/// Parses a `config.json`; keys that decide no shape are ignored.
pub fn read_config<T: DeserializeOwned>(path: &Path) -> Result<T, WeightsError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| WeightsError::Read { path: path.to_owned(), source })?;
    serde_json::from_str(&text).map_err(|source| WeightsError::Config { path: path.to_owned(), source })
}

/// Fills every variable of `store` from the file at `path`, keeping the variables' own kind and device.
///
/// Errors: a file that is unreadable or cut short; a variable without a tensor, a tensor without a variable, a
/// tensor of another shape. Nothing is changed unless everything fits.
pub fn load_weights(store: &nn::VarStore, path: &Path) -> Result<(), WeightsError> {
    load_weights_beside(store, path, Beside::default())
}

/// How a file may differ from the network that is read from it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Beside<'a> {
    /// Starts of names that belong to other models, e.g. `lm_head.`: such a tensor needs no variable.
    pub foreign: &'a [&'a str],
    /// Starts of our names that a file may leave out, in all of them.
    pub prefixes: &'a [&'a str],
}

/// As [`load_weights`], from a file that is not the network's alone.
pub(crate) fn load_weights_beside(
    store: &nn::VarStore,
    path: &Path,
    Beside { foreign, prefixes }: Beside,
) -> Result<(), WeightsError> {
    let owned = || path.to_owned();
    let bytes = std::fs::read(path).map_err(|source| WeightsError::Read { path: owned(), source })?;
    let file =
        SafeTensors::deserialize(&bytes).map_err(|source| WeightsError::Damaged { path: owned(), source })?;
    let variables: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
    // Name in the file of each tensor, by name in the model.
    let has = |prefix: &str| file.names().iter().any(|name| name.starts_with(prefix));
    let left_out = prefixes
        .iter()
        .find(|prefix| variables.keys().any(|name| name.starts_with(**prefix)) && !has(prefix))
        .unwrap_or(&"");
    let in_model = |stored| (format!("{left_out}{}", name_in_model(stored, &file)), stored);
    let found: BTreeMap<String, &str> = file.names().into_iter().map(in_model).collect();
    let mut missing = variables.keys().filter(|name| !found.contains_key(*name));
    if let Some(name) = missing.next() {
        return Err(WeightsError::Missing { path: owned(), name: name.clone(), more: missing.count() });
    }
    let is_unexpected = |name: &str| {
        !variables.contains_key(name)
            && !is_ignored(name)
            && !foreign.iter().any(|prefix| name.starts_with(prefix))
    };
    let mut unexpected = found.iter().filter(|(name, _)| is_unexpected(name)).map(|(_, &stored)| stored);
    if let Some(name) = unexpected.next() {
        return Err(WeightsError::Unexpected {
            path: owned(),
            name: name.to_string(),
            more: unexpected.count(),
        });
    }
    let mut pairs = Vec::with_capacity(variables.len());
    for (name, variable) in variables {
        let view =
            file.tensor(found[&name]).map_err(|source| WeightsError::Damaged { path: owned(), source })?;
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        if shape != variable.size() {
            return Err(WeightsError::Shape { path: owned(), name, found: shape, expected: variable.size() });
        }
        let kind = kind_of(view.dtype()).ok_or_else(|| WeightsError::Kind {
            path: owned(),
            name: name.clone(),
            found: view.dtype(),
        })?;
        pairs.push((variable, Tensor::from_data_size(view.data(), &shape, kind)));
    }
    tch::no_grad(|| pairs.into_iter().for_each(|(mut variable, tensor)| variable.copy_(&tensor)));
    Ok(())
}

/// Our name for the tensor that `file` calls `stored`. A file with both names keeps both, so that none is lost.
fn name_in_model(stored: &str, file: &SafeTensors) -> String {
    let renamed = RENAMED
        .iter()
        .find_map(|(old, new)| stored.strip_suffix(old).map(|layer| format!("{layer}{new}")))
        .filter(|name| file.tensor(name).is_err());
    renamed.unwrap_or_else(|| stored.to_string())
}

fn is_ignored(name: &str) -> bool {
    IGNORED.iter().any(|suffix| name.ends_with(suffix))
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    match dtype {
        Dtype::F64 => Some(Kind::Double),
        Dtype::F32 => Some(Kind::Float),
        Dtype::F16 => Some(Kind::Half),
        Dtype::BF16 => Some(Kind::BFloat16),
        _ => None,
    }
}

/// Writes named tensors in `kind` to `path`, whole or not at all.
pub fn save_weights(tensors: &[(String, Tensor)], kind: Kind, path: &Path) -> Result<(), WeightsError> {
    let failed = |source| WeightsError::Write { path: path.to_owned(), source };
    let partial = path.with_extension("partial");
    let tensors: Vec<(&str, Tensor)> = tensors
        .iter()
        .map(|(name, tensor)| {
            (name.as_str(), tensor.detach().to_device(Device::Cpu).to_kind(kind).contiguous())
        })
        .collect();
    Tensor::write_safetensors(&tensors, &partial).map_err(|source| failed(std::io::Error::other(source)))?;
    std::fs::rename(&partial, path).map_err(failed)
}
