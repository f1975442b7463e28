//! LLaMA and its relatives: a decoder that norms in front of each block.
//!
//! Reference: transformers' `LlamaForCausalLM` and its relatives below (`families`).
//!
//! ```text
//! y = x + o(attention(rope(q(norm(x))), rope(k(norm(x))), v(norm(x))))
//! z = y + down(silu(gate(norm(y))) * up(norm(y)))
//! ```
//!
//! Norms are RMSNorms, computed in f32. Positions turn pairs of features, of which one is in the first half of a head and
//! the other in the second. Several heads of queries may share one of keys and values. All linear layers and hidden states go
//! through the hook; where the head is tied to the table of tokens, the hook gets that table.
//!
//! Families differ in biases, in norms of the heads of queries and keys, in how positions turn, and in layers whose tokens see
//! no further back than a window.

mod cache;
mod config;
mod error;
mod families;
mod family;
mod positions;

use std::path::Path;

use delora_core::{Place, Role};
use tch::{Device, Kind, Tensor, nn};

use crate::attention::sub;
use crate::layers::{Adaptable, Embedding, Hidden, HiddenSite, Hook, Linear, RmsNorm, name_of};
use crate::loaded::{Loaded, load_folder};
use crate::weights::naming;

pub use cache::Cache;
use cache::Reading;
pub use config::{DecoderConfig, EndTokens, LLAMA2_7B};
pub use error::DecoderError;
pub use families::ModelType;
pub use family::LayerType;
pub use positions::Positions;
use positions::{additive, beyond};

#[derive(Debug)]
struct Layer {
    input_norm: RmsNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    /// Norms of the heads of queries and of keys.
    head_norms: Option<[RmsNorm; 2]>,
    out: Linear,
    mlp_norm: RmsNorm,
    gate: Linear,
    up: Linear,
    down: Linear,
    /// How many heads the queries have, and how many the keys and values.
    heads: [i64; 2],
    head_dim: i64,
    has_window: bool,
    /// Behind attention, behind the feed-forward block, and of the whole.
    hidden: [HiddenSite; 3],
}

impl Layer {
    fn new(path: &nn::Path, layer: i64, config: &DecoderConfig) -> Layer {
        let (features, inner) = (config.hidden_size, config.intermediate_size);
        let heads = [config.num_attention_heads, config.num_key_value_heads()];
        let head_dim = config.head_dim();
        let [of_queries, of_keys] = heads.map(|heads| heads * head_dim);
        let biases = config.biases();
        let linear = |name: &str, inputs, outputs, bias| Linear::new(sub(path, name), inputs, outputs, bias);
        let norm = |name: &str, features| RmsNorm::new(sub(path, name), features, config.rms_norm_eps);
        let site = |name: String, place| HiddenSite::new(name, place, layer, features);
        Layer {
            input_norm: norm("input_layernorm", features),
            query: linear("self_attn.q_proj", features, of_queries, biases.inward),
            key: linear("self_attn.k_proj", features, of_keys, biases.inward),
            value: linear("self_attn.v_proj", features, of_keys, biases.inward),
            head_norms: config
                .norms_heads()
                .then(|| ["self_attn.q_norm", "self_attn.k_norm"].map(|name| norm(name, head_dim))),
            out: linear("self_attn.o_proj", of_queries, features, biases.outward),
            mlp_norm: norm("post_attention_layernorm", features),
            gate: linear("mlp.gate_proj", features, inner, biases.mlp),
            up: linear("mlp.up_proj", features, inner, biases.mlp),
            down: linear("mlp.down_proj", inner, features, biases.mlp),
            heads,
            head_dim,
            has_window: config.window(layer).is_some(),
            hidden: [
                site(name_of(&(path / "self_attn")), Place::AttentionOutput),
                site(name_of(&(path / "mlp")), Place::FeedForwardOutput),
                site(name_of(path), Place::BlockOutput),
            ],
        }
    }

