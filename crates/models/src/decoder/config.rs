//! A decoder's `config.json`, of any family.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::error::DecoderError;
use super::families::ModelType;
use super::family::{Biases, FAMILY_KEYS, FamilyKeys, LayerType};
use super::positions::Rope;
use crate::config::{bounded, depth, matrix, positive_number, shown};
use crate::layers::Activation;

/// The keys of `config.json` that decide shapes and results.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DecoderConfig {
    pub model_type: ModelType,
    pub vocab_size: i64,
    pub hidden_size: i64,
    pub intermediate_size: i64,
    pub num_hidden_layers: i64,
    pub num_attention_heads: i64,
    /// Absent: as many as of queries; see [`DecoderConfig::num_key_value_heads`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_key_value_heads: Option<i64>,
    /// Absent: `hidden_size` over the number of heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<i64>,
    pub rms_norm_eps: f64,
    /// Absent: 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    /// How newer files say the form of positions: plain ones, or those of type llama3; and their base.
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
    /// Biases in all four layers of attention.
    #[serde(default)]
    pub attention_bias: bool,
    /// Biases in all three layers of the feed-forward block.
    #[serde(default)]
    pub mlp_bias: bool,
    /// How many tokens, itself counted, a token sees in layers with a window. The outer one is whether the file has the key.
    #[serde(default, deserialize_with = "that_is_there", skip_serializing_if = "Option::is_none")]
    pub sliding_window: Option<Option<i64>>,
    /// Whether any layer of a Qwen has the window.
    #[serde(default, skip_serializing_if = "is_false")]
    pub use_sliding_window: bool,
    /// The first layer of a Qwen that has the window, where `layer_types` is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_window_layers: Option<i64>,
    /// Which layers of a Qwen have the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer_types: Option<Vec<LayerType>>,
    #[serde(default)]
    pub bos_token_id: Option<i64>,
    #[serde(default)]
    pub eos_token_id: Option<EndTokens>,
}

/// Tokens that end a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EndTokens {
    One(i64),
    Any(Vec<i64>),
}

impl EndTokens {
    pub fn ids(&self) -> &[i64] {
        match self {
            EndTokens::One(id) => std::slice::from_ref(id),
            EndTokens::Any(ids) => ids,
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Tells a key whose value is null from one that is absent.
fn that_is_there<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<i64>>, D::Error> {
    Deserialize::deserialize(value).map(Some)
}

/// LLaMA-2-7B's.
pub const LLAMA2_7B: DecoderConfig = DecoderConfig {
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
    sliding_window: None,
    use_sliding_window: false,
    max_window_layers: None,
    layer_types: None,
    bos_token_id: Some(1),
    eos_token_id: Some(EndTokens::One(2)),
};

impl DecoderConfig {
    pub fn num_key_value_heads(&self) -> i64 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Features of a head.
    pub fn head_dim(&self) -> i64 {
        let of_family = || self.model_type.family().head_dim;
        self.head_dim.or_else(of_family).unwrap_or_else(|| self.hidden_size / self.num_attention_heads)
    }

    /// The base of positions. Errors: see [`Decoder::new`](super::Decoder::new).
    pub fn rope_theta(&self) -> Result<f64, DecoderError> {
        Ok(self.rope()?.theta)
    }

    fn family_keys(&self) -> FamilyKeys<'_> {
        FamilyKeys {
            attention_bias: self.attention_bias,
            mlp_bias: self.mlp_bias,
            sliding_window: self.sliding_window,
            use_sliding_window: self.use_sliding_window,
            max_window_layers: self.max_window_layers,
            layer_types: self.layer_types.as_deref(),
        }
    }

    /// How positions turn. Errors: see [`Decoder::new`](super::Decoder::new).
    pub(super) fn rope(&self) -> Result<Rope, DecoderError> {
        let tables = [
            ("rope_parameters", self.rope_parameters.as_ref()),
            ("rope_scaling", self.rope_scaling.as_ref()),
        ];
        Rope::of(self.rope_theta, tables)
    }

    pub(super) fn biases(&self) -> Biases {
        (self.model_type.family().biases)(&self.family_keys())
    }

    pub(super) fn norms_heads(&self) -> bool {
        self.model_type.family().norms_heads
    }

    /// How many tokens, itself counted, a token sees in `layer`; absent: all up to itself.
    pub fn window(&self, layer: i64) -> Option<i64> {
        (self.model_type.family().window)(&self.family_keys(), layer)
    }

    /// Refuses keys of `file` that its family's networks do not have.
    pub(crate) fn check_family(file: &Map<String, Value>) -> Result<(), String> {
        let Some(model_type) = file.get("model_type") else { return Ok(()) };
        let Ok(model_type) = serde_json::from_value::<ModelType>(model_type.clone()) else { return Ok(()) };
        let does_nothing = |value: &Value| value.is_null() || *value == Value::Bool(false);
        let own = model_type.family().keys;
        let foreign = FAMILY_KEYS.iter().filter(|key| !own.contains(key));
        match foreign.filter_map(|key| Some((key, file.get(*key)?))).find(|(_, value)| !does_nothing(value)) {
            Some((key, value)) => Err(format!(
                "`{key}` is {}, which a decoder of the `model_type` {} does not have; remove it, or take the file as it was published",
                shown(value),
                file["model_type"]
            )),
            None => Ok(()),
        }
    }

    pub(crate) fn checked(&self) -> Result<(), DecoderError> {
        self.check_sizes().map_err(DecoderError::Value)?;
        positive_number("rms_norm_eps", self.rms_norm_eps).map_err(DecoderError::Value)?;
        let (heads, shared) = (self.num_attention_heads, self.num_key_value_heads());
        if shared < 1 || heads < 1 || heads % shared != 0 {
            return Err(DecoderError::Heads { heads, shared });
        }
        let head_dim = self.head_dim();
        let is_split = self.head_dim.is_some() || self.hidden_size % heads == 0;
        if head_dim < 2 || head_dim % 2 != 0 || !is_split {
            return Err(DecoderError::HeadDim { head_dim });
        }
        let unsupported = |key, found: String, supported: &str| {
            Err(DecoderError::Unsupported { key, found, supported: supported.to_owned() })
        };
        if self.hidden_act != Activation::Silu {
            return unsupported("hidden_act", format!("{:?}", self.hidden_act), "silu");
        }
        self.check_windows()?;
        self.rope().map(drop)
    }

    fn check_windows(&self) -> Result<(), DecoderError> {
        let value = |problem: String| Err(DecoderError::Value(problem));
        if let Some(window) = self.sliding_window.flatten() {
            bounded([("sliding_window", window)]).map_err(DecoderError::Value)?;
        }
        let Some(types) = &self.layer_types else { return Ok(()) };
        if types.len() as i64 != self.num_hidden_layers {
            let layers = self.num_hidden_layers;
            return value(format!(
                "`layer_types` has {} entries; `num_hidden_layers` is {layers}",
                types.len()
            ));
        }
        let slides = types.iter().position(|kind| *kind == LayerType::SlidingAttention);
        match slides.filter(|&layer| self.window(layer as i64).is_none()) {
            Some(layer) => value(format!(
                "`layer_types` gives layer {layer} a window, and there is none: `use_sliding_window` has to be true and \
                 `sliding_window` a number of tokens"
            )),
            None => Ok(()),
        }
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
}
