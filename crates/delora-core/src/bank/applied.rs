//! What one adapted layer does to activations, ready to be applied.

use tch::{Kind, Tensor};

use crate::class::LinearClass;
use crate::factors::{Factors, LowRank};

/// A low-rank matrix as two factors of a batched product from the right.
struct Product {
    /// [trials, in, rank]
    down: Tensor,
    /// [trials, rank, out]
    up: Tensor,
}

/// What is applied at all sites of one class.
///
/// Neighbouring groups of trials that act alike, such as every additive method, are one section with one set of
/// products. Joining unlike ones as well, by zero factors, took up to twice the time of a mixed bank: each trial
/// then pays for the passes over activations of all.
pub struct AppliedClass {
    /// Trials of each section.
    sizes: Vec<i64>,
    /// What each section applies, by site.
    sections: Vec<Vec<Applied>>,
}

/// The factors of one site, in the kind of the activations.
struct Applied {
    input: Option<Product>,
    /// [trials, 1, out_features]
    row_scale: Option<Tensor>,
    update: Option<Product>,
    output: Option<Product>,
}

impl Product {
    fn of_sites(factor: &Option<LowRank>, sites: usize, kind: Kind) -> Vec<Option<Product>> {
        let Some(LowRank { a, b }) = factor else {
            return (0..sites).map(|_| None).collect();
        };
        let factors = a.to_kind(kind).unbind(1).into_iter().zip(b.to_kind(kind).unbind(1));
        factors.map(|(a, b)| Some(Product { down: a.transpose(1, 2), up: b.transpose(1, 2) })).collect()
    }

    /// `base` + `input` · down · up, in place of `base`, which must belong to nobody else.
    fn add_in_place(&self, base: &mut Tensor, input: &Tensor) {
        let _ = base.baddbmm_(&input.bmm(&self.down), &self.up);
    }

    /// `base` + `base` · down · up.
    fn added_to(&self, base: &Tensor) -> Tensor {
        base.baddbmm(&base.bmm(&self.down), &self.up, 1.0, 1.0)
    }
}

impl AppliedClass {
    /// `groups` have their number of trials and their factors.
    pub fn new(
        groups: impl Iterator<Item = (i64, Factors)>,
        class: &LinearClass,
        kind: Kind,
    ) -> AppliedClass {
        let mut sections: Vec<(i64, Vec<Factors>)> = Vec::new();
        for (trials, factors) in groups {
            match sections.last_mut() {
                Some((size, alike)) if alike[0].acts_like(&factors) => {
                    *size += trials;
                    alike.push(factors);
                }
                _ => sections.push((trials, vec![factors])),
            }
        }
        let apply = |(size, alike)| (size, Applied::of_sites(&Factors::joined(alike), class, kind));
        let (sizes, sections) = sections.into_iter().map(apply).unzip();
        AppliedClass { sizes, sections }
    }

    /// `input` [trials, rows, in_features] at site `place` gives [trials, rows, out_features].
    pub fn forward(&self, place: usize, weight: &Tensor, bias: Option<&Tensor>, input: &Tensor) -> Tensor {
        let weight = weight.to_kind(input.kind());
        let bias = bias.map(|bias| bias.to_kind(input.kind()));
        if let [only] = self.sections.as_slice() {
            return only[place].forward(&weight, bias.as_ref(), input);
        }
        let inputs = input.split_with_sizes(&self.sizes, 0);
        let pairs = self.sections.iter().zip(&inputs);
        let outputs: Vec<Tensor> =
            pairs.map(|(section, input)| section[place].forward(&weight, bias.as_ref(), input)).collect();
        Tensor::cat(&outputs, 0)
    }
}

impl Applied {
    fn of_sites(factors: &Factors, class: &LinearClass, kind: Kind) -> Vec<Applied> {
        let sites = class.weights.len();
        let row_scales: Vec<Option<Tensor>> = match &factors.row_scale {
            Some(scale) => scale.to_kind(kind).unsqueeze(2).unbind(1).into_iter().map(Some).collect(),
            None => (0..sites).map(|_| None).collect(),
        };
        let inputs = Product::of_sites(&factors.input, sites, kind).into_iter();
        let updates = Product::of_sites(&factors.update, sites, kind).into_iter();
        let outputs = Product::of_sites(&factors.output, sites, kind).into_iter();
        (row_scales.into_iter().zip(inputs).zip(updates).zip(outputs))
            .map(|(((row_scale, input), update), output)| Applied { input, row_scale, update, output })
            .collect()
    }

    fn forward(&self, weight: &Tensor, bias: Option<&Tensor>, input: &Tensor) -> Tensor {
        let (trials, rows, features) = input.size3().expect("input is [trials, rows, in_features]");
        // A bias comes with the frozen product, or with what has to happen before it.
        let (early, late) = if self.output.is_some() { (None, bias) } else { (bias, None) };
        let turned = self.input.as_ref().map(|factor| factor.added_to(input));
        let flat = turned.as_ref().unwrap_or(input).reshape([trials * rows, features]);
        let product = match (&early, &self.row_scale) {
            (Some(bias), None) => bias.addmm(&flat, &weight.tr()),
            _ => flat.mm(&weight.tr()),
        };
        let shape = [trials, rows, weight.size()[0]];
        // Not tracked as a view, so that adding in place stays cheap.
        let mut output = product.internal_unsafe_view(shape);
        if let Some(scale) = &self.row_scale {
            output = match &early {
                Some(bias) => bias.addcmul(&output, scale),
                None => output * scale,
            };
        }
        if let Some(factor) = &self.update {
            factor.add_in_place(&mut output, input);
        }
        if let Some(factor) = &self.output {
            output = factor.added_to(&output);
        }
        match late {
            Some(bias) => output + bias,
            None => output,
        }
    }
}
