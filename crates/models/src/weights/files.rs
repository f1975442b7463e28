//! Which files of a folder hold a network's weights.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::WeightsError;
use super::json::read_json;

/// Files that a network's weights may be in, the preferred ones first: those of diffusers and of transformers.
const NAMES: [&str; 6] = [
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.fp16.safetensors",
    "model.fp16.safetensors",
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
];

/// The file in `folder` that holds a network's weights, for [`super::load_weights`]; it need not be there itself where the
/// index of its shards is.
///
/// Safetensors files come before pickled ones, of which folders often hold both. Without any: an error that lists what
/// is there.
pub fn find_weights(folder: &Path) -> Result<PathBuf, WeightsError> {
    let candidates = NAMES.map(|name| folder.join(name));
    let found = candidates.into_iter().find(|path| path.is_file() || index_of(path).is_file());
    found.ok_or_else(|| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut there: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        there.sort();
        let there = match there.as_slice() {
            [] => "nothing is there".to_owned(),
            there => format!("there are {}", there.join(", ")),
        };
        WeightsError::NoWeights { folder: folder.to_owned(), names: NAMES.join(", "), there }
    })
}

/// The files that hold the weights of the network in `folder`: one, or the index and the shards that this lists.
///
/// Errors: as [`find_weights`], or a shard is missing.
pub fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, WeightsError> {
    let Parts { index, files } = parts(&find_weights(folder)?)?;
    Ok(index.into_iter().chain(files).collect())
}

/// The files that a network in `folder` is loaded from: its configuration, where there is one, and its weights.
///
/// Errors: as [`weight_files`].
pub fn network_files(folder: &Path) -> Result<Vec<PathBuf>, WeightsError> {
    let config = folder.join("config.json");
    Ok(config.is_file().then_some(config).into_iter().chain(weight_files(folder)?).collect())
}

pub(super) struct Parts {
    pub index: Option<PathBuf>,
    pub files: Vec<PathBuf>,
}

/// `path`, or its index and shards where only they are there.
pub(super) fn parts(path: &Path) -> Result<Parts, WeightsError> {
    let index = index_of(path);
    if path.is_file() || !index.is_file() {
        return Ok(Parts { index: None, files: vec![path.to_owned()] });
    }
    let ShardIndex { weight_map } = read_json(&index)?;
    let names: BTreeSet<String> = weight_map.into_values().collect();
    let shard = |name: String| match index.with_file_name(&name) {
        path if path.is_file() => Ok(path),
        _ => Err(WeightsError::Shard { index: index.clone(), name }),
    };
    let files = names.into_iter().map(shard).collect::<Result<_, _>>()?;
    Ok(Parts { index: Some(index), files })
}

fn index_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".index.json");
    PathBuf::from(name)
}

/// The part of a shard index that is read.
#[derive(Deserialize)]
struct ShardIndex {
    /// File of each tensor.
    weight_map: BTreeMap<String, String>,
}
