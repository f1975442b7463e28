//! The denoiser's blocks: residual convolutions that see the timestep, and transformers that see the caption.

use delora_core::{Place, Role};
use tch::{Tensor, nn};

use super::UNetConfig;
use crate::attention::attention;
use crate::layers::{Conv2d, GroupNorm, Hidden, HiddenSite, Hook, LayerNorm, Linear};

/// diffusers' `ResnetBlock2D`.
#[derive(Debug)]
pub struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    pub time_emb_proj: Linear,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
}

impl ResnetBlock {
    pub fn new(path: nn::Path, channels: (i64, i64), time_features: i64, config: &UNetConfig) -> ResnetBlock {
        let (groups, eps) = (config.norm_num_groups, config.norm_eps);
        let (inputs, outputs) = channels;
        ResnetBlock {
            norm1: GroupNorm::new(&path / "norm1", inputs, groups, eps).with_silu(),
            conv1: Conv2d::new(&path / "conv1", channels, 3, 1, 1),
            time_emb_proj: Linear::new(&path / "time_emb_proj", time_features, outputs, true),
            norm2: GroupNorm::new(&path / "norm2", outputs, groups, eps).with_silu(),
            conv2: Conv2d::new(&path / "conv2", (outputs, outputs), 3, 1, 1),
            conv_shortcut: (inputs != outputs)
                .then(|| Conv2d::new(&path / "conv_shortcut", channels, 1, 1, 0)),
        }
    }

    /// `input` `[N, inputs, H, W]` gives `[N, outputs, H, W]`; `time` is silu(time embedding), `[N, time_features]`.
    pub fn forward(&self, input: &Tensor, time: &Tensor, hook: &dyn Hook) -> Tensor {
        let hidden = hook.conv2d(&self.conv1, &hook.group_norm(&self.norm1, input));
        let hidden = hidden + hook.linear(&self.time_emb_proj, time).unsqueeze(-1).unsqueeze(-1);
        let hidden = hook.conv2d(&self.conv2, &hook.group_norm(&self.norm2, &hidden));
        match &self.conv_shortcut {
            Some(shortcut) => hook.conv2d(shortcut, input) + hidden,
            None => input + hidden,
        }
    }
}

/// Attention with keys and values from `context`, or from the input itself where there is none.
#[derive(Debug)]
struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    heads: i64,
}

impl Attention {
    fn new(path: nn::Path, features: i64, context_features: i64, heads: i64) -> Attention {
        Attention {
            to_q: Linear::new(&path / "to_q", features, features, false),
            to_k: Linear::new(&path / "to_k", context_features, features, false),
            to_v: Linear::new(&path / "to_v", context_features, features, false),
            to_out: Linear::new(&path / "to_out" / 0, features, features, true),
            heads,
        }
    }

    fn forward(&self, input: &Tensor, context: &Tensor, hook: &dyn Hook) -> Tensor {
        let query = hook.linear(&self.to_q, input);
        let key = hook.linear(&self.to_k, context);
        let value = hook.linear(&self.to_v, context);
        hook.linear(&self.to_out, &attention(&query, &key, &value, self.heads, false))
    }

    fn linears(&self) -> [(&Linear, Role); 4] {
        [
            (&self.to_q, Role::Query),
            (&self.to_k, Role::Key),
            (&self.to_v, Role::Value),
            (&self.to_out, Role::Output),
        ]
    }
}

/// What leads from pixels to tokens and back.
#[derive(Debug)]
enum Projection {
    Convolution(Conv2d),
    Linear(Linear),
}

impl Projection {
    fn new(path: nn::Path, features: i64, is_linear: bool) -> Projection {
        match is_linear {
            true => Projection::Linear(Linear::new(path, features, features, true)),
            false => Projection::Convolution(Conv2d::new(path, (features, features), 1, 1, 0)),
        }
    }

    fn linear(&self) -> Option<&Linear> {
        match self {
            Projection::Linear(layer) => Some(layer),
            Projection::Convolution(_) => None,
        }
    }
}

/// `Transformer2DModel` with one `BasicTransformerBlock`.
#[derive(Debug)]
pub struct SpatialTransformer {
    norm: GroupNorm,
    proj_in: Projection,
    norm1: LayerNorm,
    attn1: Attention,
    norm2: LayerNorm,
    attn2: Attention,
    norm3: LayerNorm,
    ff_in: Linear,
    ff_out: Linear,
    proj_out: Projection,
    /// Behind `attn1`, `attn2`, the feed-forward block, and of the whole.
    pub hidden: [HiddenSite; 4],
}

