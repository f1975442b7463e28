//! CLIP's text and vision towers (`CLIPModel`, and Stable Diffusion's `text_encoder/`).
//!
//! Reference: transformers' `CLIPTextModel`, `CLIPVisionModelWithProjection` and `CLIPModel`.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, nn};

use crate::attention::{LayerNames, LayerSizes, TransformerLayer};
use crate::layers::{Activation, Conv2d, Frozen, LayerNorm, Linear, embedding};

const NAMES: LayerNames = LayerNames {
    norm1: "layer_norm1",
    query: "self_attn.q_proj",
    key: "self_attn.k_proj",
    value: "self_attn.v_proj",
    out: "self_attn.out_proj",
    norm2: "layer_norm2",
    up: "mlp.fc1",
    down: "mlp.fc2",
    behind_attention: "self_attn",
    behind_feed_forward: "mlp",
};

/// `text_config` of a CLIP model, or `text_encoder/config.json` of Stable Diffusion.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClipTextConfig {
    pub vocab_size: i64,
    pub hidden_size: i64,
    pub intermediate_size: i64,
    pub num_hidden_layers: i64,
    pub num_attention_heads: i64,
    pub max_position_embeddings: i64,
    #[serde(default = "default_activation")]
    pub hidden_act: Activation,
    #[serde(default = "default_eps")]
    pub layer_norm_eps: f64,
    /// The token whose position is pooled. OpenAI's configs say 2 by mistake; the pooled token is then the one
    /// with the highest id.
    #[serde(default = "default_eos")]
    pub eos_token_id: i64,
}

impl ClipTextConfig {
    /// The token that ends captions: in OpenAI's configs, which say 2 by mistake, the last one.
    pub fn end_token(&self) -> i64 {
        if self.eos_token_id == 2 { self.vocab_size - 1 } else { self.eos_token_id }
    }
}

/// `vision_config` of a CLIP model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClipVisionConfig {
    pub hidden_size: i64,
    pub intermediate_size: i64,
    pub num_hidden_layers: i64,
    pub num_attention_heads: i64,
    pub image_size: i64,
    pub patch_size: i64,
    #[serde(default = "default_activation")]
    pub hidden_act: Activation,
    #[serde(default = "default_eps")]
    pub layer_norm_eps: f64,
}

/// `config.json` of a CLIP model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClipConfig {
    pub projection_dim: i64,
    pub text_config: ClipTextConfig,
    pub vision_config: ClipVisionConfig,
}

fn default_activation() -> Activation {
    Activation::QuickGelu
}

fn default_eps() -> f64 {
    1e-5
}

fn default_eos() -> i64 {
    2
}

/// The text tower up to the final LayerNorm.
#[derive(Debug)]
pub struct ClipText {
    config: ClipTextConfig,
    token_embedding: Tensor,
    position_embedding: Tensor,
    layers: Vec<TransformerLayer>,
    final_layer_norm: LayerNorm,
}

impl ClipText {
    /// Builds the tower in `path`, under `text_model`, with fresh weights.
    pub fn new(path: &nn::Path, config: &ClipTextConfig) -> ClipText {
        let path = path / "text_model";
        let embeddings = &path / "embeddings";
        let features = config.hidden_size;
        let sizes = LayerSizes {
            features,
            heads: config.num_attention_heads,
            hidden: config.intermediate_size,
            eps: config.layer_norm_eps,
            activation: config.hidden_act,
            causal: true,
        };
        let layers = &path / "encoder" / "layers";
        ClipText {
            token_embedding: embedding(&embeddings / "token_embedding", config.vocab_size, features, 0.02),
            position_embedding: embedding(
                &embeddings / "position_embedding",
                config.max_position_embeddings,
                features,
                0.01,
            ),
            layers: (0..config.num_hidden_layers)
                .map(|index| TransformerLayer::new(&(&layers / index), &NAMES, sizes, index))
                .collect(),
            final_layer_norm: LayerNorm::new(&path / "final_layer_norm", features, config.layer_norm_eps),
            config: config.clone(),
        }
    }

    pub fn config(&self) -> &ClipTextConfig {
        &self.config
    }

    /// Hidden states `[N, S, hidden_size]` after the final LayerNorm, of token ids `[N, S]`, in `kind`.
    pub fn forward(&self, ids: &Tensor, kind: Kind) -> Tensor {
        let length = ids.size()[1];
        let mut hidden = Tensor::embedding(&self.token_embedding, ids, -1, false, false)
            + self.position_embedding.narrow(0, 0, length);
        hidden = hidden.to_kind(kind);
        for layer in &self.layers {
            hidden = layer.forward(&hidden, &Frozen);
        }
        self.final_layer_norm.forward(&hidden)
    }

