//! The layers the networks are made of. Each casts its weights to the kind of its input, so a network
//! runs in the precision of what it is fed: bf16 in, bf16 out, over f32 weights.

use std::cell::OnceCell;

use delora_core::{HiddenShape, Place, Role};
use fused::{DropoutMask, Winograd};
use tch::{Kind, Tensor, nn};

/// A linear layer with the name under which adapters find it.
#[derive(Debug)]
pub struct Linear {
    /// State-dict prefix, e.g. `down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q`.
    pub name: String,
    /// `[out_features, in_features]`
    pub weight: Tensor,
    /// `[out_features]`
    pub bias: Option<Tensor>,
    casts: Casts,
}

/// What happens at each layer of a network, and to its hidden states. By default all is as the checkpoint says.
pub trait Hook {
    /// Output `[.., out_features]` of `layer` for `input` `[N, .., in_features]`, in the kind of `input`.
    fn linear(&self, layer: &Linear, input: &Tensor) -> Tensor {
        layer.forward(input)
    }

    fn conv2d(&self, layer: &Conv2d, input: &Tensor) -> Tensor {
        layer.forward(input)
    }

    fn group_norm(&self, layer: &GroupNorm, input: &Tensor) -> Tensor {
        layer.forward(input)
    }

    fn layer_norm(&self, layer: &LayerNorm, input: &Tensor) -> Tensor {
        layer.forward(input)
    }

    fn rms_norm(&self, layer: &RmsNorm, input: &Tensor) -> Tensor {
        layer.forward(input)
    }

    fn embedding(&self, layer: &Embedding, ids: &Tensor) -> Tensor {
        layer.forward(ids)
    }

    /// Logits `[.., rows of the table]` of `input` `[N, .., features]`, where a table is the head too.
    fn unembed(&self, table: &Embedding, input: &Tensor) -> Tensor {
        table.logits(input)
    }

    /// `tensor` for `rows` rows, `[rows, ..]`, in `kind`.
    fn learned(&self, tensor: &Learned, rows: i64, kind: Kind) -> Tensor {
        tensor.expanded(rows, kind)
    }

    /// Hidden states on their way through a block.
    fn hidden(&self, _: &HiddenSite, hidden: &Hidden) -> Tensor {
        hidden.values.shallow_clone()
    }

    /// What values of a shape, `[rows, …]`, lose where a network that is being trained has dropout; `None`: nothing.
    /// `site` names the place, once in a network for each kind of dropout.
    fn dropout(&self, _: Dropout, _site: &str, _shape: &[i64]) -> Option<DropoutMask> {
        None
    }
}

/// `values` after the hook's dropout.
pub(crate) fn drop_out(hook: &dyn Hook, dropout: Dropout, site: &str, values: Tensor) -> Tensor {
    match hook.dropout(dropout, site, &values.size()) {
        Some(mask) => mask.apply(&values),
        None => values,
    }
}

/// Which of a network's dropouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropout {
    /// Drops out hidden states, `[N, T, features]`.
    Hidden,
    /// Drops out attention's probabilities, `[N, heads, T, T]`.
    Attention,
    /// Drops out a head's features, `[N, features]`.
    Head,
}

/// The hook of the bare network.
#[derive(Debug, Clone, Copy)]
pub struct Frozen;

impl Hook for Frozen {}

/// A place where hidden states pass by, whose `layer` numbers the network's blocks from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiddenSite {
    pub name: String,
    pub shape: HiddenShape,
}

impl HiddenSite {
    pub(crate) fn new(name: String, place: Place, layer: i64, features: i64) -> HiddenSite {
        HiddenSite { name, shape: HiddenShape { place, layer, features } }
    }
}

/// Hidden states at a site.
pub struct Hidden<'a> {
    /// `[N, T, features]`
    pub values: &'a Tensor,
    /// Tokens of each row that are no padding, `[N]`; absent: all.
    pub lengths: Option<&'a Tensor>,
    /// What the block's norm would make of them and the residual, where the network norms behind it.
    pub normed: Option<&'a dyn Fn() -> Tensor>,
}

/// A network whose layers can be adapted.
pub trait Adaptable {
    /// Every linear layer that goes through the hook.
    fn linears(&self) -> Vec<(&Linear, Role)>;

    /// Every place where hidden states go through the hook.
    fn hidden_sites(&self) -> Vec<HiddenSite>;
}

/// Copies of a layer's weight and bias in the kind that it computes in, each made once: those of a frozen layer are the
/// same at every pass. A layer that is trained, or that computes in the kind of its weights, has none.
#[derive(Debug, Default)]
struct Casts {
    weight: OnceCell<Tensor>,
    bias: OnceCell<Tensor>,
}

impl Casts {
    fn both(&self, (weight, bias): (&Tensor, Option<&Tensor>), kind: Kind) -> (Tensor, Option<Tensor>) {
        (Casts::of(&self.weight, weight, kind), bias.map(|bias| Casts::of(&self.bias, bias, kind)))
    }

