//! Names and sizes of the full-size networks' parts, without weights.
//!
//! A network of this crate is built twice, at widths 1 and 2. Each side of each tensor is a constant plus a multiple
//! of the width, so the two give every side at any width, and nothing about the network is written a second time.

use tch::nn;

use crate::diffusion::Loaded;
use crate::layers::{Activation, Adaptable, HiddenSite, Linear, Role};
use crate::llama::{self, Llama, LlamaConfig};
use crate::roberta::{Encoder, EncoderConfig, ModelType, Positions};
use crate::unet::{UNet2DCondition, UNetConfig};

/// A network that is known by its shapes.
pub struct Architecture {
    pub name: &'static str,
    pub title: &'static str,
    shapes: fn() -> Shapes,
}

pub static ARCHITECTURES: [Architecture; 3] = [
    Architecture { name: "sd15", title: "UNet of Stable Diffusion 1.5", shapes: sd15 },
    Architecture {
        name: "roberta-base",
        title: "encoder of RoBERTa-base, without pooler",
        shapes: roberta_base,
    },
    Architecture { name: "llama2-7b", title: "LLaMA-2-7B", shapes: llama2_7b },
];

impl Architecture {
    pub fn shapes(&self) -> Shapes {
        (self.shapes)()
    }
}

/// The parts of one network, in its own order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shapes {
    pub linears: Vec<LinearShape>,
    /// Tensors of other layers, by name.
    pub tensors: Vec<(String, Vec<i64>)>,
    pub hidden: Vec<HiddenSite>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinearShape {
    /// State-dict prefix.
    pub name: String,
    pub role: Role,
    /// `[out_features, in_features]`
    pub shape: [i64; 2],
    pub has_bias: bool,
}

impl Shapes {
    /// Those of a network that is there.
    pub fn of<T: Adaptable>(network: &Loaded<T>) -> Shapes {
        let linear = |(linear, role): (&Linear, Role)| {
            let (outputs, inputs) = linear.weight.size2().expect("a weight is a matrix");
            let (name, has_bias) = (linear.name.clone(), linear.bias.is_some());
            LinearShape { name, role, shape: [outputs, inputs], has_bias }
        };
        Shapes {
            linears: network.network.linears().into_iter().map(linear).collect(),
            tensors: network.other_tensors().into_iter().map(|(name, value)| (name, value.size())).collect(),
            hidden: network.network.hidden_sites(),
        }
    }

    /// Those of a network at `width` that is built at widths 1 and 2.
    pub fn at_width<T: Adaptable>(width: i64, build: impl Fn(&nn::Path, i64) -> T) -> Shapes {
        let [one, two] = [1, 2].map(|width| Shapes::of(&Loaded::fresh(|path| build(path, width))));
        let side = |one: i64, two: i64| one + (two - one) * (width - 1);
        let mut shapes = one;
        for (shape, two) in shapes.linears.iter_mut().zip(&two.linears) {
            shape.shape = [0, 1].map(|axis| side(shape.shape[axis], two.shape[axis]));
        }
        for ((_, shape), (_, two)) in shapes.tensors.iter_mut().zip(&two.tensors) {
            shape.iter_mut().zip(two).for_each(|(one, two)| *one = side(*one, *two));
        }
        for (site, two) in shapes.hidden.iter_mut().zip(&two.hidden) {
            site.features = side(site.features, two.features);
        }
        shapes
    }

    /// Weights and biases.
    pub fn num_parameters(&self) -> i64 {
        let linear = |linear: &LinearShape| {
            let [outputs, inputs] = linear.shape;
            outputs * (inputs + i64::from(linear.has_bias))
        };
        let tensors = self.tensors.iter().map(|(_, shape)| shape.iter().product::<i64>());
        self.linears.iter().map(linear).chain(tensors).sum()
    }

    pub fn num_tensors(&self) -> usize {
        let linears = self.linears.iter().map(|linear| 1 + usize::from(linear.has_bias));
        linears.sum::<usize>() + self.tensors.len()
    }
}

fn sd15() -> Shapes {
    let names = |names: [&str; 4]| names.map(str::to_owned).into();
    let (with, without) = ("CrossAttnDownBlock2D", "DownBlock2D");
    let (up_with, up_without) = ("CrossAttnUpBlock2D", "UpBlock2D");
    Shapes::at_width(320, |path, width| {
        let config = UNetConfig {
            sample_size: 64,
            in_channels: 4,
            out_channels: 4,
            down_block_types: names([with, with, with, without]),
            up_block_types: names([up_without, up_with, up_with, up_with]),
            block_out_channels: [1, 2, 4, 4].map(|factor| factor * width).into(),
            layers_per_block: 2,
            cross_attention_dim: 768,
            attention_head_dim: 8,
            norm_num_groups: 32,
            norm_eps: 1e-5,
        };
        UNet2DCondition::new(path, &config)
    })
}

fn roberta_base() -> Shapes {
    // Its width here is that of one of its 12 heads.
    Shapes::at_width(64, |path, width| {
        let config = EncoderConfig {
            model_type: ModelType::Roberta,
            vocab_size: 50265,
            hidden_size: 12 * width,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 48 * width,
            max_position_embeddings: 514,
            type_vocab_size: 1,
            layer_norm_eps: 1e-5,
            hidden_act: Activation::Gelu,
            pad_token_id: 1,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            position_embedding_type: Positions::Absolute,
        };
        Encoder::new(path, &config).expect("the sizes go together")
    })
}

fn llama2_7b() -> Shapes {
    // Its width here is half of that of one of its 32 heads.
    Shapes::at_width(64, |path, width| {
        let config =
            LlamaConfig { hidden_size: 64 * width, intermediate_size: 172 * width, ..llama::LLAMA2_7B };
        Llama::new(path, &config).expect("the sizes go together")
    })
}
