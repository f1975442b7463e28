//! Families of decoders: what sets the networks and the `config.json` of each apart.
//!
//! A family is a file in `families/` and a variant of [`ModelType`]. Everything else is the same decoder.

mod llama;
mod mistral;
mod qwen2;
mod qwen3;

use serde::{Deserialize, Serialize};

use super::family::Family;

/// `model_type` of `config.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelType {
    /// LLaMA 1 to 3.3, and what has its form, such as SmolLM2.
    Llama,
    Mistral,
    /// Qwen2 and Qwen2.5.
    Qwen2,
    Qwen3,
}

impl ModelType {
    pub(super) fn family(self) -> &'static Family {
        match self {
            ModelType::Llama => &llama::FAMILY,
            ModelType::Mistral => &mistral::FAMILY,
            ModelType::Qwen2 => &qwen2::FAMILY,
            ModelType::Qwen3 => &qwen3::FAMILY,
        }
    }
}
