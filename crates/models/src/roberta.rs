//! RoBERTa's and BERT's encoder, and its head that classifies sequences.
//!
//! Reference: transformers' `RobertaForSequenceClassification` and `BertForSequenceClassification`. Dropout is the hook's.
//! A layer norms behind each sum:
//!
//! ```text
//! y = LayerNorm(dense(attention(x)) + x)
//! z = LayerNorm(dense(gelu(dense(y))) + y)
//! ```
//!
//! All layers and hidden states go through the hook. The two models differ in how they number positions, and in the
//! names of the head's layers.

mod classifier;

use std::path::Path;

use delora_core::{Place, Role};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor, nn};

use crate::attention::{masked_attention, padding_mask, sub};
use crate::layers::{
    Activation, Adaptable, Dropout, Embedding, Hidden, HiddenSite, Hook, LayerNorm, Linear, drop_out, name_of,
};
use crate::loaded::{Loaded, load_folder};
use crate::weights::{WeightsError, naming, read_config};

pub use classifier::{ClassificationHead, SequenceClassifier, load_classifier};

/// What can be wrong with an encoder's folder.
#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error(
        "`hidden_size` {hidden_size} is no multiple of `num_attention_heads` {heads}; the file is of another model or was edited"
    )]
    Heads { hidden_size: i64, heads: i64 },
    #[error(
        "`pad_token_id` {pad} is no token of a vocabulary of {vocab_size}; give the id of the padding token"
    )]
    PadToken { pad: i64, vocab_size: i64 },
    #[error("`max_position_embeddings` {positions} leaves room for {tokens} tokens; at least 1 is needed")]
    Positions { positions: i64, tokens: i64 },
}

/// Which of the two models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelType {
    Roberta,
    Bert,
}

impl ModelType {
    /// What the encoder's state-dict names start with.
    fn prefix(self) -> &'static str {
        match self {
            ModelType::Roberta => "roberta",
            ModelType::Bert => "bert",
        }
    }
}

/// How a model knows where its tokens stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Positions {
    /// A learned vector for each position. The relative forms of some BERT files are not supported.
    #[default]
    Absolute,
}

/// The keys of `config.json` that decide shapes and results.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EncoderConfig {
    pub model_type: ModelType,
    pub vocab_size: i64,
    pub hidden_size: i64,
    pub num_hidden_layers: i64,
    pub num_attention_heads: i64,
    pub intermediate_size: i64,
    /// Rows of the table of positions; see [`EncoderConfig::max_tokens`].
    pub max_position_embeddings: i64,
    pub type_vocab_size: i64,
    pub layer_norm_eps: f64,
    pub hidden_act: Activation,
    pub pad_token_id: i64,
    /// For whoever trains a network: here dropout is the hook's.
    pub hidden_dropout_prob: f64,
    /// The same for attention's probabilities.
    pub attention_probs_dropout_prob: f64,
    #[serde(default)]
    pub position_embedding_type: Positions,
}

impl EncoderConfig {
    /// The longest sequence: RoBERTa's positions start behind the padding token's id.
    pub fn max_tokens(&self) -> i64 {
        match self.model_type {
            ModelType::Roberta => self.max_position_embeddings - self.pad_token_id - 1,
            ModelType::Bert => self.max_position_embeddings,
        }
    }

    pub(crate) fn checked(&self) -> Result<(), EncoderError> {
        let (hidden_size, heads) = (self.hidden_size, self.num_attention_heads);
        if heads < 1 || hidden_size % heads != 0 {
            return Err(EncoderError::Heads { hidden_size, heads });
        }
        let (pad, vocab_size) = (self.pad_token_id, self.vocab_size);
        if !(0..vocab_size).contains(&pad) {
            return Err(EncoderError::PadToken { pad, vocab_size });
        }
        let (positions, tokens) = (self.max_position_embeddings, self.max_tokens());
        if tokens < 1 { Err(EncoderError::Positions { positions, tokens }) } else { Ok(()) }
    }
}

/// A batch of sequences, padded at their ends to one length.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'a> {
    /// `[N, T]`, i64
    pub ids: &'a Tensor,
    /// 1 at tokens and 0 at padding, `[N, T]`; each row has a token.
    pub mask: &'a Tensor,
    /// The segment of each token, `[N, T]`, i64; absent: 0 for all.
    pub types: Option<&'a Tensor>,
}

