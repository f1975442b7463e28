//! Reading and writing weights and `config.json`, strictly.
//!
//! Weights are read from safetensors files, whole or in shards, or from PyTorch's pickled ones, and under the names of the
//! libraries and generations that [`naming`] lists.

mod archive;
mod files;
mod matching;
pub mod naming;
mod pickle;
mod stored;

use std::path::{Path, PathBuf};

use safetensors::Dtype;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tch::{Device, Kind, Tensor, nn};

use crate::config::{self, Config};
pub use files::{find_weights, network_files, weight_files};
pub use matching::{Layout, Matching};
pub use naming::Naming;
pub use stored::{Stored, Weights};

/// What can be wrong with a folder of weights.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    #[error("{path}: cannot be read: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: cannot be written: {source}", path = path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{path}: not the expected configuration: {source}{of}", path = path.display())]
    Config {
        path: PathBuf,
        source: serde_json::Error,
        /// What network it is of, if it says so, behind a semicolon.
        of: String,
    },
    #[error("{folder}: holds no weights: none of {names}, whole or with an index of shards; {there}", folder = folder.display())]
    NoWeights { folder: PathBuf, names: String, there: String },
    #[error("{path}: not a whole safetensors file ({source}); fetch or copy it again", path = path.display())]
    Damaged { path: PathBuf, source: safetensors::SafeTensorError },
    #[error("{path}: not a whole archive of PyTorch's ({problem}); fetch or copy it again", path = path.display())]
    DamagedArchive { path: PathBuf, problem: String },
    #[error("{path}: pickled in the form that PyTorch wrote before 1.6, which is not read here; convert it with\n{convert}", path = path.display())]
    Legacy { path: PathBuf, convert: String },
    #[error("{path}: not a state dict as PyTorch pickles it: it {problem}; if Python can read it, convert it with\n{convert}", path = path.display())]
    Pickle { path: PathBuf, problem: String, convert: String },
    #[error("{path}: tensor `{name}` is missing, and {more} more; the file is of another model or version", path = path.display())]
    Missing { path: PathBuf, name: String, more: usize },
    #[error("{path}: tensor `{name}` is not part of this model, and {more} more; the file is of another model or version", path = path.display())]
    Unexpected { path: PathBuf, name: String, more: usize },
    #[error("{index}: lists the shard `{name}`, which is not beside it; fetch or copy it, it may not have been finished", index = index.display())]
    Shard { index: PathBuf, name: String },
    #[error("{path}: tensor `{name}` has shape {found:?}, the configuration asks for {expected:?}", path = path.display())]
    Shape { path: PathBuf, name: String, found: Vec<i64>, expected: Vec<i64> },
    #[error("{path}: {problem}", path = path.display())]
    Foreign {
        path: PathBuf,
        /// What the file is in place of weights or settings.
        problem: String,
    },
    #[error("{path}: tensor `{name}` is of quantized weights, which are not read; take the checkpoint in F32, F16 or BF16", path = path.display())]
    Quantized { path: PathBuf, name: String },
    #[error("{path}: tensor `{name}` is stored as {found:?}; supported are F64, F32, F16 and BF16, and no quantized values", path = path.display())]
    Kind { path: PathBuf, name: String, found: Dtype },
    #[error("{path}: tensor `{name}` has {count} values that are NaN or infinite; the training that wrote it diverged or the file is damaged: take another one", path = path.display())]
    NonFinite { path: PathBuf, name: String, count: usize },
}

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

/// Fills every variable of `store` from the file at `path`, keeping the variables' own kind and device.
///
/// Errors: a file that is unreadable or cut short; a variable without a tensor, a tensor without a variable, a tensor of
/// another shape; then nothing is changed. Values that are NaN or infinite are an error too, at which variables in front
/// of them are filled.
pub fn load_weights(store: &nn::VarStore, path: &Path) -> Result<(), WeightsError> {
    load_named(store, path, &naming::PLAIN)
}

