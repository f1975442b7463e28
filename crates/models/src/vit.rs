//! Vision transformer in the layout of DINO's ViT (`ViTModel` without pooler), and its head that classifies pictures.
//!
//! Reference: transformers' `ViTModel` with `add_pooling_layer=False`, and `ViTForImageClassification`. The feature of a
//! picture is its class token after the final LayerNorm. All layers, hidden states and learned tensors go through the
//! hook.

use std::path::Path;

use delora_core::Role;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor, nn};

use crate::attention::{LayerNames, LayerSizes, TransformerLayer};
use crate::layers::{Activation, Adaptable, Conv2d, Frozen, HiddenSite, Hook, LayerNorm, Learned, Linear};
use crate::loaded::{Loaded, load_with_config};
use crate::weights::{WeightsError, naming};

const NAMES: LayerNames = LayerNames {
    norm1: "layernorm_before",
    query: "attention.attention.query",
    key: "attention.attention.key",
    value: "attention.attention.value",
    out: "attention.output.dense",
    norm2: "layernorm_after",
    up: "intermediate.dense",
    down: "output.dense",
    behind_attention: "attention.output",
    behind_feed_forward: "output",
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

impl VitConfig {
    /// Tokens of a picture: its patches, and the class token in front.
    pub fn num_tokens(&self) -> i64 {
        (self.image_size / self.patch_size).pow(2) + 1
    }
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
    cls_token: Learned,
    position_embeddings: Learned,
    projection: Conv2d,
    layers: Vec<TransformerLayer>,
    layernorm: LayerNorm,
}

impl Vit {
    /// Builds the network in `path` with fresh weights.
    pub fn new(path: &nn::Path, config: &VitConfig) -> Vit {
        let features = config.hidden_size;
        let embeddings = path / "embeddings";
        let tokens = config.num_tokens();
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
            cls_token: Learned::new(&embeddings, "cls_token", &[1, 1, features], 0.02),
            position_embeddings: Learned::new(
                &embeddings,
                "position_embeddings",
                &[1, tokens, features],
                0.02,
            ),
            projection: Conv2d::new(
                &embeddings / "patch_embeddings" / "projection",
                (3, features),
                config.patch_size,
                config.patch_size,
                0,
            ),
            layers: (0..config.num_hidden_layers)
                .map(|index| TransformerLayer::new(&(&layers / index), &NAMES, sizes, index))
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
        self.features(pictures, &Frozen)
    }

    /// The same as `forward`, through a hook.
    pub fn features(&self, pictures: &Tensor, hook: &dyn Hook) -> Tensor {
        let kind = pictures.kind();
        let patches = hook.conv2d(&self.projection, pictures).flatten(2, 3).transpose(1, 2); // [N, patches, D]
        let rows = pictures.size()[0];
        let class = hook.learned(&self.cls_token, rows, kind); // [N, 1, D]
        let positions = hook.learned(&self.position_embeddings, rows, kind); // [N, 1 + patches, D]
        let mut hidden = Tensor::cat(&[class, patches], 1) + positions;
        for layer in &self.layers {
            hidden = layer.forward(&hidden, hook);
        }
        hook.layer_norm(&self.layernorm, &hidden.select(1, 0))
    }

    /// A head of `num_labels` classes in `path`, with PyTorch's default weights: `classifier` of the class token's features.
    pub fn classifier(path: &nn::Path, config: &VitConfig, num_labels: i64) -> Linear {
        Linear::new(path / "classifier", config.hidden_size, num_labels, true)
    }
}

impl Adaptable for Vit {
    fn linears(&self) -> Vec<(&Linear, Role)> {
        self.layers.iter().flat_map(TransformerLayer::linears).collect()
    }

    fn hidden_sites(&self) -> Vec<HiddenSite> {
        self.layers.iter().flat_map(TransformerLayer::hidden_sites).cloned().collect()
    }
}

/// A vision transformer with its head.
#[derive(Debug)]
pub struct ImageClassifier {
    pub vit: Vit,
    pub head: Linear,
}

impl ImageClassifier {
    /// Logits `[N, num_labels]` of preprocessed `pictures` `[N, 3, image_size, image_size]`.
    pub fn forward(&self, pictures: &Tensor, hook: &dyn Hook) -> Tensor {
        hook.linear(&self.head, &self.vit.features(pictures, hook))
    }
}

impl Adaptable for ImageClassifier {
    fn linears(&self) -> Vec<(&Linear, Role)> {
        self.vit.linears().into_iter().chain([(&self.head, Role::Other)]).collect()
    }

    fn hidden_sites(&self) -> Vec<HiddenSite> {
        self.vit.hidden_sites()
    }
}

/// The classifier of `num_labels` classes of a folder with `config.json` and weights, frozen.
pub fn load_image_classifier(
    folder: &Path,
    num_labels: i64,
    device: Device,
) -> Result<Loaded<ImageClassifier>, WeightsError> {
    load_with_config(folder, &naming::VIT_CLASSIFIER, device, |path, config: &VitConfig| ImageClassifier {
        vit: Vit::new(path, config),
        head: Vit::classifier(path, config, num_labels),
    })
}
