//! Pieces of networks.

use tch::{Kind, Tensor};

use crate::{are_frozen, are_kernels, are_kernels_for, ffi, made, pointer};

/// Weights of a convolution above which its copies take more memory than their time is worth.
const MOST_WEIGHTS: usize = 1 << 20;

/// The weights of a frozen 3×3 convolution of stride 1 with a border of one zero, as Winograd's F(2×2, 3×3) takes them:
/// for its output, and for the gradient of its input.
#[derive(Debug)]
pub struct Winograd {
    /// `[16, inputs, outputs]`
    weights: Tensor,
    /// `[16, outputs, inputs]`
    turned: Tensor,
}

impl Winograd {
    /// `weight` `[outputs, inputs, 3, 3]`; none where there is no kernel for it.
    pub fn new(weight: &Tensor) -> Option<Winograd> {
        let sizes = weight.size();
        let is_square = sizes.len() == 4 && sizes[2..] == [3, 3];
        let is_for = is_square && sizes[..2].iter().all(|&channels| are_kernels_for(&[weight], channels));
        if !is_for || weight.requires_grad() || weight.numel() > MOST_WEIGHTS {
            return None;
        }
        #[rustfmt::skip]
        let points = [
            1.0, 0.0, 0.0,
            0.5, 0.5, 0.5,
            0.5, -0.5, 0.5,
            0.0, 0.0, 1.0f32,
        ];
        let points = Tensor::from_slice(&points).view([4, 3]);
        let at_points = |weight: &Tensor| {
            let values = points.matmul(weight).matmul(&points.tr()); // [outputs, inputs, 4, 4]
            values.permute([2, 3, 1, 0]).reshape([16, weight.size()[1], weight.size()[0]]).contiguous()
        };
        let turned = at_points(&weight.flip([2, 3]).transpose(0, 1));
        Some(Winograd { weights: at_points(weight), turned })
    }

    /// `input` `[N, inputs, H, W]`, for which [`are_kernels`] are there, gives `[N, outputs, H, W]` with the channels last in memory.
    pub fn forward(&self, input: &Tensor, bias: Option<&Tensor>) -> Tensor {
        assert_eq!(input.size()[1], self.weights.size()[1], "channels of the input");
        assert!(are_kernels(input, &[]), "an input in f32 on the CPU");
        let (weights, turned) = (self.weights.as_ptr(), self.turned.as_ptr());
        #[expect(unsafe_code, reason = "shapes, kinds and devices were checked")]
        made(unsafe { ffi::delora_fused_convolve(input.as_ptr(), weights, turned, pointer(bias)) })
    }
}

/// GroupNorm of `input` `[N, C, H, W]` with `weight` and `bias` `[C]`, and SiLU of it where `silu` is set.
pub fn group_norm(input: &Tensor, [weight, bias]: [&Tensor; 2], groups: i64, eps: f64, silu: bool) -> Tensor {
    let tensors = [input, weight, bias];
    if input.dim() == 4 && are_kernels_for(&tensors, weight.size()[0]) && are_frozen(&[weight, bias]) {
        let [input, weight, bias] = tensors.map(Tensor::as_ptr);
        #[expect(unsafe_code, reason = "shapes, kinds and devices were checked")]
        return made(unsafe { ffi::delora_fused_norm(input, weight, bias, groups, eps, silu) });
    }
    let normed = input.group_norm(groups, Some(weight), Some(bias), eps, true);
    if silu { normed.silu() } else { normed }
}

/// The first half of `input`'s features `[.., 2 · features]` times GELU (exact) of the second: diffusers' GEGLU.
pub fn gated_gelu(input: &Tensor) -> Tensor {
    if are_kernels_for(&[input], input.size()[input.dim() - 1] / 2) {
        #[expect(unsafe_code, reason = "shape, kind and device were checked")]
        return made(unsafe { ffi::delora_fused_gate(input.as_ptr()) });
    }
    let halves = input.chunk(2, -1);
    &halves[0] * halves[1].gelu("none")
}

/// What dropout makes of values: 0 where they are not kept, and the others larger by the row's factor.
#[derive(Debug)]
pub struct DropoutMask {
    /// In the shape of the values, of kind bool: it is held until the backward pass.
    pub kept: Tensor,
    /// 1 / (1 − p), `[rows, 1, …]`.
    pub factor: Tensor,
}

impl DropoutMask {
    /// `values` of the mask's shape after dropout.
    pub fn apply(&self, values: &Tensor) -> Tensor {
        assert_eq!(values.size(), self.kept.size(), "a mask of the values' shape");
        if values.numel() > 0 && self.has_kernels_for(&[values]) {
            #[expect(unsafe_code, reason = "shapes, kinds and devices were checked")]
            return made(unsafe {
                ffi::delora_fused_drop(values.as_ptr(), self.kept.as_ptr(), self.factor.as_ptr())
            });
        }
        values * self.factor.to_kind(values.kind()) * &self.kept
    }

