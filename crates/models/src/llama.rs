//! LLaMA: a decoder that norms in front of each block.
//!
//! Reference: transformers' `LlamaForCausalLM`.
//!
//! ```text
//! y = x + o(attention(rope(q(norm(x))), rope(k(norm(x))), v(norm(x))))
//! z = y + down(silu(gate(norm(y))) * up(norm(y)))
//! ```
//!
//! Norms are RMSNorms, computed in f32. Positions turn pairs of features, of which one is in the first half of a head and
//! the other in the second. Several heads of queries may share one of keys and values. All linear layers and hidden states go
//! through the hook; where the head is tied to the table of tokens, the hook gets that table.

mod cache;
mod config;

use std::path::Path;

use delora_core::{Place, Role};
use tch::{Device, Kind, Tensor, nn};

use crate::attention::sub;
use crate::layers::{Adaptable, Embedding, Hidden, HiddenSite, Hook, Linear, RmsNorm, name_of};
use crate::loaded::{Loaded, load_folder};
use crate::weights::naming;

pub use cache::Cache;
use cache::Reading;
pub use config::{LLAMA2_7B, LlamaConfig, LlamaError, ModelType};

/// What turns queries and keys by their positions: cosines and sines `[N or 1, 1, T, head_dim]`.
#[derive(Debug)]
pub struct Rotation {
    cosines: Tensor,
    sines: Tensor,
}

impl Rotation {
    /// `heads` `[N, heads, T, head_dim]`, turned.
    fn apply(&self, heads: &Tensor) -> Tensor {
        let halves = heads.chunk(2, -1);
        let swapped = Tensor::cat(&[-&halves[1], halves[0].shallow_clone()], -1);
        heads * &self.cosines + swapped * &self.sines
    }
}

#[derive(Debug)]
struct Layer {
    input_norm: RmsNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    mlp_norm: RmsNorm,
    gate: Linear,
    up: Linear,
    down: Linear,
    /// How many heads the queries have, and how many the keys and values.
    heads: [i64; 2],
    head_dim: i64,
    /// Behind attention, behind the feed-forward block, and of the whole.
    hidden: [HiddenSite; 3],
}

impl Layer {
    fn new(path: &nn::Path, layer: i64, config: &LlamaConfig) -> Layer {
        let (features, inner) = (config.hidden_size, config.intermediate_size);
        let heads = [config.num_attention_heads, config.num_key_value_heads()];
        let head_dim = config.head_dim();
        let [of_queries, of_keys] = heads.map(|heads| heads * head_dim);
        let linear = |name: &str, inputs, outputs| Linear::new(sub(path, name), inputs, outputs, false);
        let norm = |name: &str| RmsNorm::new(path / name, features, config.rms_norm_eps);
        let site = |name: String, place| HiddenSite::new(name, place, layer, features);
        Layer {
            input_norm: norm("input_layernorm"),
            query: linear("self_attn.q_proj", features, of_queries),
            key: linear("self_attn.k_proj", features, of_keys),
            value: linear("self_attn.v_proj", features, of_keys),
            out: linear("self_attn.o_proj", of_queries, features),
            mlp_norm: norm("post_attention_layernorm"),
            gate: linear("mlp.gate_proj", features, inner),
            up: linear("mlp.up_proj", features, inner),
            down: linear("mlp.down_proj", inner, features),
            heads,
            head_dim,
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
        rotation: &Rotation,
        reading: Option<&mut Reading>,
        hook: &dyn Hook,
    ) -> Tensor {
        let at = |site: &HiddenSite, values: &Tensor| {
            hook.hidden(site, &Hidden { values, lengths: None, normed: None })
        };
        let [behind_attention, behind_mlp, behind_layer] = &self.hidden;
        let normed = hook.rms_norm(&self.input_norm, input);
        let mixed = self.attend(&normed, rotation, reading, hook);
        let hidden = input + at(behind_attention, &hook.linear(&self.out, &mixed));
        let normed = hook.rms_norm(&self.mlp_norm, &hidden);
        let wide = hook.linear(&self.gate, &normed).silu() * hook.linear(&self.up, &normed);
        at(behind_layer, &(&hidden + at(behind_mlp, &hook.linear(&self.down, &wide))))
    }

    /// What the heads gather, `[N, T, heads * head_dim]`.
    fn attend(
        &self,
        normed: &Tensor,
        rotation: &Rotation,
        reading: Option<&mut Reading>,
        hook: &dyn Hook,
    ) -> Tensor {
        let (rows, length, _) = normed.size3().expect("hidden states are [N, T, features]");
        let [of_queries, of_keys] = self.heads;
        let split = |linear: &Linear, heads| {
            hook.linear(linear, normed).view([rows, length, heads, self.head_dim]).transpose(1, 2) // [N, heads, T, head_dim]
        };
        let query = rotation.apply(&split(&self.query, of_queries));
        let (key, value) = (rotation.apply(&split(&self.key, of_keys)), split(&self.value, of_keys));
        let (key, value, mask) = match reading {
            None => (key, value, None),
            Some(reading) => {
                let [key, value] = reading.add(key, value);
                (key, value, Some(&reading.mask))
            }
        };
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
            (&self.gate, Role::FeedForwardIn),
            (&self.up, Role::FeedForwardIn),
            (&self.down, Role::FeedForwardOut),
        ]
    }
}

