//! Qwen2 and Qwen2.5: biases of queries, keys and values. Reference: transformers' `Qwen2ForCausalLM`.

use crate::decoder::family::{Biases, Family, window_of_qwen};

pub const FAMILY: Family = Family {
    keys: &["sliding_window", "use_sliding_window", "max_window_layers", "layer_types"],
    biases: |_| Biases { inward: true, ..Biases::default() },
    norms_heads: false,
    head_dim: None,
    window: window_of_qwen,
};
