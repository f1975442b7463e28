//! What can be wrong with a decoder.

use crate::weights::WeightsError;

/// What can be wrong with a decoder's folder.
#[derive(Debug, thiserror::Error)]
pub enum DecoderError {
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error(
        "`num_attention_heads` {heads} is no multiple of `num_key_value_heads` {shared}; the file is of another model or was edited"
    )]
    Heads { heads: i64, shared: i64 },
    #[error(
        "heads of {head_dim} features; positions turn pairs, so it has to be even and `hidden_size` a multiple of `num_attention_heads`"
    )]
    HeadDim { head_dim: i64 },
    #[error("`{key}` is {found}; supported is {supported}")]
    Unsupported { key: &'static str, found: String, supported: String },
    #[error("{0}")]
    Value(String),
}