    /// The hidden state `[N, hidden_size]` at each caption's end token, out of `hidden` as `forward` gives it.
    pub fn pool(&self, hidden: &Tensor, ids: &Tensor) -> Tensor {
        let ends = match self.config.eos_token_id {
            2 => ids.argmax(-1, false),
            eos => ids.eq(eos).to_kind(Kind::Int).argmax(-1, false), // the first one
        };
        let index = ends.view([-1, 1, 1]).expand([-1, 1, hidden.size()[2]], false);
        hidden.gather(1, &index, false).squeeze_dim(1)
    }
}

/// The vision tower with its projection.
#[derive(Debug)]
pub struct ClipVision {
    class_embedding: Tensor,
    patch_embedding: Conv2d,
    position_embedding: Tensor,
    pre_layernorm: LayerNorm,
    layers: Vec<TransformerLayer>,
    post_layernorm: LayerNorm,
    visual_projection: Linear,
}

impl ClipVision {
    /// Builds the tower in `path`, under `vision_model` and `visual_projection`, with fresh weights.
    pub fn new(path: &nn::Path, config: &ClipVisionConfig, projection_dim: i64) -> ClipVision {
        let features = config.hidden_size;
        let model = path / "vision_model";
        let embeddings = &model / "embeddings";
        let patches = (config.image_size / config.patch_size).pow(2);
        let sizes = LayerSizes {
            features,
            heads: config.num_attention_heads,
            hidden: config.intermediate_size,
            eps: config.layer_norm_eps,
            activation: config.hidden_act,
            causal: false,
        };
        let layers = &model / "encoder" / "layers";
        let norm = |name: &str| LayerNorm::new(&model / name, features, config.layer_norm_eps);
        ClipVision {
            class_embedding: embeddings.randn("class_embedding", &[features], 0.0, 0.02),
            patch_embedding: Conv2d::without_bias(
                &embeddings / "patch_embedding",
                (3, features),
                config.patch_size,
                config.patch_size,
            ),
            position_embedding: embedding(&embeddings / "position_embedding", patches + 1, features, 0.02),
            pre_layernorm: norm("pre_layrnorm"), // the reference's own spelling
            layers: (0..config.num_hidden_layers)
                .map(|index| TransformerLayer::new(&(&layers / index), &NAMES, sizes, index))
                .collect(),
            post_layernorm: norm("post_layernorm"),
            visual_projection: Linear::new(path / "visual_projection", features, projection_dim, false),
        }
    }

    /// Projected features `[N, projection_dim]` of preprocessed `pictures` `[N, 3, image_size, image_size]`.
    pub fn forward(&self, pictures: &Tensor) -> Tensor {
        let kind = pictures.kind();
        let patches = self.patch_embedding.forward(pictures).flatten(2, 3).transpose(1, 2); // [N, patches, D]
        let (batch, _, features) = patches.size3().expect("patches are [N, P, D]");
        let class = self.class_embedding.to_kind(kind).expand([batch, 1, features], false);
        let hidden = Tensor::cat(&[class, patches], 1) + self.position_embedding.to_kind(kind);
        let mut hidden = self.pre_layernorm.forward(&hidden);
        for layer in &self.layers {
            hidden = layer.forward(&hidden, &Frozen);
        }
        self.visual_projection.forward(&self.post_layernorm.forward(&hidden.select(1, 0)))
    }
}

/// Both towers in one embedding space.
#[derive(Debug)]
pub struct Clip {
    pub text: ClipText,
    pub vision: ClipVision,
    text_projection: Linear,
    logit_scale: Tensor,
}

impl Clip {
    /// Builds the model in `path` with fresh weights; the temperature starts at 0.07.
    pub fn new(path: &nn::Path, config: &ClipConfig) -> Clip {
        let projection = config.projection_dim;
        Clip {
            text: ClipText::new(path, &config.text_config),
            vision: ClipVision::new(path, &config.vision_config, projection),
            text_projection: Linear::new(
                path / "text_projection",
                config.text_config.hidden_size,
                projection,
                false,
            ),
            logit_scale: path.var("logit_scale", &[], nn::Init::Const((1.0f64 / 0.07).ln())),
        }
    }

    /// Unnormalised text features `[N, projection_dim]` of token ids `[N, S]`, computed in `kind`.
    pub fn text_features(&self, ids: &Tensor, kind: Kind) -> Tensor {
        let hidden = self.text.forward(ids, kind);
        self.text_projection.forward(&self.text.pool(&hidden, ids))
    }

    /// exp of the learned temperature, at most 100.
    pub fn scale(&self) -> Tensor {
        self.logit_scale.exp().clamp_max(100.0)
    }
}