/// What every layer of one forward pass needs.
struct Pass<'a> {
    /// What [`padding_mask`] makes of the lengths.
    mask: Tensor,
    /// `[N]`
    lengths: Tensor,
    hook: &'a dyn Hook,
}

impl Pass<'_> {
    /// `values` after dropout.
    fn drop(&self, site: &str, values: Tensor) -> Tensor {
        drop_out(self.hook, Dropout::Hidden, site, values)
    }

    /// norm(values + residual), after the hook has had `values` at `site`.
    fn add_and_norm(
        &self,
        site: &HiddenSite,
        values: &Tensor,
        residual: &Tensor,
        norm: &LayerNorm,
    ) -> Tensor {
        let norm = |values: &Tensor| self.hook.layer_norm(norm, &(values + residual));
        let normed = || norm(values);
        let lengths = Some(&self.lengths);
        norm(&self.hook.hidden(site, &Hidden { values, lengths, normed: Some(&normed) }))
    }
}

#[derive(Debug)]
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention_out: Linear,
    attention_norm: LayerNorm,
    up: Linear,
    down: Linear,
    output_norm: LayerNorm,
    heads: i64,
    activation: Activation,
    /// Behind attention, behind the feed-forward block, and of the whole.
    hidden: [HiddenSite; 3],
}

impl Layer {
    fn new(path: &nn::Path, layer: i64, config: &EncoderConfig) -> Layer {
        let features = config.hidden_size;
        let linear = |name: &str, inputs, outputs| Linear::new(sub(path, name), inputs, outputs, true);
        let norm = |name: &str| LayerNorm::new(sub(path, name), features, config.layer_norm_eps);
        let site = |name: &str, place| HiddenSite::new(name_of(&sub(path, name)), place, layer, features);
        Layer {
            query: linear("attention.self.query", features, features),
            key: linear("attention.self.key", features, features),
            value: linear("attention.self.value", features, features),
            attention_out: linear("attention.output.dense", features, features),
            attention_norm: norm("attention.output.LayerNorm"),
            up: linear("intermediate.dense", features, config.intermediate_size),
            down: linear("output.dense", config.intermediate_size, features),
            output_norm: norm("output.LayerNorm"),
            heads: config.num_attention_heads,
            activation: config.hidden_act,
            hidden: [
                site("attention.output", Place::AttentionOutput),
                site("output", Place::FeedForwardOutput),
                HiddenSite::new(name_of(path), Place::BlockOutput, layer, features),
            ],
        }
    }

    /// `input` `[N, T, features]` gives the same shape.
    fn forward(&self, input: &Tensor, pass: &Pass) -> Tensor {
        let hook = pass.hook;
        let [behind_attention, behind_feed_forward, behind_layer] = &self.hidden;
        let (query, key) = (hook.linear(&self.query, input), hook.linear(&self.key, input));
        let value = hook.linear(&self.value, input);
        let kept = |shape: &[i64]| hook.dropout(Dropout::Attention, &self.query.name, shape);
        let mixed = masked_attention(&query, &key, &value, self.heads, &pass.mask, kept);
        let mixed = pass.drop(&behind_attention.name, hook.linear(&self.attention_out, &mixed));
        let hidden = pass.add_and_norm(behind_attention, &mixed, input, &self.attention_norm);
        let wide = self.activation.apply(&hook.linear(&self.up, &hidden)); // [N, T, intermediate_size]
        let narrow = pass.drop(&behind_feed_forward.name, hook.linear(&self.down, &wide));
        let output = pass.add_and_norm(behind_feed_forward, &narrow, &hidden, &self.output_norm);
        let lengths = Some(&pass.lengths);
        hook.hidden(behind_layer, &Hidden { values: &output, lengths, normed: None })
    }

    fn linears(&self) -> [(&Linear, Role); 6] {
        [
            (&self.query, Role::Query),
            (&self.key, Role::Key),
            (&self.value, Role::Value),
            (&self.attention_out, Role::Output),
            (&self.up, Role::FeedForwardIn),
            (&self.down, Role::FeedForwardOut),
        ]
    }
}

