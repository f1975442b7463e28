//! UNet2DConditionModel in the layout of Stable Diffusion 1.x and 2.x (`unet/` of the checkpoint).
//!
//! Reference: diffusers' `UNet2DConditionModel`; key names and shapes in the checkpoint's own state dict. All layers go through the hook.

mod blocks;

use delora_core::{HiddenShape, Role};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, nn};

use crate::layers::{Adaptable, Conv2d, GroupNorm, HiddenSite, Hook, Linear};
use blocks::{ResnetBlock, SpatialTransformer};

/// The keys of `unet/config.json` that decide shapes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UNetConfig {
    pub sample_size: i64,
    pub in_channels: i64,
    pub out_channels: i64,
    /// `CrossAttnDownBlock2D` or `DownBlock2D`, from the highest resolution down.
    pub down_block_types: Vec<String>,
    /// `CrossAttnUpBlock2D` or `UpBlock2D`, from the lowest resolution up.
    pub up_block_types: Vec<String>,
    pub block_out_channels: Vec<i64>,
    pub layers_per_block: i64,
    pub cross_attention_dim: i64,
    pub attention_head_dim: Heads,
    /// Transformers take and give pictures through linear layers, and not through convolutions.
    #[serde(default)]
    pub use_linear_projection: bool,
    #[serde(default = "default_groups")]
    pub norm_num_groups: i64,
    #[serde(default = "default_eps")]
    pub norm_eps: f64,
}

/// The number of heads, in spite of the key's name (a bug of the original configs that stays).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number of heads or a list with one for each level")]
pub enum Heads {
    Same(i64),
    /// One number for each level, from the highest resolution down.
    ByLevel(Vec<i64>),
}

impl Heads {
    /// At the level with this number; levels are counted from the highest resolution.
    pub(crate) fn at(&self, level: usize) -> i64 {
        match self {
            Heads::Same(heads) => *heads,
            Heads::ByLevel(heads) => heads[level],
        }
    }

    pub(crate) fn check(&self, levels: usize) -> Result<(), String> {
        match self {
            Heads::ByLevel(heads) if heads.len() != levels => Err(format!(
                "`attention_head_dim` has {} entries and `block_out_channels` {levels}",
                heads.len()
            )),
            _ => Ok(()),
        }
    }
}

fn default_groups() -> i64 {
    32
}

fn default_eps() -> f64 {
    1e-5
}

impl UNetConfig {
    /// Features and heads of each level, from the highest resolution down.
    fn level_sizes(&self) -> Vec<(i64, i64)> {
        let channels = self.block_out_channels.iter().enumerate();
        channels.map(|(level, &features)| (features, self.attention_head_dim.at(level))).collect()
    }
}

/// One level: residual blocks, each followed by attention where the level has it, then a change of size.
#[derive(Debug)]
struct Level {
    resnets: Vec<ResnetBlock>,
    attentions: Vec<SpatialTransformer>,
    resize: Option<Conv2d>,
}

impl Level {
    fn layer(&self, index: usize, input: &Tensor, time: &Tensor, step: &Step) -> Tensor {
        let hidden = self.resnets[index].forward(input, time, step.hook);
        match self.attentions.get(index) {
            Some(attention) => attention.forward(&hidden, step.context, step.hook),
            None => hidden,
        }
    }
}

/// What every block of one forward pass needs.
#[derive(Clone, Copy)]
pub struct Step<'a> {
    /// `[N, S, cross_attention_dim]`, in the kind of the pass.
    pub context: &'a Tensor,
    pub hook: &'a dyn Hook,
}

/// What goes from one piece of the network to the next.
#[derive(Debug)]
pub struct State {
    /// silu(time embedding), `[N, time_features]`.
    time: Tensor,
    values: Tensor,
    /// What waits for the way up, the latest last.
    skips: Vec<Tensor>,
}

impl State {
    /// Its tensors as a list, for gradients.
    pub fn into_tensors(self) -> Vec<Tensor> {
        let mut tensors = vec![self.time, self.values];
        tensors.extend(self.skips);
        tensors
    }

    /// The state whose list [`State::into_tensors`] has made. Panics where the list is shorter than two.
    pub fn from_tensors(tensors: &[Tensor]) -> State {
        let mut tensors = tensors.iter().map(Tensor::shallow_clone);
        let mut next = || tensors.next().expect("a time embedding and values");
        State { time: next(), values: next(), skips: tensors.collect() }
    }

    /// What is predicted, behind the last piece.
    pub fn into_values(self) -> Tensor {
        self.values
    }
}

