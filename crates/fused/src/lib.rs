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
        pub fn delora_fused_largest(input: *const C_tensor, trials: i64) -> *mut C_tensor;
        pub fn delora_fused_adapt(
            tensors: *const *const C_tensor,
            num_tensors: i64,
            weight: *const C_tensor,
            bias: *const C_tensor,
            known: *const i64,
            num_known: i64,
            is_dropped: bool,
        ) -> *mut C_tensor;
        pub fn delora_fused_normalize(
            tensors: *const *const C_tensor,
            num_tensors: i64,
            scale: *const C_tensor,
            floor: f64,
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

/// The largest magnitude in each trial's part of `input` `[trials · rows, ..]`, `[trials]`, NaN where one is; not differentiated.
pub fn largest_magnitudes(input: &Tensor, trials: i64) -> Tensor {
    assert!(trials > 0 && input.size()[0] % trials == 0, "as many rows for each trial");
    if are_kernels_for(&[input], 0) && input.numel() > 0 {
        #[expect(unsafe_code, reason = "shapes, kinds and devices were checked")]
        return made(unsafe { ffi::delora_fused_largest(input.as_ptr(), trials) });
    }
    input.detach().reshape([trials, -1]).norm_scalaropt_dim(f64::INFINITY, [1], false)
}

/// Neighbouring trials that change a frozen linear layer alike; what is absent changes nothing.
#[derive(Debug, Default)]
pub struct Change {
    /// How many trials.
    pub trials: i64,
    /// Multiplies the frozen product, `[trials, out_features]`.
    pub row_scale: Option<Tensor>,
    /// Two factors whose product with the input is added, `[trials, rank, in_features]` and `[trials, out_features, rank]`.
    pub update: Option<[Tensor; 2]>,
    /// Whether that reads what dropout leaves of the input.
    pub reads_dropped: bool,
    /// Two factors whose product with the output so far is added, `[trials, rank, out_features]` and `[trials, out_features,
    /// rank]`. Not beside `row_scale`.
    pub output: Option<[Tensor; 2]>,
}

/// Whether [`adapted_linear`] takes layers of this shape.
pub fn takes_linear(kind: Kind, device: Device, [in_features, out_features]: [i64; 2]) -> bool {
    (kind, device) == (Kind::Float, Device::Cpu)
        && [in_features, out_features].iter().all(|&features| are_kernels_for(&[], features))
}

/// A frozen linear layer under the changes of a bank's trials: `input` `[trials, rows, in_features]`, and the same after dropout,
/// give `[trials, rows, out_features]`.
///
/// ```text
/// y  = row_scale ∘ (x weightᵀ) + update(x)
/// y' = y + output(y) + bias
/// ```
///
/// `weight` is `[out_features, in_features]`; it and `bias` get no gradient. Panics where [`takes_linear`] is false, or where
/// shapes do not fit.
pub fn adapted_linear(
    [input, dropped]: [&Tensor; 2],
    (weight, bias): (&Tensor, Option<&Tensor>),
    changes: &[Change],
) -> Tensor {
    let (out_features, in_features) = weight.size2().expect("a weight is a matrix");
    let (trials, rows) = (input.size()[0], input.size()[1]);
    assert!(takes_linear(input.kind(), input.device(), [in_features, out_features]), "kernels for the layer");
    for tensor in [input, dropped] {
        assert_eq!(tensor.size(), [trials, rows, in_features], "the input");
    }
    assert_eq!(changes.iter().map(|change| change.trials).sum::<i64>(), trials, "trials of all changes");
    let is_dropped = input.data_ptr() != dropped.data_ptr();
    let mut tensors = vec![input];
    tensors.extend(is_dropped.then_some(dropped));
    let mut known = Vec::new();
    for change in changes {
        for (factors, inputs) in [(&change.update, in_features), (&change.output, out_features)] {
            let Some([down, up]) = factors else { continue };
            let rank = down.size()[1];
            assert_eq!(down.size(), [change.trials, rank, inputs], "the first factor");
            assert_eq!(up.size(), [change.trials, out_features, rank], "the second factor");
        }
        if let Some(scale) = &change.row_scale {
            assert_eq!(scale.size(), [change.trials, out_features], "the scale of rows");
            assert!(change.output.is_none() && scale.stride()[1] == 1, "a scale of rows is alone, and dense");
        }
        let [[down, up], [output_down, output_up]] = [&change.update, &change.output]
            .map(|factors| factors.as_ref().map_or([None; 2], |factors| factors.each_ref().map(Some)));
        let parts = [change.row_scale.as_ref(), down, up, output_down, output_up];
        let present = parts.iter().enumerate().map(|(place, part)| i64::from(part.is_some()) << place).sum();
        known.extend([change.trials, i64::from(change.reads_dropped), present]);
        tensors.extend(parts.into_iter().flatten());
    }
    assert!(tensors.iter().all(|tensor| are_kernels_for(&[tensor], 0)), "factors are as the input");
    let tensors: Vec<*const C_tensor> = tensors.into_iter().map(Tensor::as_ptr).collect();
    #[expect(unsafe_code, reason = "shapes, kinds and devices were checked")]
    made(unsafe {
        let (num_tensors, num_known) = (tensors.len() as i64, known.len() as i64);
        let (weight, bias) = (weight.as_ptr(), pointer(bias));
        ffi::delora_fused_adapt(
            tensors.as_ptr(),
            num_tensors,
            weight,
            bias,
            known.as_ptr(),
            num_known,
            is_dropped,
        )
    })
}

/// Rows `[trials, sites, rank, in_features]`, columns `[trials, sites, out_features, rank]`, and a strength `[trials, sites]`.
pub type NormalizedTerm<'a> = (&'a Tensor, &'a Tensor, Tensor);

/// strength · rowᵢ / (‖rowᵢ‖ ‖columnᵢ‖) for each i, times `scale` `[sites, 1, in_features]`; those of all terms one after another,
/// `[trials, sites, ranks, in_features]`. No norm counts as less than `floor`.
pub fn normalized_rows(terms: &[NormalizedTerm], scale: Option<&Tensor>, floor: f64) -> Tensor {
    let (trials, sites, _, in_features) =
        terms[0].0.size4().expect("rows are [trials, sites, rank, in_features]");
    for (rows, columns, strength) in terms {
        let rank = rows.size()[2];
        assert_eq!(rows.size(), [trials, sites, rank, in_features], "rows");
        assert_eq!(columns.size(), [trials, sites, columns.size()[2], rank], "columns");
        assert_eq!(strength.size(), [trials, sites], "a strength for each site");
    }
    let tensors: Vec<&Tensor> =
        terms.iter().flat_map(|(rows, columns, strength)| [*rows, columns, strength]).collect();
    let takes_scale = scale.is_none_or(|scale| {
        scale.size() == [sites, 1, in_features] && are_frozen(&[scale]) && are_kernels_for(&[scale], 0)
    });
    if are_kernels_for(&tensors, in_features) && takes_scale {
        let tensors: Vec<*const C_tensor> = tensors.into_iter().map(Tensor::as_ptr).collect();
        #[expect(unsafe_code, reason = "shapes, kinds and devices were checked")]
        return made(unsafe {
            ffi::delora_fused_normalize(tensors.as_ptr(), tensors.len() as i64, pointer(scale), floor)
        });
    }
    let of_term = |(rows, columns, strength): &NormalizedTerm| {
        let norms = [(rows, -1), (columns, -2)]
            .map(|(matrix, axis)| matrix.norm_scalaropt_dim(2, [axis], false)) // [trials, sites, rank]
            .map(|norms| if floor > 0.0 { norms.clamp_min(floor) } else { norms });
        *rows * (strength.unsqueeze(-1) / (&norms[0] * &norms[1])).unsqueeze(-1)
    };
    let normalized: Vec<Tensor> = terms.iter().map(of_term).collect();
    let joined = match normalized.as_slice() {
        [only] => only.shallow_clone(),
        several => Tensor::cat(several, -2),
    };
    scale.map_or(joined.shallow_clone(), |scale| joined * scale)
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
