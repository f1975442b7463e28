//! AutoencoderKL, the picture codec of Stable Diffusion (`vae/` of the checkpoint).
//!
//! Reference: diffusers' `AutoencoderKL`; GroupNorm eps 1e-6 throughout, one attention head in the middle.

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn};

use crate::attention::attention;
use crate::layers::{Conv2d, GroupNorm, Linear};

const EPS: f64 = 1e-6;

/// The keys of `vae/config.json` that decide shapes and the latent scale.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VaeConfig {
    pub in_channels: i64,
    pub out_channels: i64,
    pub block_out_channels: Vec<i64>,
    pub layers_per_block: i64,
    pub latent_channels: i64,
    #[serde(default = "default_groups")]
    pub norm_num_groups: i64,
    /// Latents are multiplied by this after encoding, so that their variance is about one.
    #[serde(default = "default_scaling")]
    pub scaling_factor: f64,
}

fn default_groups() -> i64 {
    32
}

fn default_scaling() -> f64 {
    0.18215
}

#[derive(Debug)]
struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
}

impl ResnetBlock {
    fn new(path: nn::Path, channels: (i64, i64), groups: i64) -> ResnetBlock {
        let (inputs, outputs) = channels;
        ResnetBlock {
            norm1: GroupNorm::new(&path / "norm1", inputs, groups, EPS).with_silu(),
            conv1: Conv2d::new(&path / "conv1", channels, 3, 1, 1),
            norm2: GroupNorm::new(&path / "norm2", outputs, groups, EPS).with_silu(),
            conv2: Conv2d::new(&path / "conv2", (outputs, outputs), 3, 1, 1),
            conv_shortcut: (inputs != outputs)
                .then(|| Conv2d::new(&path / "conv_shortcut", channels, 1, 1, 0)),
        }
    }

    fn forward(&self, input: &Tensor) -> Tensor {
        let hidden = self.conv1.forward(&self.norm1.forward(input));
        let hidden = self.conv2.forward(&self.norm2.forward(&hidden));
        match &self.conv_shortcut {
            Some(shortcut) => shortcut.forward(input) + hidden,
            None => input + hidden,
        }
    }
}

/// Residual block, single-head attention, residual block.
#[derive(Debug)]
struct MidBlock {
    resnets: [ResnetBlock; 2],
    group_norm: GroupNorm,
    projections: [Linear; 4],
}

impl MidBlock {
    fn new(path: nn::Path, features: i64, groups: i64) -> MidBlock {
        let resnet = |index: i64| ResnetBlock::new(&path / "resnets" / index, (features, features), groups);
        let attention = &path / "attentions" / 0;
        let linear = |path: nn::Path| Linear::new(path, features, features, true);
        MidBlock {
            resnets: [resnet(0), resnet(1)],
            group_norm: GroupNorm::new(&attention / "group_norm", features, groups, EPS),
            projections: [
                linear(&attention / "to_q"),
                linear(&attention / "to_k"),
                linear(&attention / "to_v"),
                linear(&attention / "to_out" / 0),
            ],
        }
    }

    fn forward(&self, input: &Tensor) -> Tensor {
        let hidden = self.resnets[0].forward(input);
        let (batch, channels, height, width) = hidden.size4().expect("pictures are [N, C, H, W]");
        let tokens = self.group_norm.forward(&hidden).permute([0, 2, 3, 1]);
        let tokens = tokens.reshape([batch, height * width, channels]);
        let [query, key, value, out] = &self.projections;
        let mixed =
            attention(&query.forward(&tokens), &key.forward(&tokens), &value.forward(&tokens), 1, false);
        let mixed = out.forward(&mixed).reshape([batch, height, width, channels]).permute([0, 3, 1, 2]);
        self.resnets[1].forward(&(hidden + mixed))
    }
}

#[derive(Debug)]
struct Level {
    resnets: Vec<ResnetBlock>,
    resize: Option<Conv2d>,
}

/// The autoencoder: pictures in [-1, 1] to latents and back.
#[derive(Debug)]
pub struct AutoencoderKl {
    config: VaeConfig,
    encoder_in: Conv2d,
    down: Vec<Level>,
    encoder_middle: MidBlock,
    encoder_norm: GroupNorm,
    encoder_out: Conv2d,
    quant_conv: Conv2d,
    post_quant_conv: Conv2d,
    decoder_in: Conv2d,
    decoder_middle: MidBlock,
    up: Vec<Level>,
    decoder_norm: GroupNorm,
    decoder_out: Conv2d,
}