/// The denoiser: predicts the noise in a latent picture or its velocity, as the schedule says, given the timestep and the
/// caption's hidden states.
#[derive(Debug)]
pub struct UNet2DCondition {
    config: UNetConfig,
    conv_in: Conv2d,
    time_linear_1: Linear,
    time_linear_2: Linear,
    down: Vec<Level>,
    middle: Level,
    up: Vec<Level>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl UNet2DCondition {
    /// Builds the network in `path` with fresh weights.
    pub fn new(path: &nn::Path, config: &UNetConfig) -> UNet2DCondition {
        let channels = &config.block_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let time_features = 4 * first;
        let time = path / "time_embedding";
        let middle = path / "mid_block";
        let last_heads = config.attention_head_dim.at(channels.len() - 1);
        let middle_resnet =
            |index: i64| ResnetBlock::new(&middle / "resnets" / index, (last, last), time_features, config);
        UNet2DCondition {
            conv_in: Conv2d::new(path / "conv_in", (config.in_channels, first), 3, 1, 1),
            time_linear_1: Linear::new(&time / "linear_1", first, time_features, true),
            time_linear_2: Linear::new(&time / "linear_2", time_features, time_features, true),
            down: down_levels(&(path / "down_blocks"), config),
            middle: Level {
                resnets: vec![middle_resnet(0), middle_resnet(1)],
                attentions: vec![SpatialTransformer::new(
                    &middle / "attentions" / 0,
                    (last, last_heads),
                    config,
                )],
                resize: None,
            },
            up: up_levels(&(path / "up_blocks"), config),
            norm_out: GroupNorm::new(path / "conv_norm_out", first, config.norm_num_groups, config.norm_eps)
                .with_silu(),
            conv_out: Conv2d::new(path / "conv_out", (first, config.out_channels), 3, 1, 1),
            config: config.clone(),
        }
    }

    pub fn config(&self) -> &UNetConfig {
        &self.config
    }

    /// The prediction, in the shape of `sample`.
    ///
    /// `sample` `[N, in_channels, H, W]`, `timesteps` `[N]`, `context` `[N, S, cross_attention_dim]`. Runs in the
    /// kind of `sample`.
    pub fn forward(&self, sample: &Tensor, timesteps: &Tensor, context: &Tensor, hook: &dyn Hook) -> Tensor {
        self.forward_controlled(sample, timesteps, context, None, hook)
    }

    /// The same as [`UNet2DCondition::forward`], with `control` `[N, block_out_channels[0], H, W]` added to what `conv_in` gives,
    /// as OFT's semantic-map-to-image code adds the condition encoder's output.
    pub fn forward_controlled(
        &self,
        sample: &Tensor,
        timesteps: &Tensor,
        context: &Tensor,
        control: Option<&Tensor>,
        hook: &dyn Hook,
    ) -> Tensor {
        let context = context.to_kind(sample.kind());
        let step = Step { context: &context, hook };
        let start = self.enter(sample, timesteps, control, step);
        let end = (0..self.num_pieces()).fold(start, |state, piece| self.piece(piece, state, step));
        end.into_values()
    }

    /// What the first piece takes: `sample` and `control` behind the first layer, and the embedded `timesteps`.
    pub fn enter(&self, sample: &Tensor, timesteps: &Tensor, control: Option<&Tensor>, step: Step) -> State {
        let hook = step.hook;
        let time = timestep_embedding(timesteps, self.config.block_out_channels[0]).to_kind(sample.kind());
        let time = hook.linear(&self.time_linear_2, &hook.linear(&self.time_linear_1, &time).silu()).silu();
        let mut values = hook.conv2d(&self.conv_in, sample);
        if let Some(control) = control {
            values += control.to_kind(sample.kind());
        }
        State { time, skips: vec![values.shallow_clone()], values }
    }

    /// Pieces between [`UNet2DCondition::enter`] and the end: each layer of each level with what follows it, and the
    /// last convolution.
    pub fn num_pieces(&self) -> usize {
        self.levels().map(|level| level.resnets.len()).sum::<usize>() + 1
    }

    /// Runs one piece; what the last one gives is the prediction.
    pub fn piece(&self, index: usize, state: State, step: Step) -> State {
        let State { time, mut values, mut skips } = state;
        let hook = step.hook;
        let (mut first, middle) = (0, self.down.len());
        for (place, level) in self.levels().enumerate() {
            let layer = index - first;
            first += level.resnets.len();
            if layer >= level.resnets.len() {
                continue;
            }
            if place > middle {
                let skip = skips.pop().expect("one skip for each layer on the way up");
                values = Tensor::cat(&[values, skip], 1);
            }
            values = level.layer(layer, &values, &time, &step);
            if place < middle {
                skips.push(values.shallow_clone());
            }
            if layer + 1 == level.resnets.len()
                && let Some(resize) = &level.resize
            {
                if place > middle {
                    let (_, _, height, width) = values.size4().expect("pictures are [N, C, H, W]");
                    values = values.upsample_nearest2d([2 * height, 2 * width], None, None);
                }
                values = hook.conv2d(resize, &values);
                if place < middle {
                    skips.push(values.shallow_clone());
                }
            }
            return State { time, values, skips };
        }
        let values = hook.conv2d(&self.conv_out, &hook.group_norm(&self.norm_out, &values));
        State { time, values: values.contiguous(), skips }
    }

    fn levels(&self) -> impl Iterator<Item = &Level> {
        self.down.iter().chain([&self.middle]).chain(&self.up)
    }

    fn transformers(&self) -> impl Iterator<Item = &SpatialTransformer> {
        self.levels().flat_map(|level| &level.attentions)
    }
}

impl Adaptable for UNet2DCondition {
    fn linears(&self) -> Vec<(&Linear, Role)> {
        let time = [&self.time_linear_1, &self.time_linear_2].into_iter();
        let time =
            time.chain(self.levels().flat_map(|level| &level.resnets).map(|block| &block.time_emb_proj));
        let blocks = self.transformers().flat_map(SpatialTransformer::linears);
        blocks.chain(time.map(|linear| (linear, Role::Other))).collect()
    }