/// The decoder with its head.
#[derive(Debug)]
pub struct Llama {
    config: LlamaConfig,
    tokens: Embedding,
    layers: Vec<Layer>,
    norm: RmsNorm,
    /// Absent where the table of tokens is the head.
    head: Option<Linear>,
    /// What a position is multiplied by for each pair of features, `[head_dim / 2]`.
    frequencies: Tensor,
}

impl Llama {
    /// Builds the network in `path` with fresh weights.
    ///
    /// Errors: sizes of `config` that do not go together, or what is not supported.
    pub fn new(path: &nn::Path, config: &LlamaConfig) -> Result<Llama, LlamaError> {
        config.checked()?;
        let model = path / "model";
        let layers = &model / "layers";
        let (features, vocabulary) = (config.hidden_size, config.vocab_size);
        let head_dim = config.head_dim();
        let powers =
            Tensor::arange_start_step(0, head_dim, 2, (Kind::Float, path.device())) / head_dim as f64;
        Ok(Llama {
            tokens: Embedding::new(&model / "embed_tokens", vocabulary, features, 0.02),
            layers: (0..config.num_hidden_layers)
                .map(|index| Layer::new(&(&layers / index), index, config))
                .collect(),
            norm: RmsNorm::new(&model / "norm", features, config.rms_norm_eps),
            head: (!config.tie_word_embeddings)
                .then(|| Linear::new(path / "lm_head", features, vocabulary, false)),
            frequencies: (powers * -config.rope_theta().ln()).exp(),
            config: config.clone(),
        })
    }

    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }

    pub fn num_layers(&self) -> usize {
        self.layers.len()
    }

    /// Hidden states `[N, T, hidden_size]` behind the last norm, computed in `kind`, of `ids` `[N, T]`, i64. A token sees
    /// those in front of it, so rows may be padded at their ends.
    pub fn forward(&self, ids: &Tensor, kind: Kind, hook: &dyn Hook) -> Tensor {
        let rotation = self.rotation(ids.size()[1], kind);
        let mut hidden = self.embed(ids, kind, hook);
        for layer in 0..self.layers.len() {
            hidden = self.layer(layer, &hidden, &rotation, hook);
        }
        self.normed(&hidden, hook)
    }

    /// The vectors `[N, T, hidden_size]` of `ids` `[N, T]`: the first part of [`Llama::forward`], for those who go through it
    /// in pieces.
    pub fn embed(&self, ids: &Tensor, kind: Kind, hook: &dyn Hook) -> Tensor {
        hook.embedding(&self.tokens, ids).to_kind(kind)
    }

    /// How the first `length` positions turn, in `kind`.
    pub fn rotation(&self, length: i64, kind: Kind) -> Rotation {
        let positions = Tensor::arange(length, (Kind::Int64, self.frequencies.device()));
        self.rotation_at(&positions.unsqueeze(0), kind)
    }

    /// How `positions` `[N, T]` turn.
    fn rotation_at(&self, positions: &Tensor, kind: Kind) -> Rotation {
        let angles = positions.to_kind(Kind::Float).unsqueeze(-1) * &self.frequencies; // [N, T, head_dim / 2]
        let angles = Tensor::cat(&[&angles, &angles], -1).unsqueeze(1);
        Rotation { cosines: angles.cos().to_kind(kind), sines: angles.sin().to_kind(kind) }
    }

    /// Layer number `index` from 0.
    pub fn layer(&self, index: usize, hidden: &Tensor, rotation: &Rotation, hook: &dyn Hook) -> Tensor {
        self.layers[index].forward(hidden, rotation, None, hook)
    }

    /// The norm behind the last layer.
    pub fn normed(&self, hidden: &Tensor, hook: &dyn Hook) -> Tensor {
        hook.rms_norm(&self.norm, hidden)
    }

    /// The same as [`Llama::forward`], for tokens behind those that `cache` has of each row; adds to the cache. `mask` `[N, T]` is 1 at tokens and 0
    /// at padding, which may be at the end of rows alone.
    pub fn extend(
        &self,
        ids: &Tensor,
        mask: &Tensor,
        cache: &mut Cache,
        kind: Kind,
        hook: &dyn Hook,
    ) -> Tensor {
        let positions = cache.positions(mask);
        let rotation = self.rotation_at(&positions, kind);
        let mut hidden = self.embed(ids, kind, hook);
        let visible = cache.read(mask, kind);
        for (index, layer) in self.layers.iter().enumerate() {
            let mut reading = Reading { pair: cache.layer(index), mask: visible.shallow_clone() };
            hidden = layer.forward(&hidden, &rotation, Some(&mut reading), hook);
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

impl Adaptable for Llama {
    fn linears(&self) -> Vec<(&Linear, Role)> {
        let head = self.head.iter().map(|head| (head, Role::Other));
        self.layers.iter().flat_map(Layer::linears).chain(head).collect()
    }

    fn hidden_sites(&self) -> Vec<HiddenSite> {
        self.layers.iter().flat_map(|layer| layer.hidden.clone()).collect()
    }
}

/// The decoder of a folder with `config.json` and weights; frozen, its weights in `kind`.
pub fn load_llama(folder: &Path, kind: Kind, device: Device) -> Result<Loaded<Llama>, LlamaError> {
    let config: LlamaConfig = crate::read_config(&folder.join("config.json"))?;
    let naming = if config.tie_word_embeddings { &naming::TIED_LLAMA } else { &naming::PLAIN };
    load_folder(folder, naming, kind, device, |path| Llama::new(path, &config))
}