impl AutoencoderKl {
    /// Builds the network in `path` with fresh weights.
    pub fn new(path: &nn::Path, config: &VaeConfig) -> AutoencoderKl {
        let (encoder, decoder) = (path / "encoder", path / "decoder");
        let channels = &config.block_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let (groups, latent) = (config.norm_num_groups, config.latent_channels);
        AutoencoderKl {
            encoder_in: Conv2d::new(&encoder / "conv_in", (config.in_channels, first), 3, 1, 1),
            down: down_levels(&(&encoder / "down_blocks"), config),
            encoder_middle: MidBlock::new(&encoder / "mid_block", last, groups),
            encoder_norm: GroupNorm::new(&encoder / "conv_norm_out", last, groups, EPS).with_silu(),
            encoder_out: Conv2d::new(&encoder / "conv_out", (last, 2 * latent), 3, 1, 1),
            quant_conv: Conv2d::new(path / "quant_conv", (2 * latent, 2 * latent), 1, 1, 0),
            post_quant_conv: Conv2d::new(path / "post_quant_conv", (latent, latent), 1, 1, 0),
            decoder_in: Conv2d::new(&decoder / "conv_in", (latent, last), 3, 1, 1),
            decoder_middle: MidBlock::new(&decoder / "mid_block", last, groups),
            up: up_levels(&(&decoder / "up_blocks"), config),
            decoder_norm: GroupNorm::new(&decoder / "conv_norm_out", first, groups, EPS).with_silu(),
            decoder_out: Conv2d::new(&decoder / "conv_out", (first, config.out_channels), 3, 1, 1),
            config: config.clone(),
        }
    }

    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// Mean and log-variance (clamped to [-30, 20]) of the latents, each `[N, latent_channels, h, w]`, unscaled.
    ///
    /// `pictures` `[N, 3, H, W]` in [-1, 1]; H and W are halved once per level but the last.
    pub fn encode(&self, pictures: &Tensor) -> (Tensor, Tensor) {
        let mut hidden = self.encoder_in.forward(pictures);
        for level in &self.down {
            for resnet in &level.resnets {
                hidden = resnet.forward(&hidden);
            }
            if let Some(downsample) = &level.resize {
                hidden = downsample.forward(&hidden.constant_pad_nd([0, 1, 0, 1]));
            }
        }
        hidden = self.encoder_norm.forward(&self.encoder_middle.forward(&hidden));
        let moments = self.quant_conv.forward(&self.encoder_out.forward(&hidden)).chunk(2, 1);
        (moments[0].contiguous(), moments[1].clamp(-30.0, 20.0).contiguous())
    }

    /// Pictures `[N, 3, H, W]`, about in [-1, 1], of unscaled `latents` `[N, latent_channels, h, w]`.
    pub fn decode(&self, latents: &Tensor) -> Tensor {
        let hidden = self.decoder_in.forward(&self.post_quant_conv.forward(latents));
        let mut hidden = self.decoder_middle.forward(&hidden);
        for level in &self.up {
            for resnet in &level.resnets {
                hidden = resnet.forward(&hidden);
            }
            if let Some(upsample) = &level.resize {
                let (_, _, height, width) = hidden.size4().expect("pictures are [N, C, H, W]");
                hidden = upsample.forward(&hidden.upsample_nearest2d([2 * height, 2 * width], None, None));
            }
        }
        self.decoder_out.forward(&self.decoder_norm.forward(&hidden)).contiguous()
    }
}

fn resnets(path: &nn::Path, channels: (i64, i64), count: i64, groups: i64) -> Vec<ResnetBlock> {
    let (inputs, outputs) = channels;
    (0..count)
        .map(|layer| {
            let inputs = if layer == 0 { inputs } else { outputs };
            ResnetBlock::new(path / "resnets" / layer, (inputs, outputs), groups)
        })
        .collect()
}

/// A level for each width; all but the last end with the convolution `resize`, of this stride and padding.
fn levels(
    path: &nn::Path,
    channels: impl ExactSizeIterator<Item = i64>,
    (count, groups): (i64, i64),
    (resize, stride, padding): (&str, i64, i64),
) -> Vec<Level> {
    let last = channels.len() - 1;
    let mut previous = None;
    let level = |(index, features): (usize, i64)| {
        let path = path / index;
        let inputs = previous.replace(features).unwrap_or(features);
        let convolution =
            || Conv2d::new(&path / resize / 0 / "conv", (features, features), 3, stride, padding);
        Level {
            resnets: resnets(&path, (inputs, features), count, groups),
            resize: (index < last).then(convolution),
        }
    };
    channels.enumerate().map(level).collect()
}

fn down_levels(path: &nn::Path, config: &VaeConfig) -> Vec<Level> {
    let sizes = (config.layers_per_block, config.norm_num_groups);
    levels(path, config.block_out_channels.iter().copied(), sizes, ("downsamplers", 2, 0))
}

fn up_levels(path: &nn::Path, config: &VaeConfig) -> Vec<Level> {
    let sizes = (config.layers_per_block + 1, config.norm_num_groups);
    levels(path, config.block_out_channels.iter().rev().copied(), sizes, ("upsamplers", 1, 1))
}
