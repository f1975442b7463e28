//! Mistral: a window in all layers. Reference: transformers' `MistralForCausalLM`.

use crate::decoder::family::{Biases, Family};

/// transformers' default, where the key is absent; `null` is no window.
const WINDOW: i64 = 4096;

pub const FAMILY: Family = Family {
    keys: &["sliding_window"],
    biases: |_| Biases::default(),
    norms_heads: false,
    head_dim: None,
    window: |config, _| config.sliding_window.unwrap_or(Some(WINDOW)),
};
