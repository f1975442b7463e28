//! What a folder of PEFT's holds, and how it names parameters.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};
use tch::Tensor;

use crate::error::CoreError;
use crate::tensor_file::{Values, write};

pub const CONFIG_FILE: &str = "adapter_config.json";
pub const TENSORS_FILE: &str = "adapter_model.safetensors";
/// What PEFT puts before a layer's name.
pub const PREFIX: &str = "base_model.model.";

/// Names of a parameter: ours, and the end of PEFT's.
pub type Names = &'static [[&'static str; 2]];

/// The magnitudes are DoRA's.
pub const LORA: Names = &[["A", ".lora_A.weight"], ["B", ".lora_B.weight"], ["m", ".lora_magnitude_vector"]];
/// The last is a copy of the column norms of W, which is no parameter of ours.
pub const DELORA: Names =
    &[["A", ".delora_A"], ["B", ".delora_B"], ["lambda", ".delora_lambda"], ["w_norm", ".delora_w_norm"]];
pub const OFT: Names = &[["R", ".oft_R.weight"]];
pub const IA3: Names = &[["l", ".ia3_l"]];
pub const VERA: Names = &[["d", ".vera_lambda_d"], ["b", ".vera_lambda_b"]];
/// Our name of the value of a task's tensor, behind that of its site.
pub const TASK_VALUE: &str = "value";
/// VeRA's projections, one pair for all layers.
pub const VERA_SHARED: [&str; 2] = ["base_model.vera_A", "base_model.vera_B"];

/// A PEFT adapter, as its folder holds it.
pub struct PeftAdapter {
    /// `adapter_config.json`
    pub config: Map<String, Value>,
    /// `adapter_model.safetensors`, by PEFT's names.
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
pub fn save_tensors(tensors: &BTreeMap<String, Tensor>, path: &Path) -> Result<(), CoreError> {
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    write(path, tensors, metadata, Values::Finite, misfit)
}

pub fn misfit(path: &Path, problem: impl ToString) -> CoreError {
    CoreError::Adapter { place: format!("`{}`", path.display()), problem: problem.to_string() }
}
