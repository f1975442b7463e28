//! What can be wrong with weights and configs, where, and what to do about it.

use std::path::PathBuf;

use safetensors::Dtype;

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
    #[error("{path}: the network of this size does not fit into memory ({problem}); check the sizes in its config.json, or take a machine with more memory", path = path.display())]
    Memory {
        path: PathBuf,
        /// What libtorch says, which the runner knows as a lack of memory.
        problem: String,
    },
}