/// As [`load_weights`], from a file that may have other names.
pub(crate) fn load_named(store: &nn::VarStore, path: &Path, naming: &Naming) -> Result<(), WeightsError> {
    let weights = Weights::open(path)?;
    let variables = store.variables();
    let layout: Layout = variables.iter().map(|(name, value)| (name.clone(), value.size())).collect();
    let matching = Matching::of(&layout, naming, weights.tensors());
    matching.demand_fit(&weights)?;
    // One tensor at a time, so that no more than it is in memory twice.
    for (name, place) in matching.found {
        let stored = &weights.tensors()[place.index];
        let kind = stored.kind().expect("kinds have been checked");
        let count = weights.num_non_finite(stored);
        if count > 0 {
            let (path, name) = (weights.path_of(stored).to_owned(), stored.name.clone());
            return Err(WeightsError::NonFinite { path, name, count });
        }
        let mut variable = variables[&name].shallow_clone();
        let (part, of) = place.part;
        let value = weights.read(stored, kind);
        let value = if of == 1 { value } else { value.chunk(of, 0)[part as usize].shallow_clone() };
        gradient_mode::off(|| variable.copy_(&value.view_as(&variable)));
    }
    Ok(())
}

impl Matching {
    /// Nothing may be missing, unexpected, misshapen or of a kind that is not supported.
    fn demand_fit(&self, weights: &Weights) -> Result<(), WeightsError> {
        let (whole, tensors) = (|| weights.whole.clone(), weights.tensors());
        let is_quantized = |stored: &&Stored| QUANTIZED.iter().any(|end| stored.name.ends_with(end));
        if let Some(stored) = tensors.iter().find(is_quantized) {
            let (path, name) = (weights.path_of(stored).to_owned(), stored.name.clone());
            return Err(WeightsError::Quantized { path, name });
        }
        if let [(name, _), others @ ..] = self.missing.as_slice() {
            return Err(WeightsError::Missing { path: whole(), name: name.clone(), more: others.len() });
        }
        if let [first, others @ ..] = self.unexpected.as_slice() {
            let name = tensors[*first].name.clone();
            return Err(WeightsError::Unexpected { path: whole(), name, more: others.len() });
        }
        let path = |stored| weights.path_of(stored).to_owned();
        if let [(name, index, expected), ..] = self.misshapen.as_slice() {
            let (stored, name) = (&tensors[*index], name.clone());
            let (found, expected) = (stored.shape.clone(), expected.clone());
            return Err(WeightsError::Shape { path: path(stored), name, found, expected });
        }
        let unsupported = |place: &&matching::Found| tensors[place.index].kind().is_none();
        match self.found.values().find(unsupported).map(|place| &tensors[place.index]) {
            Some(stored) => {
                let (name, found) = (stored.name.clone(), stored.dtype);
                Err(WeightsError::Kind { path: path(stored), name, found })
            }
            None => Ok(()),
        }
    }
}

/// Ends of the names that GPTQ, AWQ, bitsandbytes, compressed-tensors and FP8 checkpoints give to their parts.
const QUANTIZED: [&str; 9] = [
    ".qweight",
    ".qzeros",
    ".g_idx",
    ".SCB",
    ".weight.absmax",
    ".weight.quant_map",
    ".weight_packed",
    ".weight_scale",
    ".weight_scale_inv",
];

/// Writes named tensors in `kind` to `path`, whole or not at all. Errors name a tensor with values that are none in it.
pub fn save_weights(tensors: &[(String, Tensor)], kind: Kind, path: &Path) -> Result<(), WeightsError> {
    let failed = |source| WeightsError::Write { path: path.to_owned(), source };
    let partial = path.with_extension("partial");
    let tensors: Vec<(&str, Tensor)> = tensors
        .iter()
        .map(|(name, tensor)| {
            (name.as_str(), tensor.detach().to_device(Device::Cpu).to_kind(kind).contiguous())
        })
        .collect();
    for (name, tensor) in &tensors {
        let count = tensor.numel() - tensor.isfinite().sum(Kind::Int64).int64_value(&[]) as usize;
        if count > 0 {
            let (path, name) = (path.to_owned(), (*name).to_owned());
            return Err(WeightsError::NonFinite { path, name, count });
        }
    }
    Tensor::write_safetensors(&tensors, &partial).map_err(|source| failed(std::io::Error::other(source)))?;
    std::fs::rename(&partial, path).map_err(failed)
}
