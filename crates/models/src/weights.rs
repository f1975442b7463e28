//! Reading and writing weights (`.safetensors`) and `config.json`, strictly.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
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
    #[error("{index}: lists the shard `{name}`, which is not beside it; fetch or copy it, it may not have been finished", index = index.display())]
    Shard { index: PathBuf, name: String },
    #[error("{path}: tensor `{name}` has shape {found:?}, the configuration asks for {expected:?}", path = path.display())]
    Shape { path: PathBuf, name: String, found: Vec<i64>, expected: Vec<i64> },
    #[error("{path}: tensor `{name}` is stored as {found:?}; supported are F64, F32, F16 and BF16", path = path.display())]
    Kind { path: PathBuf, name: String, found: Dtype },
}

/// Buffers that some checkpoints carry and no network here needs.
const IGNORED: [&str; 6] = [
    "position_ids",
    "rotary_emb.inv_freq",
    "num_batches_tracked",
    "_tmp_running_mean",
    "_tmp_running_var",
    "_running_iter",
];

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

/// The files that hold the weights at `path`: itself, or its index and the shards that this lists.
pub fn weight_files(path: &Path) -> Result<Vec<PathBuf>, WeightsError> {
    let Files { whole, files } = Files::open(path)?;
    let index = (whole != path).then_some(whole);
    Ok(index.into_iter().chain(files.into_iter().map(|(path, _)| path)).collect())
}

/// Weights of one network in one file or several, mapped into memory: a tensor is read when it is copied.
struct Files {
    /// What errors name that are about all files.
    whole: PathBuf,
    files: Vec<(PathBuf, Mmap)>,
}

impl Files {
    /// `path`, or the shards that `<path>.index.json` lists where that is there.
    fn open(path: &Path) -> Result<Files, WeightsError> {
        let index = path.with_extension("safetensors.index.json");
        if path.is_file() || !index.is_file() {
            return Ok(Files { whole: path.to_owned(), files: vec![(path.to_owned(), map(path)?)] });
        }
        let ShardIndex { weight_map } = read_config(&index)?;
        let names: BTreeSet<String> = weight_map.into_values().collect();
        let shard = |name: String| {
            let path = index.with_file_name(&name);
            if path.is_file() {
                map(&path).map(|bytes| (path, bytes))
            } else {
                Err(WeightsError::Shard { index: index.clone(), name })
            }
        };
        let files = names.into_iter().map(shard).collect::<Result<_, _>>()?;
        Ok(Files { whole: index.clone(), files })
    }

    fn parsed(&self) -> Result<Vec<(&Path, SafeTensors<'_>)>, WeightsError> {
        self.files
            .iter()
            .map(|(path, bytes)| match SafeTensors::deserialize(bytes) {
                Ok(file) => Ok((path.as_path(), file)),
                Err(source) => Err(WeightsError::Damaged { path: path.clone(), source }),
            })
            .collect()
    }
}

/// The part of a shard index that is read.
#[derive(Deserialize)]
struct ShardIndex {
    /// File of each tensor.
    weight_map: BTreeMap<String, String>,
}

#[expect(
    unsafe_code,
    reason = "a mapped file must not shrink while it is read, as with any reader of weights"
)]
fn map(path: &Path) -> Result<Mmap, WeightsError> {
    let failed = |source| WeightsError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    // SAFETY: weights are written whole, by renaming, so nobody changes the file under the map.
    unsafe { Mmap::map(&file) }.map_err(failed)
}

/// As [`load_weights`], from a file that is not the network's alone.
pub(crate) fn load_weights_beside(
    store: &nn::VarStore,
    path: &Path,
    Beside { foreign, prefixes }: Beside,
) -> Result<(), WeightsError> {
    let opened = Files::open(path)?;
    let (owned, files) = (|| opened.whole.clone(), opened.parsed()?);
    let variables: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
    // Place in the files of each tensor, by name in the model.
    let has =
        |prefix: &str| files.iter().any(|(_, file)| file.names().iter().any(|name| name.starts_with(prefix)));
    let left_out = prefixes
        .iter()
        .find(|prefix| variables.keys().any(|name| name.starts_with(**prefix)) && !has(prefix))
        .unwrap_or(&"");
    let mut found: BTreeMap<String, (usize, &str)> = BTreeMap::new();
    for (index, (_, file)) in files.iter().enumerate() {
        let in_model = |stored| (format!("{left_out}{}", name_in_model(stored, file)), (index, stored));
        found.extend(file.names().into_iter().map(in_model));
    }
    let mut missing = variables.keys().filter(|name| !found.contains_key(*name));
    if let Some(name) = missing.next() {
        return Err(WeightsError::Missing { path: owned(), name: name.clone(), more: missing.count() });
    }
    let is_unexpected = |name: &str| {
        !variables.contains_key(name)
            && !is_ignored(name)
            && !foreign.iter().any(|prefix| name.starts_with(prefix))
    };
    let unexpected = found.iter().filter(|(name, _)| is_unexpected(name));
    let mut unexpected = unexpected.map(|(_, &(_, stored))| stored);
    if let Some(name) = unexpected.next() {
        return Err(WeightsError::Unexpected {
            path: owned(),
            name: name.to_string(),
            more: unexpected.count(),
        });
    }
    let mut fitting = Vec::with_capacity(variables.len());
    for (name, variable) in variables {
        let (index, stored) = found[&name];
        let (path, file) = &files[index];
        let owned = || (*path).to_owned();
        let view = file.tensor(stored).map_err(|source| WeightsError::Damaged { path: owned(), source })?;
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        if shape != variable.size() {
            return Err(WeightsError::Shape { path: owned(), name, found: shape, expected: variable.size() });
        }
        let kind = kind_of(view.dtype()).ok_or_else(|| WeightsError::Kind {
            path: owned(),
            name: name.clone(),
            found: view.dtype(),
        })?;
        fitting.push((variable, view, shape, kind));
    }
    // One tensor at a time, so that no more than it is in memory twice.
    tch::no_grad(|| {
        for (mut variable, view, shape, kind) in fitting {
            variable.copy_(&Tensor::from_data_size(view.data(), &shape, kind));
        }
    });
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