    /// `input` `[N, T, features]` gives the same shape.
    fn forward(
        &self,
        input: &Tensor,
        positions: &Positions,
        reading: Option<&mut Reading>,
        hook: &dyn Hook,
    ) -> Tensor {
        let at = |site: &HiddenSite, values: &Tensor| {
            hook.hidden(site, &Hidden { values, lengths: None, normed: None })
        };
        let [behind_attention, behind_mlp, behind_layer] = &self.hidden;
        let normed = hook.rms_norm(&self.input_norm, input);
        let mixed = self.attend(&normed, positions, reading, hook);
        let hidden = input + at(behind_attention, &hook.linear(&self.out, &mixed));
        let normed = hook.rms_norm(&self.mlp_norm, &hidden);
        let wide = hook.linear(&self.gate, &normed).silu() * hook.linear(&self.up, &normed);
        at(behind_layer, &(&hidden + at(behind_mlp, &hook.linear(&self.down, &wide))))
    }

    /// What the heads gather, `[N, T, heads * head_dim]`.
    fn attend(
        &self,
        normed: &Tensor,
        positions: &Positions,
        reading: Option<&mut Reading>,
        hook: &dyn Hook,
    ) -> Tensor {
        let (rows, length, _) = normed.size3().expect("hidden states are [N, T, features]");
        let [of_queries, of_keys] = self.heads;
        let split = |linear: &Linear, heads| {
            hook.linear(linear, normed).view([rows, length, heads, self.head_dim]) // [N, T, heads, head_dim]
        };
        let turned = |heads: Tensor, which: usize| {
            let heads = match &self.head_norms {
                Some(norms) => hook.rms_norm(&norms[which], &heads),
                None => heads,
            };
            positions.turn(&heads.transpose(1, 2)) // [N, heads, T, head_dim]
        };
        let query = turned(split(&self.query, of_queries), 0);
        let key = turned(split(&self.key, of_keys), 1);
        let value = split(&self.value, of_keys).transpose(1, 2);
        let [key, value] = match reading {
            None => [key, value],
            Some(reading) => reading.add(key, value),
        };
        let mask = positions.mask(self.has_window);
        let shared = |heads: &Tensor| heads.repeat_interleave_self_int(of_queries / of_keys, 1, None);
        let (key, value) = if of_keys == of_queries { (key, value) } else { (shared(&key), shared(&value)) };
        let causal = mask.is_none();
        Tensor::scaled_dot_product_attention(&query, &key, &value, mask, 0.0, causal, None, false)
            .transpose(1, 2)
            .reshape([rows, length, of_queries * self.head_dim])
    }

    fn linears(&self) -> [(&Linear, Role); 7] {
        [
            (&self.query, Role::Query),
            (&self.key, Role::Key),
            (&self.value, Role::Value),
            (&self.out, Role::Output),
            (&self.gate, Role::FeedForwardGate),
            (&self.up, Role::FeedForwardIn),
            (&self.down, Role::FeedForwardOut),
        ]
    }
}

/// The decoder with its head.
#[derive(Debug)]
pub struct Decoder {
    config: DecoderConfig,
    tokens: Embedding,
    layers: Vec<Layer>,
    norm: RmsNorm,
    /// Absent where the table of tokens is the head.
    head: Option<Linear>,
    /// What a position is multiplied by for each pair of features, `[head_dim / 2]`.
    frequencies: Tensor,
    /// How far back layers with a window see.
    window: Option<i64>,
}

impl Decoder {
    /// Builds the network in `path` with fresh weights.
    ///
    /// Errors: sizes of `config` that do not go together, or what is not supported.
    pub fn new(path: &nn::Path, config: &DecoderConfig) -> Result<Decoder, DecoderError> {
        config.checked()?;
        let model = path / "model";
        let layers = &model / "layers";
        let (features, vocabulary) = (config.hidden_size, config.vocab_size);
        Ok(Decoder {
            tokens: Embedding::new(&model / "embed_tokens", vocabulary, features, 0.02),
            layers: (0..config.num_hidden_layers)
                .map(|index| Layer::new(&(&layers / index), index, config))
                .collect(),
            norm: RmsNorm::new(&model / "norm", features, config.rms_norm_eps),
            head: (!config.tie_word_embeddings)
                .then(|| Linear::new(path / "lm_head", features, vocabulary, false)),
            frequencies: config.rope()?.frequencies(config.head_dim(), path.device()),
            window: (0..config.num_hidden_layers).find_map(|layer| config.window(layer)),
            config: config.clone(),
        })
    }

    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    pub fn num_layers(&self) -> usize {
        self.layers.len()
    }