    fn hidden_sites(&self) -> Vec<HiddenSite> {
        let numbered = (0..).zip(self.transformers());
        numbered
            .flat_map(|(layer, block)| {
                let numbered = move |site: &HiddenSite| HiddenSite {
                    name: site.name.clone(),
                    shape: HiddenShape { layer, ..site.shape },
                };
                block.hidden.iter().map(numbered)
            })
            .collect()
    }
}

fn attentions(
    path: &nn::Path,
    kind: &str,
    sizes: (i64, i64),
    count: i64,
    config: &UNetConfig,
) -> Vec<SpatialTransformer> {
    let count = if kind.starts_with("CrossAttn") { count } else { 0 };
    (0..count).map(|index| SpatialTransformer::new(path / "attentions" / index, sizes, config)).collect()
}

/// A level for each of `sizes`, which are features and heads; all but the last end with the convolution `resize`, of this
/// stride. `skipped` are the features that a block takes besides, by level and block.
fn levels(
    path: &nn::Path,
    config: &UNetConfig,
    (sizes, kinds): (&[(i64, i64)], &[String]),
    (layers, skipped): (i64, impl Fn(usize, i64) -> i64),
    (resize, stride): (&str, i64),
) -> Vec<Level> {
    let (mut previous, _) = sizes[0];
    let level = |(index, (&(features, heads), kind)): (usize, (&(i64, i64), &String))| {
        let path = path / index;
        let before = std::mem::replace(&mut previous, features);
        let resnet = |layer: i64| {
            let inputs = if layer == 0 { before } else { features } + skipped(index, layer);
            let time_features = 4 * config.block_out_channels[0];
            ResnetBlock::new(&path / "resnets" / layer, (inputs, features), time_features, config)
        };
        let convolution = || Conv2d::new(&path / resize / 0 / "conv", (features, features), 3, stride, 1);
        Level {
            resnets: (0..layers).map(resnet).collect(),
            attentions: attentions(&path, kind, (features, heads), layers, config),
            resize: (index + 1 < sizes.len()).then(convolution),
        }
    };
    sizes.iter().zip(kinds).enumerate().map(level).collect()
}

fn down_levels(path: &nn::Path, config: &UNetConfig) -> Vec<Level> {
    let levels_of = (&config.level_sizes()[..], &config.down_block_types[..]);
    levels(path, config, levels_of, (config.layers_per_block, |_, _| 0), ("downsamplers", 2))
}

fn up_levels(path: &nn::Path, config: &UNetConfig) -> Vec<Level> {
    let sizes: Vec<(i64, i64)> = config.level_sizes().into_iter().rev().collect();
    let layers = config.layers_per_block + 1;
    let skipped = |index: usize, layer: i64| {
        let below = index + usize::from(layer + 1 == layers);
        sizes[below.min(sizes.len() - 1)].0
    };
    levels(path, config, (&sizes, &config.up_block_types), (layers, skipped), ("upsamplers", 1))
}

/// Sinusoidal embedding `[N, features]`, cosines first (`flip_sin_to_cos`), frequency shift 0.
fn timestep_embedding(timesteps: &Tensor, features: i64) -> Tensor {
    let half = features / 2;
    let exponents =
        Tensor::arange(half, (Kind::Float, timesteps.device())) * (-(10_000f64.ln()) / half as f64);
    let angles = timesteps.to_kind(Kind::Float).unsqueeze(-1) * exponents.exp().unsqueeze(0);
    Tensor::cat(&[angles.cos(), angles.sin()], -1)
}
