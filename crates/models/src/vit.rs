//! Vision transformer in the layout of DINO's ViT (`ViTModel` without pooler).
//!
//! Reference: transformers' `ViTModel` with `add_pooling_layer=False`. The feature of a picture is its class
//! token after the final LayerNorm.

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn};

use crate::attention::{LayerNames, LayerSizes, TransformerLayer};
use crate::layers::{Activation, Conv2d, LayerNorm};

const NAMES: LayerNames = LayerNames {
    norm1: "layernorm_before",
    query: "attention.attention.query",
    key: "attention.attention.key",
    value: "attention.attention.value",
    out: "attention.output.dense",
    norm2: "layernorm_after",
    up: "intermediate.dense",
    down: "output.dense",
};

/// The keys of `config.json` that decide shapes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VitConfig {
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

fn default_activation() -> Activation {
    Activation::Gelu
}

fn default_eps() -> f64 {
    1e-12
}

/// The network.
#[derive(Debug)]
pub struct Vit {
    config: VitConfig,
    cls_token: Tensor,
    position_embeddings: Tensor,
    projection: Conv2d,
    layers: Vec<TransformerLayer>,
    layernorm: LayerNorm,
}

impl Vit {
    /// Builds the network in `path` with fresh weights.
    pub fn new(path: &nn::Path, config: &VitConfig) -> Vit {
        let features = config.hidden_size;
        let embeddings = path / "embeddings";
        let tokens = (config.image_size / config.patch_size).pow(2) + 1;
        let sizes = LayerSizes {
            features,
            heads: config.num_attention_heads,
            hidden: config.intermediate_size,
            eps: config.layer_norm_eps,
            activation: config.hidden_act,
            causal: false,
        };
        let layers = path / "encoder" / "layer";
        Vit {
            cls_token: embeddings.randn("cls_token", &[1, 1, features], 0.0, 0.02),
            position_embeddings: embeddings.randn("position_embeddings", &[1, tokens, features], 0.0, 0.02),
            projection: Conv2d::new(
                &embeddings / "patch_embeddings" / "projection",
                (3, features),
                config.patch_size,
                config.patch_size,
                0,
            ),
            layers: (0..config.num_hidden_layers)
                .map(|index| TransformerLayer::new(&(&layers / index), &NAMES, sizes))
                .collect(),
            layernorm: LayerNorm::new(path / "layernorm", features, config.layer_norm_eps),
            config: config.clone(),
        }
    }

    pub fn config(&self) -> &VitConfig {
        &self.config
    }

    /// Class-token features `[N, hidden_size]` of preprocessed `pictures` `[N, 3, image_size, image_size]`.
    pub fn forward(&self, pictures: &Tensor) -> Tensor {
        let kind = pictures.kind();
        let patches = self.projection.forward(pictures).flatten(2, 3).transpose(1, 2); // [N, patches, D]
        let (batch, _, features) = patches.size3().expect("patches are [N, P, D]");
        let class = self.cls_token.to_kind(kind).expand([batch, 1, features], false);
        let mut hidden = Tensor::cat(&[class, patches], 1) + self.position_embeddings.to_kind(kind);
        for layer in &self.layers {
            hidden = layer.forward(&hidden);
        }
        self.layernorm.forward(&hidden.select(1, 0))
    }
}