    /// Hidden states `[N, T, hidden_size]` behind the last norm, computed in `kind`, of `ids` `[N, T]`, i64. A token sees
    /// those in front of it, so rows may be padded at their ends.
    pub fn forward(&self, ids: &Tensor, kind: Kind, hook: &dyn Hook) -> Tensor {
        let positions = self.positions(ids.size()[1], kind);
        let mut hidden = self.embed(ids, kind, hook);
        for layer in 0..self.layers.len() {
            hidden = self.layer(layer, &hidden, &positions, hook);
        }
        self.normed(&hidden, hook)
    }

    /// The vectors `[N, T, hidden_size]` of `ids` `[N, T]`: the first part of [`Decoder::forward`], for those who go through it
    /// in pieces.
    pub fn embed(&self, ids: &Tensor, kind: Kind, hook: &dyn Hook) -> Tensor {
        hook.embedding(&self.tokens, ids).to_kind(kind)
    }

    /// What the first `length` positions do, in `kind`.
    pub fn positions(&self, length: i64, kind: Kind) -> Positions {
        let places = Tensor::arange(length, (Kind::Int64, self.frequencies.device())).unsqueeze(0);
        let within = self.window.filter(|&window| window < length).map(|window| {
            let later = Tensor::ones([length, length], (Kind::Bool, places.device())).triu(1);
            additive(&beyond(window, &places, &places).logical_or(&later), kind)
        });
        self.positions_at(&places, [None, within], kind)
    }

    /// What `places` `[N, T]` do, with what is added to scores.
    fn positions_at(&self, places: &Tensor, [all, within]: [Option<Tensor>; 2], kind: Kind) -> Positions {
        let angles = places.to_kind(Kind::Float).unsqueeze(-1) * &self.frequencies; // [N, T, head_dim / 2]
        let angles = Tensor::cat(&[&angles, &angles], -1).unsqueeze(1);
        Positions { cosines: angles.cos().to_kind(kind), sines: angles.sin().to_kind(kind), all, within }
    }

    /// Layer number `index` from 0.
    pub fn layer(&self, index: usize, hidden: &Tensor, positions: &Positions, hook: &dyn Hook) -> Tensor {
        self.layers[index].forward(hidden, positions, None, hook)
    }

    /// The norm behind the last layer.
    pub fn normed(&self, hidden: &Tensor, hook: &dyn Hook) -> Tensor {
        hook.rms_norm(&self.norm, hidden)
    }

    /// The same as [`Decoder::forward`], for tokens behind those that `cache` has of each row; adds to the cache. `mask` `[N, T]` is 1 at tokens and 0
    /// at padding, which may be at the end of rows alone.
    pub fn extend(
        &self,
        ids: &Tensor,
        mask: &Tensor,
        cache: &mut Cache,
        kind: Kind,
        hook: &dyn Hook,
    ) -> Tensor {
        let (places, masks) = cache.read(mask, self.window, kind);
        let positions = self.positions_at(&places, masks, kind);
        let mut hidden = self.embed(ids, kind, hook);
        for (index, layer) in self.layers.iter().enumerate() {
            hidden = layer.forward(&hidden, &positions, Some(&mut Reading(cache.layer(index))), hook);
        }
        self.normed(&hidden, hook)
    }

    /// Logits `[.., vocab_size]` of `hidden` `[.., hidden_size]`, whose first axis is that of rows.
    pub fn logits(&self, hidden: &Tensor, hook: &dyn Hook) -> Tensor {
        match &self.head {
            Some(head) => hook.linear(head, hidden),
            None => hook.unembed(&self.tokens, hidden),
        }
    }
}

impl Adaptable for Decoder {
    fn linears(&self) -> Vec<(&Linear, Role)> {
        let head = self.head.iter().map(|head| (head, Role::Other));
        self.layers.iter().flat_map(Layer::linears).chain(head).collect()
    }

    fn hidden_sites(&self) -> Vec<HiddenSite> {
        self.layers.iter().flat_map(|layer| layer.hidden.clone()).collect()
    }
}

/// The decoder of a folder with `config.json` and weights; frozen, its weights in `kind`.
pub fn load_decoder(folder: &Path, kind: Kind, device: Device) -> Result<Loaded<Decoder>, DecoderError> {
    let config: DecoderConfig = crate::read_config(&folder.join("config.json"))?;
    let naming = if config.tie_word_embeddings { &naming::TIED_DECODER } else { &naming::PLAIN };
    load_folder(folder, naming, kind, device, |path| Decoder::new(path, &config))
}
