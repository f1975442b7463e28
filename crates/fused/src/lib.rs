//! Pieces of networks whose steps libtorch would take one by one, each as one function with a gradient of its own.
//!
//! Each computes what its steps in libtorch compute, to rounding. On a CPU with AVX2 or AVX-512, in f32, kernels of this
//! crate do it (`kernels.cpp`), for which frozen weights get no gradient; anywhere else libtorch does. A row's result does
//! not depend on the rows beside it.

use std::ffi::{CStr, c_char};

use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

#[expect(unsafe_code, reason = "functions of src/functions.cpp, which catch what libtorch throws")]
mod ffi {
    use super::{C_tensor, c_char};

    unsafe extern "C" {
        pub safe fn delora_fused_message() -> *const c_char;
        pub safe fn delora_fused_lanes() -> i64;
        pub fn delora_fused_convolve(
            input: *const C_tensor,
            weights: *const C_tensor,
            turned: *const C_tensor,
            bias: *const C_tensor,
        ) -> *mut C_tensor;
        pub fn delora_fused_norm(
            input: *const C_tensor,
            weight: *const C_tensor,
            bias: *const C_tensor,
            groups: i64,
            eps: f64,
            silu: bool,
        ) -> *mut C_tensor;
        pub fn delora_fused_gate(input: *const C_tensor) -> *mut C_tensor;
        pub fn delora_fused_attend(
            query: *const C_tensor,
            key: *const C_tensor,
            value: *const C_tensor,
            mask: *const C_tensor,
            heads: i64,
        ) -> *mut C_tensor;
        pub fn delora_fused_adapt(
            input: *const C_tensor,
            weight: *const C_tensor,
            bias: *const C_tensor,
            down: *const C_tensor,
            up: *const C_tensor,
        ) -> *mut C_tensor;
        pub fn delora_fused_adamw(
            values: *const *const C_tensor,
            of_trials: *const *const C_tensor,
            is_sound: *const C_tensor,
        );
    }
}

/// The tensor that a function of `functions.cpp` has made. Panics with what libtorch threw, as functions of tch do.
#[expect(unsafe_code, reason = "the tensor is new and ours, and the message ends with a zero")]
fn made(tensor: *mut C_tensor) -> Tensor {
    if tensor.is_null() {
        let message = unsafe { CStr::from_ptr(ffi::delora_fused_message()) };
        panic!("{}", message.to_string_lossy());
    }
    unsafe { Tensor::from_ptr(tensor) }
}

fn pointer(tensor: Option<&Tensor>) -> *const C_tensor {
    tensor.map_or(std::ptr::null(), Tensor::as_ptr)
}

/// Whether the kernels can take tensors in whose last axis, or channels, are `features`.
fn are_kernels_for(tensors: &[&Tensor], features: i64) -> bool {
    let lanes = ffi::delora_fused_lanes();
    lanes > 0
        && features % lanes == 0
        && tensors.iter().all(|tensor| tensor.kind() == Kind::Float && tensor.device() == Device::Cpu)
}

/// Whether the kernels take `input`, and pictures of as many channels as each of `channels`, which lie last in memory then.
pub fn are_kernels(input: &Tensor, channels: &[i64]) -> bool {
    are_kernels_for(&[input], 0) && channels.iter().all(|&channels| are_kernels_for(&[], channels))
}

fn are_frozen(tensors: &[&Tensor]) -> bool {
    tensors.iter().all(|tensor| !tensor.requires_grad() && tensor.is_contiguous())
}

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

/// Scaled dot-product attention of `query` `[N, T, D]` over `heads` heads; `key` and `value` are `[N, S, D]`.
pub fn attention([query, key, value]: [&Tensor; 3], visible: Visible, heads: i64) -> Tensor {
    let (rows, tokens, features) = query.size3().expect("attention takes [N, T, D]");
    let keys = key.size()[1];
    let mask = match visible {
        Visible::Masked(mask) => Some(mask),
        Visible::All | Visible::Past => None,
    };
    let is_past = matches!(visible, Visible::Past);
    let tensors: Vec<&Tensor> = [query, key, value].into_iter().chain(mask).collect();
    let is_mask_plain = mask.is_none_or(|mask| mask.size() == [rows, 1, 1, keys] && are_frozen(&[mask]));
    if !is_past && is_mask_plain && keys <= MOST_KEYS && are_kernels_for(&tensors, 0) {
        for tensor in [key, value] {
            assert_eq!(tensor.size(), [rows, keys, features], "keys and values");
        }
        let [query, key, value] = [query, key, value].map(Tensor::as_ptr);
        #[expect(unsafe_code, reason = "shapes, kinds and devices were checked")]
        return made(unsafe { ffi::delora_fused_attend(query, key, value, pointer(mask), heads) });
    }
    let split = |input: &Tensor| {
        input.view([rows, input.size()[1], heads, features / heads]).transpose(1, 2) // [N, heads, T, D / heads]
    };
    let [query, key, value] = [query, key, value].map(split);
    let mixed = Tensor::scaled_dot_product_attention(&query, &key, &value, mask, 0.0, is_past, None, false);
    mixed.transpose(1, 2).reshape([rows, tokens, features])
}

