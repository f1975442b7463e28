//! Adapters of a bank's trials, and their optimizer.

use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

use crate::{are_frozen, are_kernels_for, ffi, made, pointer};

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