/// The network up to the last layer's hidden states.
#[derive(Debug)]
pub struct Encoder {
    config: EncoderConfig,
    words: Embedding,
    positions: Embedding,
    types: Embedding,
    norm: LayerNorm,
    layers: Vec<Layer>,
}

impl Encoder {
    /// Builds the network in `path`, under `roberta` or `bert`, with fresh weights.
    ///
    /// Errors: sizes of `config` that do not go together.
    pub fn new(path: &nn::Path, config: &EncoderConfig) -> Result<Encoder, EncoderError> {
        config.checked()?;
        let path = path / config.model_type.prefix();
        let embeddings = &path / "embeddings";
        let table = |name: &str, rows| Embedding::new(&embeddings / name, rows, config.hidden_size, 0.02);
        let layers = &path / "encoder" / "layer";
        Ok(Encoder {
            words: table("word_embeddings", config.vocab_size),
            positions: table("position_embeddings", config.max_position_embeddings),
            types: table("token_type_embeddings", config.type_vocab_size),
            norm: LayerNorm::new(&embeddings / "LayerNorm", config.hidden_size, config.layer_norm_eps),
            layers: (0..config.num_hidden_layers)
                .map(|index| Layer::new(&(&layers / index), index, config))
                .collect(),
            config: config.clone(),
        })
    }

    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// Hidden states `[N, T, hidden_size]` of the last layer, computed in `kind`. Padding has values too, but those
    /// of tokens do not depend on it.
    ///
    /// Panics when T exceeds [`EncoderConfig::max_tokens`]: on a GPU a row that its table lacks ends the process.
    pub fn forward(&self, tokens: &Tokens, kind: Kind, hook: &dyn Hook) -> Tensor {
        let (_, length) = tokens.ids.size2().expect("token ids are [N, T]");
        let longest = self.config.max_tokens();
        assert!(length <= longest, "sequences of {length} tokens; the encoder takes {longest}");
        let segments = tokens.types.map_or_else(|| tokens.ids.zeros_like(), Tensor::shallow_clone);
        // Every table sees one id for each row and token, as hooks may hold other tables for other rows.
        let embedded = hook.embedding(&self.words, tokens.ids)
            + hook.embedding(&self.types, &segments)
            + hook.embedding(&self.positions, &self.position_ids(tokens.ids));
        let hidden = hook.layer_norm(&self.norm, &embedded.to_kind(kind));
        let lengths = tokens.mask.sum_dim_intlist([-1].as_slice(), false, Kind::Int64); // [N]
        let pass = Pass { mask: padding_mask(tokens.mask, kind), lengths, hook };
        let mut hidden = pass.drop(&self.norm.name, hidden);
        for layer in &self.layers {
            hidden = layer.forward(&hidden, &pass);
        }
        hidden
    }

    /// The position `[N, T]` of each of `ids` `[N, T]`. RoBERTa counts what is no padding, from behind the padding
    /// token's id, which is the position of all padding; BERT counts from 0.
    fn position_ids(&self, ids: &Tensor) -> Tensor {
        match self.config.model_type {
            ModelType::Roberta => {
                let pad = self.config.pad_token_id;
                let real = ids.ne(pad).to_kind(Kind::Int64);
                real.cumsum(1, Kind::Int64) * &real + pad
            }
            ModelType::Bert => {
                let (batch, length) = ids.size2().expect("token ids are [N, T]");
                Tensor::arange(length, (Kind::Int64, ids.device())).expand([batch, length], false)
            }
        }
    }
}

impl Adaptable for Encoder {
    fn linears(&self) -> Vec<(&Linear, Role)> {
        self.layers.iter().flat_map(Layer::linears).collect()
    }

    fn hidden_sites(&self) -> Vec<HiddenSite> {
        self.layers.iter().flat_map(|layer| layer.hidden.clone()).collect()
    }
}

/// The encoder of a folder with `config.json` and weights, frozen; heads in the file are left aside.
pub fn load_encoder(folder: &Path, device: Device) -> Result<Loaded<Encoder>, EncoderError> {
    let config: EncoderConfig = read_config(&folder.join("config.json"))?;
    load_folder(folder, &naming::ENCODER, Kind::Float, device, |path| Encoder::new(path, &config))
}