    fn of(cell: &OnceCell<Tensor>, own: &Tensor, kind: Kind) -> Tensor {
        if own.kind() == kind || own.requires_grad() {
            return own.to_kind(kind);
        }
        let cast = cell.get_or_init(|| own.to_kind(kind));
        if cast.kind() == kind { cast.shallow_clone() } else { own.to_kind(kind) }
    }
}

/// State-dict prefix of what is built in `path`.
pub(crate) fn name_of(path: &nn::Path) -> String {
    path.components().collect::<Vec<_>>().join(".")
}

impl Linear {
    /// A layer with PyTorch's default initialization, uniform in ±1/sqrt(in_features).
    pub(crate) fn new(path: nn::Path, in_features: i64, out_features: i64, bias: bool) -> Linear {
        let bound = 1.0 / (in_features as f64).sqrt();
        let init = nn::Init::Uniform { lo: -bound, up: bound };
        Linear {
            name: name_of(&path),
            weight: path.var("weight", &[out_features, in_features], init),
            bias: bias.then(|| path.var("bias", &[out_features], init)),
            casts: Casts::default(),
        }
    }

    /// `input` `[.., in_features]` gives `[.., out_features]`.
    pub fn forward(&self, input: &Tensor) -> Tensor {
        let (weight, bias) = self.in_kind(input.kind());
        input.linear(&weight, bias.as_ref())
    }

    /// Weight and bias in `kind`.
    pub fn in_kind(&self, kind: Kind) -> (Tensor, Option<Tensor>) {
        self.casts.both((&self.weight, self.bias.as_ref()), kind)
    }
}

/// A two-dimensional convolution with a square kernel.
#[derive(Debug)]
pub struct Conv2d {
    /// State-dict prefix.
    pub name: String,
    /// `[outputs, inputs, kernel, kernel]`
    pub weight: Tensor,
    pub bias: Option<Tensor>,
    casts: Casts,
    /// The weight as a kernel for frozen ones takes it, where there is one.
    winograd: OnceCell<Option<Winograd>>,
    stride: i64,
    padding: i64,
}

impl Conv2d {
    /// PyTorch's default initialization, uniform in ±1/sqrt(fan-in).
    pub(crate) fn new(
        path: nn::Path,
        channels: (i64, i64),
        kernel: i64,
        stride: i64,
        padding: i64,
    ) -> Conv2d {
        Conv2d::build(path, channels, kernel, stride, padding, true)
    }

    pub(crate) fn without_bias(path: nn::Path, channels: (i64, i64), kernel: i64, stride: i64) -> Conv2d {
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
            name: name_of(&path),
            weight: path.var("weight", &[outputs, inputs, kernel, kernel], init),
            bias: bias.then(|| path.var("bias", &[outputs], init)),
            casts: Casts::default(),
            winograd: OnceCell::new(),
            stride,
            padding,
        }
    }

    /// `input` `[N, inputs, H, W]` gives `[N, outputs, H', W']`.
    pub fn forward(&self, input: &Tensor) -> Tensor {
        self.with_own_weight(input, self.bias.as_ref())
    }

    /// The same as `forward`, with another bias or none.
    pub fn with_own_weight(&self, input: &Tensor, bias: Option<&Tensor>) -> Tensor {
        if let Some(winograd) = self.winograd(input) {
            return winograd.forward(input, bias);
        }
        let (weight, bias) = self.casts.both((&self.weight, bias), input.kind());
        if self.is_linear() && fused::are_kernels(input, &self.weight.size()[..2]) {
            let pixels = input.permute([0, 2, 3, 1]); // as they lie in memory behind the other kernels
            return pixels.linear(&weight.flatten(1, 3), bias.as_ref()).permute([0, 3, 1, 2]);
        }
        self.with(input, &weight, bias.as_ref())
    }

    /// Whether it sees one place at a time.
    fn is_linear(&self) -> bool {
        self.stride == 1 && self.padding == 0 && self.weight.size()[2..] == [1, 1]
    }

    fn winograd(&self, input: &Tensor) -> Option<&Winograd> {
        let is_for = self.stride == 1 && self.padding == 1 && fused::are_kernels(input, &[]);
        if !is_for || self.weight.requires_grad() {
            return None;
        }
        self.winograd.get_or_init(|| Winograd::new(&self.weight)).as_ref()
    }

    /// The same as `forward`, with other values of weight and bias.
    pub fn with(&self, input: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let kind = input.kind();
        let bias = bias.map(|bias| bias.to_kind(kind));
        input.conv2d(&weight.to_kind(kind), bias.as_ref(), [self.stride; 2], [self.padding; 2], [1, 1], 1)
    }
}

#[derive(Debug)]
pub struct GroupNorm {
    /// State-dict prefix.
    pub name: String,
    pub weight: Tensor,
    pub bias: Tensor,
    casts: Casts,
    groups: i64,
    eps: f64,
    has_silu: bool,
}

impl GroupNorm {
    pub(crate) fn new(path: nn::Path, channels: i64, groups: i64, eps: f64) -> GroupNorm {
        GroupNorm {
            name: name_of(&path),
            weight: path.ones("weight", &[channels]),
            bias: path.zeros("bias", &[channels]),
            casts: Casts::default(),
            groups,
            eps,
            has_silu: false,
        }
    }

