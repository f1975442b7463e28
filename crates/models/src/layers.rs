//! The layers the networks are made of. Each casts its weights to the kind of its input, so a network
//! runs in the precision of what it is fed: bf16 in, bf16 out, over f32 weights.

use tch::{Tensor, nn};

/// A linear layer with the name under which adapters find it.
#[derive(Debug)]
pub struct Linear {
    /// State-dict prefix, e.g. `down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q`.
    pub name: String,
    /// `[out_features, in_features]`
    pub weight: Tensor,
    /// `[out_features]`
    pub bias: Option<Tensor>,
}

/// What happens at each adaptable linear layer of a network.
pub trait LinearHook {
    /// Output `[N, T, out_features]` of `layer` for `input` `[N, T, in_features]`, in the kind of `input`.
    fn linear(&self, layer: &Linear, input: &Tensor) -> Tensor;
}

/// The hook of the bare network: every layer is what the checkpoint says.
#[derive(Debug, Clone, Copy)]
pub struct Frozen;

impl LinearHook for Frozen {
    fn linear(&self, layer: &Linear, input: &Tensor) -> Tensor {
        layer.forward(input)
    }
}

impl Linear {
    /// A layer with PyTorch's default initialization, uniform in ±1/sqrt(in_features).
    pub(crate) fn new(path: nn::Path, in_features: i64, out_features: i64, bias: bool) -> Linear {
        let bound = 1.0 / (in_features as f64).sqrt();
        let init = nn::Init::Uniform { lo: -bound, up: bound };
        Linear {
            name: path.components().collect::<Vec<_>>().join("."),
            weight: path.var("weight", &[out_features, in_features], init),
            bias: bias.then(|| path.var("bias", &[out_features], init)),
        }
    }

    /// `input` `[.., in_features]` gives `[.., out_features]`.
    pub fn forward(&self, input: &Tensor) -> Tensor {
        let kind = input.kind();
        let bias = self.bias.as_ref().map(|bias| bias.to_kind(kind));
        input.linear(&self.weight.to_kind(kind), bias.as_ref())
    }
}

/// A two-dimensional convolution with a square kernel.
#[derive(Debug)]
pub(crate) struct Conv2d {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: i64,
    padding: i64,
}

impl Conv2d {
    /// PyTorch's default initialization, uniform in ±1/sqrt(fan-in).
    pub fn new(path: nn::Path, channels: (i64, i64), kernel: i64, stride: i64, padding: i64) -> Conv2d {
        Conv2d::build(path, channels, kernel, stride, padding, true)
    }

    pub fn without_bias(path: nn::Path, channels: (i64, i64), kernel: i64, stride: i64) -> Conv2d {
        Conv2d::build(path, channels, kernel, stride, 0, false)
    }

    fn build(
        path: nn::Path,
        (inputs, outputs): (i64, i64),
        kernel: i64,
        stride: i64,
        padding: i64,
        bias: bool,
    ) -> Conv2d {
        let bound = 1.0 / ((inputs * kernel * kernel) as f64).sqrt();
        let init = nn::Init::Uniform { lo: -bound, up: bound };
        Conv2d {
            weight: path.var("weight", &[outputs, inputs, kernel, kernel], init),
            bias: bias.then(|| path.var("bias", &[outputs], init)),
            stride,
            padding,
        }
    }

    pub fn forward(&self, input: &Tensor) -> Tensor {
        let kind = input.kind();
        let bias = self.bias.as_ref().map(|bias| bias.to_kind(kind));
        input.conv2d(
            &self.weight.to_kind(kind),
            bias.as_ref(),
            [self.stride; 2],
            [self.padding; 2],
            [1, 1],
            1,
        )
    }
}

#[derive(Debug)]
pub(crate) struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: i64,
    eps: f64,
}

impl GroupNorm {
    pub fn new(path: nn::Path, channels: i64, groups: i64, eps: f64) -> GroupNorm {
        GroupNorm {
            weight: path.ones("weight", &[channels]),
            bias: path.zeros("bias", &[channels]),
            groups,
            eps,
        }
    }

    pub fn forward(&self, input: &Tensor) -> Tensor {
        let kind = input.kind();
        input.group_norm(
            self.groups,
            Some(self.weight.to_kind(kind)),
            Some(self.bias.to_kind(kind)),
            self.eps,
            true,
        )
    }
}

#[derive(Debug)]
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    features: i64,
    eps: f64,
}

impl LayerNorm {
    pub fn new(path: nn::Path, features: i64, eps: f64) -> LayerNorm {
        LayerNorm {
            weight: path.ones("weight", &[features]),
            bias: path.zeros("bias", &[features]),
            features,
            eps,
        }
    }

    pub fn forward(&self, input: &Tensor) -> Tensor {
        let kind = input.kind();
        input.layer_norm(
            [self.features],
            Some(self.weight.to_kind(kind)),
            Some(self.bias.to_kind(kind)),
            self.eps,
            true,
        )
    }
}

/// A learned table, drawn from N(0, `stdev`²).
pub(crate) fn embedding(path: nn::Path, rows: i64, features: i64, stdev: f64) -> Tensor {
    path.var("weight", &[rows, features], nn::Init::Randn { mean: 0.0, stdev })
}

/// The activation named in a `config.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Activation {
    /// x · sigmoid(1.702 x), OpenAI CLIP's.
    #[serde(rename = "quick_gelu")]
    QuickGelu,
    /// The exact, erf form.
    #[serde(rename = "gelu")]
    Gelu,
}

impl Activation {
    pub(crate) fn apply(self, input: &Tensor) -> Tensor {
        match self {
            Activation::QuickGelu => input * (input * 1.702).sigmoid(),
            Activation::Gelu => input.gelu("none"),
        }
    }
}
