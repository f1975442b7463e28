//! Exchange with huggingface/peft (written against 0.21) and huggingface/diffusers (0.39).
//!
//! | PEFT type | ours                                            |
//! |-----------|-------------------------------------------------|
//! | LORA      | `lora`, `lora_plus`, `rslora`, `pissa`, `dora`, `dora_fixed_magnitude`, and any other additive update |
//! | DELORA    | `delora` with `zero_b` and `input_column`       |
//! | OFT       | `oft`                                           |
//! | IA3       | `ia3`                                           |
//! | VERA      | `vera`                                          |
//!
//! A folder of PEFT's is `adapter_config.json` and `adapter_model.safetensors`, whose tensors are named
//! `base_model.model.<layer>.<parameter>`. diffusers reads one file of LoRA factors.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};
use tch::Tensor;

use crate::error::CoreError;
use crate::tensor_file::{Values, encode, write_whole};

mod config;
mod export;
mod import;
mod low_rank;

pub use export::to_peft;
pub use import::{Imported, from_peft};
pub use low_rank::{DiffusersLora, to_diffusers};

const CONFIG_FILE: &str = "adapter_config.json";
const TENSORS_FILE: &str = "adapter_model.safetensors";
/// What PEFT puts before a layer's name.
const PREFIX: &str = "base_model.model.";

/// Names of a parameter: ours, and the end of PEFT's.
type Names = &'static [[&'static str; 2]];

/// The magnitudes are DoRA's.
const LORA: Names = &[["A", ".lora_A.weight"], ["B", ".lora_B.weight"], ["m", ".lora_magnitude_vector"]];
/// The last is a copy of the column norms of W, which is no parameter of ours.
const DELORA: Names =
    &[["A", ".delora_A"], ["B", ".delora_B"], ["lambda", ".delora_lambda"], ["w_norm", ".delora_w_norm"]];
const OFT: Names = &[["R", ".oft_R.weight"]];
const IA3: Names = &[["l", ".ia3_l"]];
const VERA: Names = &[["d", ".vera_lambda_d"], ["b", ".vera_lambda_b"]];
/// VeRA's projections, one pair for all layers.
const VERA_SHARED: [&str; 2] = ["base_model.vera_A", "base_model.vera_B"];

/// A PEFT adapter, as its folder holds it.
pub struct PeftAdapter {
    pub config: Map<String, Value>,
    pub tensors: BTreeMap<String, Tensor>,
    /// What is not as a reader would expect, in sentences.
    pub notes: Vec<String>,
}

impl PeftAdapter {
    /// Writes both files into `folder`, which exists.
    pub fn save(&self, folder: &Path) -> Result<(), CoreError> {
        let path = folder.join(CONFIG_FILE);
        let config = serde_json::to_string_pretty(&self.config).expect("a config is plain data") + "\n";
        fs::write(&path, config).map_err(|source| CoreError::Io { path, source })?;
        save_tensors(&self.tensors, &folder.join(TENSORS_FILE))
    }
}

/// Writes a safetensors file as PyTorch's libraries read it; a file of that name is replaced whole or not at all.
fn save_tensors(tensors: &BTreeMap<String, Tensor>, path: &Path) -> Result<(), CoreError> {
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let file = encode(tensors, metadata, Values::Finite).map_err(|error| misfit(path, error))?;
    write_whole(path, &file).map_err(|source| CoreError::Io { path: path.to_owned(), source })
}

fn misfit(path: &Path, problem: impl ToString) -> CoreError {
    CoreError::Adapter { place: format!("`{}`", path.display()), problem: problem.to_string() }
}