    /// Whether the kernels take the mask beside `tensors`.
    fn has_kernels_for(&self, tensors: &[&Tensor]) -> bool {
        are_kernels_for(tensors, 0)
            && are_kernels_for(&[&self.factor], 0)
            && are_frozen(&[&self.kept, &self.factor])
            && self.kept.kind() == Kind::Bool
            && self.factor.numel() as i64 == self.kept.size()[0]
    }
}

/// Which keys a query sees.
#[derive(Debug, Clone, Copy)]
pub enum Visible<'a> {
    All,
    /// A mask `[N, 1, 1, S]` that is added to the scores. A row that it hides altogether has no defined output.
    Masked(&'a Tensor),
    /// Those that stand no later than the query.
    Past,
}

/// Keys above which libtorch's kernel is taken, since it never holds the scores of all.
const MOST_KEYS: i64 = 1024;

/// Scaled dot-product attention of `query` `[N, T, D]` over `heads` heads; `key` and `value` are `[N, S, D]`. `dropped` is what
/// the probabilities `[N, heads, T, S]` lose, if anything, and is not for [`Visible::Past`].
pub fn attention(
    [query, key, value]: [&Tensor; 3],
    visible: Visible,
    heads: i64,
    dropped: Option<&DropoutMask>,
) -> Tensor {
    let (rows, tokens, features) = query.size3().expect("attention takes [N, T, D]");
    let keys = key.size()[1];
    let mask = match visible {
        Visible::Masked(mask) => Some(mask),
        Visible::All | Visible::Past => None,
    };
    let is_past = matches!(visible, Visible::Past);
    let tensors: Vec<&Tensor> = [query, key, value].into_iter().chain(mask).collect();
    let is_mask_plain = mask.is_none_or(|mask| mask.size() == [rows, 1, 1, keys] && are_frozen(&[mask]));
    if let Some(dropped) = dropped {
        assert_eq!(dropped.kept.size(), [rows, heads, tokens, keys], "dropout of the probabilities");
        assert!(!is_past, "no network drops out what attends to the past");
    }
    let takes = are_kernels_for(&tensors, 0) && dropped.is_none_or(|dropped| dropped.has_kernels_for(&[]));
    if !is_past && is_mask_plain && keys <= MOST_KEYS && takes {
        for tensor in [key, value] {
            assert_eq!(tensor.size(), [rows, keys, features], "keys and values");
        }
        let [query, key, value] = [query, key, value].map(Tensor::as_ptr);
        let [kept, factors] = [dropped.map(|dropped| &dropped.kept), dropped.map(|dropped| &dropped.factor)];
        #[expect(unsafe_code, reason = "shapes, kinds and devices were checked")]
        return made(unsafe {
            ffi::delora_fused_attend(query, key, value, pointer(mask), pointer(kept), pointer(factors), heads)
        });
    }
    let split = |input: &Tensor| {
        input.view([rows, input.size()[1], heads, features / heads]).transpose(1, 2) // [N, heads, T, D / heads]
    };
    let [query, key, value] = [query, key, value].map(split);
    let mixed = match dropped {
        None => Tensor::scaled_dot_product_attention(&query, &key, &value, mask, 0.0, is_past, None, false),
        Some(dropped) => {
            let scores = query.matmul(&key.transpose(-2, -1)) / ((features / heads) as f64).sqrt();
            let scores = mask.map_or(scores.shallow_clone(), |mask| scores + mask);
            let probabilities = dropped.apply(&scores.softmax(-1, Kind::Float)); // [N, heads, T, S]
            probabilities.to_kind(query.kind()).matmul(&value)
        }
    };
    mixed.transpose(1, 2).reshape([rows, tokens, features])
}

/// The largest magnitude in each trial's part of `input` `[trials · rows, ..]`, `[trials]`, NaN where one is; not differentiated.
pub fn largest_magnitudes(input: &Tensor, trials: i64) -> Tensor {
    assert!(trials > 0 && input.size()[0] % trials == 0, "as many rows for each trial");
    if are_kernels_for(&[input], 0) && input.numel() > 0 {
        #[expect(unsafe_code, reason = "shapes, kinds and devices were checked")]
        return made(unsafe { ffi::delora_fused_largest(input.as_ptr(), trials) });
    }
    input.detach().reshape([trials, -1]).norm_scalaropt_dim(f64::INFINITY, [1], false)
}
