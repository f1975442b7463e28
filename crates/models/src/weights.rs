//! Reading and writing weights and `config.json`, strictly.
//!
//! Weights are read from safetensors files, whole or in shards, or from PyTorch's pickled ones, and under the names of the
//! libraries and generations that [`naming`] lists.

mod archive;
mod error;
mod files;
mod json;
mod matching;
pub mod naming;
mod pickle;
mod stored;

use std::path::Path;

use tch::{Device, Kind, Tensor, nn};

pub use error::WeightsError;
pub use files::{find_weights, network_files, weight_files};
pub use json::{class_of, read_config, read_json};
pub use matching::{Layout, Matching};
pub use naming::Naming;
pub use stored::{Stored, Weights};

/// Fills every variable of `store` from the file at `path`, keeping the variables' own kind and device.
///
/// Errors: a file that is unreadable or cut short; a variable without a tensor, a tensor without a variable, a tensor of
/// another shape; then nothing is changed. Values that are NaN or infinite are an error too, at which variables in front
/// of them are filled.
pub fn load_weights(store: &nn::VarStore, path: &Path) -> Result<(), WeightsError> {
    load_named(store, path, &naming::PLAIN)
}

/// The same as [`load_weights`], from a file that may have the names that `naming` lists.
pub(crate) fn load_named(store: &nn::VarStore, path: &Path, naming: &Naming) -> Result<(), WeightsError> {
    fill(store, &Weights::open(path)?, naming)
}

/// The same as [`load_named`], from `weights`.
pub(crate) fn fill(store: &nn::VarStore, weights: &Weights, naming: &Naming) -> Result<(), WeightsError> {
    let variables = store.variables();
    let layout: Layout = variables.iter().map(|(name, value)| (name.clone(), value.size())).collect();
    let matching = Matching::of(&layout, naming, weights.tensors());
    matching.demand_fit(weights)?;
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