/// A frozen linear layer with each trial's low-rank update: `input` `[trials, rows, in_features]` gives `[trials, rows,
/// out_features]`, as `input` · `weight`ᵀ + `bias` + `input` · `down`ᵀ · `up`ᵀ does. `weight` is `[out_features,
/// in_features]`, `down` `[trials, rank, in_features]`, `up` `[trials, out_features, rank]`. `None` where no kernel takes it.
pub fn adapted_linear(
    input: &Tensor,
    (weight, bias): (&Tensor, Option<&Tensor>),
    [down, up]: [&Tensor; 2],
) -> Option<Tensor> {
    let tensors: Vec<&Tensor> = [input, weight, down, up].into_iter().chain(bias).collect();
    let (out_features, in_features) = weight.size2().expect("a weight is a matrix");
    let is_frozen = !weight.requires_grad() && bias.is_none_or(|bias| !bias.requires_grad());
    if !is_frozen || ![out_features, in_features].iter().all(|&features| are_kernels_for(&tensors, features))
    {
        return None;
    }
    let (trials, rank) = (input.size()[0], down.size()[1]);
    assert_eq!(input.size()[2], in_features, "features of the input");
    assert_eq!(down.size(), [trials, rank, in_features], "the first factor");
    assert_eq!(up.size(), [trials, out_features, rank], "the second factor");
    let [input, weight, down, up] = [input, weight, down, up].map(Tensor::as_ptr);
    #[expect(unsafe_code, reason = "shapes, kinds and devices were checked")]
    Some(made(unsafe { ffi::delora_fused_adapt(input, weight, pointer(bias), down, up) }))
}

/// What AdamW changes, each `[trials, values]`.
pub struct AdamWValues<'a> {
    pub values: &'a Tensor,
    pub gradients: &'a Tensor,
    pub first_moments: &'a Tensor,
    pub second_moments: &'a Tensor,
}

/// How AdamW changes them, each with a number for each trial.
pub struct AdamWStep<'a> {
    /// 1 − β₁ and 1 − β₂.
    pub weights: [&'a Tensor; 2],
    /// Multiplies gradients.
    pub clipping: &'a Tensor,
    /// Multiplies values.
    pub decay: &'a Tensor,
    /// Multiplies the first moments by the roots of the second.
    pub size: &'a Tensor,
    /// Is added to the roots.
    pub eps: &'a Tensor,
    /// Whether a trial goes on, of kind bool; gradients of others count as zeros.
    pub is_sound: &'a Tensor,
}

/// One step of AdamW, in place; false where no kernel takes it, and nothing was done.
pub fn adamw(on: &AdamWValues, step: &AdamWStep) -> bool {
    let values = [on.values, on.gradients, on.first_moments, on.second_moments];
    let [first, second] = step.weights;
    let of_trials = [first, second, step.clipping, step.decay, step.size, step.eps];
    let all: Vec<&Tensor> = values.into_iter().chain(of_trials).collect();
    if !are_kernels_for(&all, 0) || !all.iter().all(|tensor| tensor.is_contiguous()) {
        return false;
    }
    let (trials, count) = on.values.size2().expect("values are [trials, values]");
    assert!(values.iter().all(|tensor| tensor.size() == [trials, count]), "values are of one shape");
    assert!(
        of_trials.iter().chain([&step.is_sound]).all(|tensor| tensor.numel() as i64 == trials),
        "a number per trial"
    );
    assert_eq!(step.is_sound.kind(), Kind::Bool);
    #[expect(
        unsafe_code,
        reason = "shapes, kinds and devices were checked, and a kernel writes to what is ours to change"
    )]
    unsafe {
        let (values, of_trials) = (values.map(Tensor::as_ptr), of_trials.map(Tensor::as_ptr));
        ffi::delora_fused_adamw(values.as_ptr(), of_trials.as_ptr(), step.is_sound.as_ptr());
    }
    true
}

#[cfg(test)]
mod tests;