    /// The same with SiLU behind it.
    pub(crate) fn with_silu(self) -> GroupNorm {
        GroupNorm { has_silu: true, ..self }
    }

    /// What `forward` does behind weight and bias.
    pub fn activated(&self, normed: Tensor) -> Tensor {
        if self.has_silu { normed.silu() } else { normed }
    }

    /// `input` with mean 0 and variance 1 in each group: `forward` before weight and bias.
    pub fn normalised(&self, input: &Tensor) -> Tensor {
        input.group_norm(self.groups, None::<&Tensor>, None::<&Tensor>, self.eps, true)
    }

    pub fn forward(&self, input: &Tensor) -> Tensor {
        let (weight, bias) = self.casts.both((&self.weight, Some(&self.bias)), input.kind());
        let bias = bias.expect("a norm has a bias");
        fused::group_norm(input, [&weight, &bias], self.groups, self.eps, self.has_silu)
    }
}

#[derive(Debug)]
pub struct LayerNorm {
    /// State-dict prefix.
    pub name: String,
    pub weight: Tensor,
    pub bias: Tensor,
    casts: Casts,
    features: i64,
    eps: f64,
}

impl LayerNorm {
    pub(crate) fn new(path: nn::Path, features: i64, eps: f64) -> LayerNorm {
        LayerNorm {
            name: name_of(&path),
            weight: path.ones("weight", &[features]),
            bias: path.zeros("bias", &[features]),
            casts: Casts::default(),
            features,
            eps,
        }
    }

    /// `input` with mean 0 and variance 1: `forward` before weight and bias.
    pub fn normalised(&self, input: &Tensor) -> Tensor {
        input.layer_norm([self.features], None::<&Tensor>, None::<&Tensor>, self.eps, true)
    }

    pub fn forward(&self, input: &Tensor) -> Tensor {
        let (weight, bias) = self.casts.both((&self.weight, Some(&self.bias)), input.kind());
        input.layer_norm([self.features], Some(weight), bias, self.eps, true)
    }
}

/// A norm without a mean.
#[derive(Debug)]
pub struct RmsNorm {
    /// State-dict prefix.
    pub name: String,
    pub weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    pub(crate) fn new(path: nn::Path, features: i64, eps: f64) -> RmsNorm {
        RmsNorm { name: name_of(&path), weight: path.ones("weight", &[features]), eps }
    }

    /// `input` with a mean square of 1, computed in f32: `forward` before the weight.
    pub fn normalised(&self, input: &Tensor) -> Tensor {
        let exact = input.to_kind(Kind::Float);
        let square = exact.square().mean_dim([-1i64].as_slice(), true, Kind::Float);
        (exact * (square + self.eps).rsqrt()).to_kind(input.kind())
    }

    pub fn forward(&self, input: &Tensor) -> Tensor {
        self.normalised(input) * self.weight.to_kind(input.kind())
    }
}

/// A table of vectors, by id.
#[derive(Debug)]
pub struct Embedding {
    /// State-dict prefix.
    pub name: String,
    /// `[rows, features]`
    pub weight: Tensor,
}

impl Embedding {
    /// Drawn from N(0, `stdev`²).
    pub(crate) fn new(path: nn::Path, rows: i64, features: i64, stdev: f64) -> Embedding {
        Embedding { name: name_of(&path), weight: embedding(path, rows, features, stdev) }
    }

    /// `ids` `[..]` gives `[.., features]`.
    pub fn forward(&self, ids: &Tensor) -> Tensor {
        Tensor::embedding(&self.weight, ids, -1, false, false)
    }

    /// How alike `input` `[.., features]` is to each vector, `[.., rows]`.
    pub fn logits(&self, input: &Tensor) -> Tensor {
        input.linear(&self.weight.to_kind(input.kind()), None::<&Tensor>)
    }
}

/// A learned tensor that is the same for every row, such as a class token or all positions.
#[derive(Debug)]
pub struct Learned {
    /// State-dict name.
    pub name: String,
    /// `[1, ..]`
    pub value: Tensor,
}

impl Learned {
    /// Drawn from N(0, `stdev`²).
    pub(crate) fn new(path: &nn::Path, name: &str, shape: &[i64], stdev: f64) -> Learned {
        Learned { name: name_of(&(path / name)), value: path.randn(name, shape, 0.0, stdev) }
    }

    /// `[rows, ..]`, in `kind`.
    pub fn expanded(&self, rows: i64, kind: Kind) -> Tensor {
        let mut shape = self.value.size();
        shape[0] = rows;
        self.value.to_kind(kind).expand(shape, false)
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
    /// x · sigmoid(x)
    #[serde(rename = "silu")]
    Silu,
}

impl Activation {
    pub(crate) fn apply(self, input: &Tensor) -> Tensor {
        match self {
            Activation::QuickGelu => input * (input * 1.702).sigmoid(),
            Activation::Gelu => input.gelu("none"),
            Activation::Silu => input.silu(),
        }
    }
}
