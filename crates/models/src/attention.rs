//! Multi-head attention and the pre-norm transformer layer shared by CLIP and ViT.

use delora_core::{Place, Role};
use fused::{DropoutMask, Visible};
use tch::{Device, Kind, Tensor, nn};

use crate::layers::{Activation, Hidden, HiddenSite, Hook, LayerNorm, Linear, name_of};

/// Scaled dot-product attention over `heads` heads.
///
/// `query` `[N, T, D]`, `key` and `value` `[N, S, D]` give `[N, T, D]`.
pub(crate) fn attention(query: &Tensor, key: &Tensor, value: &Tensor, heads: i64, causal: bool) -> Tensor {
    by_head(query, key, value, heads, if causal { Visible::Past } else { Visible::All }, None)
}

/// The same as [`attention`], with `mask`, which [`padding_mask`] makes, added to the scores; `dropout` gives what
/// the probabilities `[N, heads, T, S]` lose, if anything.
pub(crate) fn masked_attention(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    heads: i64,
    mask: &Tensor,
    dropout: impl Fn(&[i64]) -> Option<DropoutMask>,
) -> Tensor {
    let dropped = dropout(&[query.size()[0], heads, query.size()[1], key.size()[1]]);
    by_head(query, key, value, heads, Visible::Masked(mask), dropped.as_ref())
}

/// What hides padding from attention computed in `kind`: 0 at tokens and -inf at padding, `[N, 1, 1, S]`.
///
/// `mask` `[N, S]` is 0 at padding. A row without a token has no defined output.
pub(crate) fn padding_mask(mask: &Tensor, kind: Kind) -> Tensor {
    let is_padding = mask.eq(0).unsqueeze(1).unsqueeze(1); // [N, 1, 1, S]
    let options = (inner_kind(kind, mask.device()), mask.device());
    Tensor::zeros(is_padding.size(), options).masked_fill(&is_padding, f64::NEG_INFINITY)
}

/// The kind in which attention runs. libtorch's bf16 attention is five times slower on CPUs than its f32 one.
fn inner_kind(kind: Kind, device: Device) -> Kind {
    if device == Device::Cpu { Kind::Float } else { kind }
}

fn by_head(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    heads: i64,
    visible: Visible,
    dropped: Option<&DropoutMask>,
) -> Tensor {
    let kind = query.kind();
    let inner = inner_kind(kind, query.device());
    let tensors = [query, key, value].map(|tensor| tensor.to_kind(inner));
    fused::attention(tensors.each_ref(), visible, heads, dropped).to_kind(kind)
}

/// State-dict names of a transformer layer's parts.
pub(crate) struct LayerNames {
    pub norm1: &'static str,
    pub query: &'static str,
    pub key: &'static str,
    pub value: &'static str,
    pub out: &'static str,
    pub norm2: &'static str,
    pub up: &'static str,
    pub down: &'static str,
    /// Where hidden states pass by behind attention, and behind the feed-forward block.
    pub behind_attention: &'static str,
    pub behind_feed_forward: &'static str,
}

/// Sizes of a transformer layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerSizes {
    pub features: i64,
    pub heads: i64,
    pub hidden: i64,
    pub eps: f64,
    pub activation: Activation,
    pub causal: bool,
}

/// x + attention(norm(x)), then x + mlp(norm(x)).
#[derive(Debug)]
pub(crate) struct TransformerLayer {
    norm1: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    norm2: LayerNorm,
    up: Linear,
    down: Linear,
    sizes: LayerSizes,
    /// Behind attention, behind the feed-forward block, and of the whole.
    hidden: [HiddenSite; 3],
}

/// The path of `name`, whose dots separate levels.
pub(crate) fn sub<'a>(path: &nn::Path<'a>, name: &str) -> nn::Path<'a> {
    name.split('.').fold(path.clone(), |path, part| path / part)
}

impl TransformerLayer {
    /// Layer number `index` of a network, in `path`.
    pub fn new(path: &nn::Path, names: &LayerNames, sizes: LayerSizes, index: i64) -> TransformerLayer {
        let LayerSizes { features, hidden, eps, .. } = sizes;
        let square = |name| Linear::new(sub(path, name), features, features, true);
        let site = |path: &nn::Path, place| HiddenSite::new(name_of(path), place, index, features);
        TransformerLayer {
            norm1: LayerNorm::new(sub(path, names.norm1), features, eps),
            query: square(names.query),
            key: square(names.key),
            value: square(names.value),
            out: square(names.out),
            norm2: LayerNorm::new(sub(path, names.norm2), features, eps),
            up: Linear::new(sub(path, names.up), features, hidden, true),
            down: Linear::new(sub(path, names.down), hidden, features, true),
            sizes,
            hidden: [
                site(&sub(path, names.behind_attention), Place::AttentionOutput),
                site(&sub(path, names.behind_feed_forward), Place::FeedForwardOutput),
                site(path, Place::BlockOutput),
            ],
        }
    }

    /// `input` `[N, T, features]` gives the same shape.
    pub fn forward(&self, input: &Tensor, hook: &dyn Hook) -> Tensor {
        let at = |site: &HiddenSite, values: &Tensor| {
            hook.hidden(site, &Hidden { values, lengths: None, normed: None })
        };
        let [behind_attention, behind_feed_forward, behind_layer] = &self.hidden;
        let normed = hook.layer_norm(&self.norm1, input);
        let (query, key, value) = (
            hook.linear(&self.query, &normed),
            hook.linear(&self.key, &normed),
            hook.linear(&self.value, &normed),
        );
        let mixed = attention(&query, &key, &value, self.sizes.heads, self.sizes.causal);
        let input = input + at(behind_attention, &hook.linear(&self.out, &mixed));
        let normed = hook.layer_norm(&self.norm2, &input);
        let wide = self.sizes.activation.apply(&hook.linear(&self.up, &normed));
        at(behind_layer, &(&input + at(behind_feed_forward, &hook.linear(&self.down, &wide))))
    }

    pub fn linears(&self) -> [(&Linear, Role); 6] {
        [
            (&self.query, Role::Query),
            (&self.key, Role::Key),
            (&self.value, Role::Value),
            (&self.out, Role::Output),
            (&self.up, Role::FeedForwardIn),
            (&self.down, Role::FeedForwardOut),
        ]
    }

    pub fn hidden_sites(&self) -> &[HiddenSite] {
        &self.hidden
    }
}