impl SpatialTransformer {
    pub fn new(path: nn::Path, (features, heads): (i64, i64), config: &UNetConfig) -> SpatialTransformer {
        let block = &path / "transformer_blocks" / 0;
        let prefix = block.components().collect::<Vec<_>>().join(".");
        // The network numbers its blocks when all of them are there.
        let site = |name: &str, place| HiddenSite::new(format!("{prefix}{name}"), place, 0, features);
        let feed_forward = &block / "ff" / "net";
        let projection = |name| Projection::new(&path / name, features, config.use_linear_projection);
        SpatialTransformer {
            norm: GroupNorm::new(&path / "norm", features, config.norm_num_groups, 1e-6),
            proj_in: projection("proj_in"),
            norm1: LayerNorm::new(&block / "norm1", features, 1e-5),
            attn1: Attention::new(&block / "attn1", features, features, heads),
            norm2: LayerNorm::new(&block / "norm2", features, 1e-5),
            attn2: Attention::new(&block / "attn2", features, config.cross_attention_dim, heads),
            norm3: LayerNorm::new(&block / "norm3", features, 1e-5),
            ff_in: Linear::new(&feed_forward / 0 / "proj", features, 8 * features, true),
            ff_out: Linear::new(&feed_forward / 2, 4 * features, features, true),
            proj_out: projection("proj_out"),
            hidden: [
                site(".attn1", Place::AttentionOutput),
                site(".attn2", Place::AttentionOutput),
                site(".ff", Place::FeedForwardOutput),
                site("", Place::BlockOutput),
            ],
        }
    }

    /// `input` `[N, C, H, W]` gives the same shape; `context` is `[N, S, cross_attention_dim]`.
    pub fn forward(&self, input: &Tensor, context: &Tensor, hook: &dyn Hook) -> Tensor {
        let (batch, channels, height, width) = input.size4().expect("pictures are [N, C, H, W]");
        let to_tokens =
            |picture: &Tensor| picture.permute([0, 2, 3, 1]).reshape([batch, height * width, channels]);
        let to_picture =
            |tokens: &Tensor| tokens.reshape([batch, height, width, channels]).permute([0, 3, 1, 2]);
        let normed = hook.group_norm(&self.norm, input);
        let mut hidden = match &self.proj_in {
            Projection::Convolution(layer) => to_tokens(&hook.conv2d(layer, &normed)),
            Projection::Linear(layer) => hook.linear(layer, &to_tokens(&normed)),
        }; // [N, T, C]
        let at = |site: &HiddenSite, values: &Tensor| {
            hook.hidden(site, &Hidden { values, lengths: None, normed: None })
        };
        let [behind_attn1, behind_attn2, behind_ff, behind_block] = &self.hidden;
        let normed = hook.layer_norm(&self.norm1, &hidden);
        hidden = &hidden + at(behind_attn1, &self.attn1.forward(&normed, &normed, hook));
        let normed = hook.layer_norm(&self.norm2, &hidden);
        hidden = &hidden + at(behind_attn2, &self.attn2.forward(&normed, context, hook));
        let wide = hook.linear(&self.ff_in, &hook.layer_norm(&self.norm3, &hidden));
        let gated = fused::gated_gelu(&wide); // [N, T, 4 C]
        hidden = at(behind_block, &(&hidden + at(behind_ff, &hook.linear(&self.ff_out, &gated))));
        let change = match &self.proj_out {
            Projection::Convolution(layer) => hook.conv2d(layer, &to_picture(&hidden)),
            Projection::Linear(layer) => to_picture(&hook.linear(layer, &hidden)),
        };
        change + input
    }

    pub fn linears(&self) -> Vec<(&Linear, Role)> {
        let attention = [&self.attn1, &self.attn2].into_iter().flat_map(Attention::linears);
        let feed_forward = [(&self.ff_in, Role::FeedForwardIn), (&self.ff_out, Role::FeedForwardOut)];
        let projections = [&self.proj_in, &self.proj_out].into_iter().filter_map(Projection::linear);
        attention.chain(feed_forward).chain(projections.map(|layer| (layer, Role::Other))).collect()
    }
}
