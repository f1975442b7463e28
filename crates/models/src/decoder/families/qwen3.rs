//! Qwen3: norms of the heads of queries and keys. Reference: transformers' `Qwen3ForCausalLM`.

use crate::decoder::family::{Biases, Family, window_of_qwen};

pub const FAMILY: Family = Family {
    keys: &["attention_bias", "sliding_window", "use_sliding_window", "max_window_layers", "layer_types"],
    biases: |config| Biases { inward: config.attention_bias, outward: config.attention_bias, mlp: false },
    norms_heads: true,
    head_dim: Some(128),
    window: window_of_qwen,
};
