//! What may set one family of decoders apart from another.

use serde::{Deserialize, Serialize};

/// What a file says under the keys that only some families read.
#[derive(Debug, Clone, Copy)]
pub struct FamilyKeys<'a> {
    pub attention_bias: bool,
    pub mlp_bias: bool,
    /// The outer one is whether the file has the key.
    pub sliding_window: Option<Option<i64>>,
    pub use_sliding_window: bool,
    pub max_window_layers: Option<i64>,
    pub layer_types: Option<&'a [LayerType]>,
}

/// What transformers' classes of a family do.
pub struct Family {
    /// Which of [`FAMILY_KEYS`] its class reads; in another family's file they would do nothing.
    pub keys: &'static [&'static str],
    /// Which linear layers have biases.
    pub biases: fn(&FamilyKeys) -> Biases,
    /// Heads of queries and of keys are normed before they are turned.
    pub norms_heads: bool,
    /// Features of a head where the file says none; absent: `hidden_size` over the number of heads.
    pub head_dim: Option<i64>,
    /// How many tokens, itself counted, a token sees in a layer; absent: all up to itself.
    pub window: fn(&FamilyKeys, layer: i64) -> Option<i64>,
}

/// Keys that decide results and that only some families read.
pub const FAMILY_KEYS: [&str; 6] = [
    "attention_bias",
    "mlp_bias",
    "sliding_window",
    "use_sliding_window",
    "max_window_layers",
    "layer_types",
];

/// Which linear layers have biases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Biases {
    /// Those of queries, keys and values.
    pub inward: bool,
    /// The one behind attention.
    pub outward: bool,
    /// The three of the feed-forward block.
    pub mlp: bool,
}

/// The kind of a layer's attention, as newer files list it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerType {
    FullAttention,
    SlidingAttention,
}

pub const NO_WINDOW: fn(&FamilyKeys, i64) -> Option<i64> = |_, _| None;

/// The window of Qwen's files: switched on by a key, in the layers that a list names, else from a layer on.
pub fn window_of_qwen(config: &FamilyKeys, layer: i64) -> Option<i64> {
    /// transformers' default.
    const FIRST_LAYER: i64 = 28;
    let slides = match config.layer_types {
        Some(types) => types.get(layer as usize) == Some(&LayerType::SlidingAttention),
        None => layer >= config.max_window_layers.unwrap_or(FIRST_LAYER),
    };
    config.sliding_window.flatten().filter(|_| config.use_sliding_window && slides)
}
