//! LLaMA's `config.json`.

use serde::{Deserialize, Serialize};

use crate::layers::Activation;
use crate::weights::WeightsError;

/// What can be wrong with a decoder's folder.
#[derive(Debug, thiserror::Error)]
pub enum LlamaError {
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error(
        "config.json: `num_attention_heads` {heads} is no multiple of `num_key_value_heads` {shared}; the file is of another model or was edited"
    )]
    Heads { heads: i64, shared: i64 },
    #[error(
        "config.json: heads of {head_dim} features; positions turn pairs, so it has to be even and `hidden_size` a multiple of `num_attention_heads`"
    )]
    HeadDim { head_dim: i64 },
    #[error("config.json: `{key}` is {found}; supported is {supported}")]
    Unsupported { key: &'static str, found: String, supported: &'static str },
}

/// The only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelType {
    Llama,
}

const THETA: f64 = 10000.0;

/// The keys of `config.json` that decide shapes and results.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LlamaConfig {
    pub model_type: ModelType,
    pub vocab_size: i64,
    pub hidden_size: i64,
    pub intermediate_size: i64,
    pub num_hidden_layers: i64,
    pub num_attention_heads: i64,
    /// Absent: as many as of queries; see [`LlamaConfig::num_key_value_heads`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_key_value_heads: Option<i64>,
    /// Absent: `hidden_size` over the number of heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<i64>,
    pub rms_norm_eps: f64,
    /// Absent: 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    /// As newer files have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_parameters: Option<RopeParameters>,
    /// Not supported, but for null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<serde_json::Value>,
    /// The longest sequence.
    pub max_position_embeddings: i64,
    /// The table of tokens is the head too.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    pub hidden_act: Activation,
    /// Not supported, but for false.
    #[serde(default)]
    pub attention_bias: bool,
    /// As `attention_bias`.
    #[serde(default)]
    pub mlp_bias: bool,
    #[serde(default)]
    pub bos_token_id: Option<i64>,
    #[serde(default)]
    pub eos_token_id: Option<i64>,
}

/// How positions turn features, in newer files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RopeParameters {
    pub rope_theta: f64,
    #[serde(default = "plain")]
    pub rope_type: String,
}

/// LLaMA-2-7B's.
pub const LLAMA2_7B: LlamaConfig = LlamaConfig {
    model_type: ModelType::Llama,
    vocab_size: 32000,
    hidden_size: 4096,
    intermediate_size: 11008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: Some(32),
    head_dim: None,
    rms_norm_eps: 1e-5,
    rope_theta: None,
    rope_parameters: None,
    rope_scaling: None,
    max_position_embeddings: 4096,
    tie_word_embeddings: false,
    hidden_act: Activation::Silu,
    attention_bias: false,
    mlp_bias: false,
    bos_token_id: Some(1),
    eos_token_id: Some(2),
};

const PLAIN: &str = "default";

fn plain() -> String {
    PLAIN.to_owned()
}

impl LlamaConfig {
    pub fn num_key_value_heads(&self) -> i64 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Features of a head.
    pub fn head_dim(&self) -> i64 {
        self.head_dim.unwrap_or_else(|| self.hidden_size / self.num_attention_heads)
    }

    pub fn rope_theta(&self) -> f64 {
        let newer = self.rope_parameters.as_ref().map(|newer| newer.rope_theta);
        self.rope_theta.or(newer).unwrap_or(THETA)
    }

    pub(super) fn check(&self) -> Result<(), LlamaError> {
        let (heads, shared) = (self.num_attention_heads, self.num_key_value_heads());
        if shared < 1 || heads < 1 || heads % shared != 0 {
            return Err(LlamaError::Heads { heads, shared });
        }
        let head_dim = self.head_dim();
        let is_split = self.head_dim.is_some() || self.hidden_size % heads == 0;
        if head_dim < 2 || head_dim % 2 != 0 || !is_split {
            return Err(LlamaError::HeadDim { head_dim });
        }
        let unsupported =
            |key, found: String, supported| Err(LlamaError::Unsupported { key, found, supported });
        if self.hidden_act != Activation::Silu {
            return unsupported("hidden_act", format!("{:?}", self.hidden_act), "silu");
        }
        if let Some(scaling) = &self.rope_scaling {
            return unsupported("rope_scaling", scaling.to_string(), "null, as of LLaMA and LLaMA-2");
        }
        match &self.rope_parameters {
            Some(newer) if newer.rope_type != PLAIN => {
                return unsupported("rope_parameters.rope_type", newer.rope_type.clone(), PLAIN);
            }
            _ => {}
        }
        for (key, is_set) in [("attention_bias", self.attention_bias), ("mlp_bias", self.mlp_bias)] {
            if is_set {
                return unsupported(key, "true".to_owned(), "false");
            }
        }
        Ok(())
    }
}
