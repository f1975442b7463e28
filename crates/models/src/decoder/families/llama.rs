//! LLaMA. Reference: transformers' `LlamaForCausalLM`.

use crate::decoder::family::{Biases, Family, NO_WINDOW};

pub const FAMILY: Family = Family {
    keys: &["attention_bias", "mlp_bias"],
    biases: |config| Biases {
        inward: config.attention_bias,
        outward: config.attention_bias,
        mlp: config.mlp_bias,
    },
    norms_heads: false,
    head_dim: None,
    window: NO_WINDOW,
};
