//! LLaMA's `config.json`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{bounded, depth, matrix, positive_number, shown};
use crate::layers::Activation;
use crate::weights::WeightsError;

/// What can be wrong with a decoder's folder.
#[derive(Debug, thiserror::Error)]
pub enum LlamaError {
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

/// The only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelType {
    Llama,
}

const THETA: f64 = 10000.0;
const ROPE_THETA: &str = "rope_theta";

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
    /// How newer files say the form of positions; only plain ones are supported, and the base `rope_theta`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_parameters: Option<Value>,
    /// How files in between say it, see `rope_parameters`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<Value>,
    /// The longest sequence.
    pub max_position_embeddings: i64,
    /// The table of tokens is the head too.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    pub hidden_act: Activation,
    /// Not supported, but for false.
    #[serde(default)]
    pub attention_bias: bool,
    /// Not supported, but for false.
    #[serde(default)]
    pub mlp_bias: bool,
    #[serde(default)]
    pub bos_token_id: Option<i64>,
    #[serde(default)]
    pub eos_token_id: Option<i64>,
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

impl LlamaConfig {
    pub fn num_key_value_heads(&self) -> i64 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Features of a head.
    pub fn head_dim(&self) -> i64 {
        self.head_dim.unwrap_or_else(|| self.hidden_size / self.num_attention_heads)
    }

    pub fn rope_theta(&self) -> f64 {
        self.thetas().next().map_or(THETA, |(_, theta)| theta)
    }

    /// What each key says that has a base of positions.
    fn thetas(&self) -> impl Iterator<Item = (String, f64)> {
        let older = self.rope_theta.map(|theta| (ROPE_THETA.to_owned(), theta));
        let newer = self.rope_tables().filter_map(|(key, table)| {
            Some((format!("{key}.{ROPE_THETA}"), table.get(ROPE_THETA)?.as_f64()?))
        });
        older.into_iter().chain(newer)
    }

    fn rope_tables(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        let tables = [("rope_parameters", &self.rope_parameters), ("rope_scaling", &self.rope_scaling)];
        tables.into_iter().filter_map(|(key, table)| Some((key, table.as_ref()?)))
    }

    pub(crate) fn checked(&self) -> Result<(), LlamaError> {
        self.check_sizes().map_err(LlamaError::Value)?;
        positive_number("rms_norm_eps", self.rms_norm_eps).map_err(LlamaError::Value)?;
        let (heads, shared) = (self.num_attention_heads, self.num_key_value_heads());
        if shared < 1 || heads < 1 || heads % shared != 0 {
            return Err(LlamaError::Heads { heads, shared });
        }
        let head_dim = self.head_dim();
        let is_split = self.head_dim.is_some() || self.hidden_size % heads == 0;
        if head_dim < 2 || head_dim % 2 != 0 || !is_split {
            return Err(LlamaError::HeadDim { head_dim });
        }
        let unsupported = |key, found: String, supported: &str| {
            Err(LlamaError::Unsupported { key, found, supported: supported.to_owned() })
        };
        if self.hidden_act != Activation::Silu {
            return unsupported("hidden_act", format!("{:?}", self.hidden_act), "silu");
        }
        for (key, is_set) in [("attention_bias", self.attention_bias), ("mlp_bias", self.mlp_bias)] {
            if is_set {
                return unsupported(key, "true".to_owned(), "false");
            }
        }
        self.check_positions()
    }

    fn check_sizes(&self) -> Result<(), String> {
        let hidden = ("hidden_size", self.hidden_size);
        depth("num_hidden_layers", self.num_hidden_layers)?;
        matrix(hidden, ("intermediate_size", self.intermediate_size))?;
        matrix(hidden, ("vocab_size", self.vocab_size))?;
        matrix(hidden, hidden)?;
        bounded([("max_position_embeddings", self.max_position_embeddings)])?;
        // An own size of heads need not go with the others.
        let Some(head_dim) = self.head_dim else { return Ok(()) };
        let heads = self.num_attention_heads;
        bounded([("head_dim", head_dim), ("num_attention_heads", heads)])?;
        matrix(hidden, ("head_dim times num_attention_heads", heads * head_dim))
    }

    /// LLaMA and LLaMA-2 turn positions by one base, without scaling.
    fn check_positions(&self) -> Result<(), LlamaError> {
        for (key, table) in self.rope_tables() {
            let unsupported = |problem: String| {
                let supported = format!("plain positions, as of LLaMA and LLaMA-2, and {problem}");
                Err(LlamaError::Unsupported { key, found: shown(table), supported })
            };
            let Some(keys) = table.as_object() else {
                return unsupported("it is no table".to_owned());
            };
            // `type` is the older name.
            let is_plain = |name: &str, value: &Value| match name {
                ROPE_THETA => value.is_number() || value.is_null(),
                "rope_type" | "type" => value == "default" || value.is_null(),
                _ => value.is_null(),
            };
            if let Some((name, value)) = keys.iter().find(|(name, value)| !is_plain(name, value)) {
                return unsupported(format!("its `{name}` is {}", shown(value)));
            }
        }
        let thetas: Vec<(String, f64)> = self.thetas().collect();
        for (key, theta) in &thetas {
            positive_number(key, *theta).map_err(LlamaError::Value)?;
        }
        match thetas.iter().find(|(_, theta)| *theta != thetas[0].1) {
            Some((key, theta)) => {
                let (first, other) = &thetas[0];
                let right = "one base turns all positions: remove the wrong one";
                Err(LlamaError::Value(format!("`{first}` is {other} and `{key}` {theta}; {right}")))
            }
            None => Ok(()),
        }
    }
}
