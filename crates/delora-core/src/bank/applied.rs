//! What one adapted site does to activations, ready to be applied.

use tch::{Kind, Tensor};

use crate::adapter::{Hidden, HiddenChange};
use crate::class::LinearClass;
use crate::factors::{Factors, LowRank, Scales};

/// What is applied at all sites of one class.
pub enum AppliedClass {
    Linear(AppliedLinear),
    Tensor(AppliedTensor),
    Hidden(AppliedHidden),
}

/// A low-rank matrix as two factors of a batched product from the right.
struct Product {
    /// [trials, rank, in]
    a: Tensor,
    /// [trials, 1, rank] and [trials, 1, out]
    scales: Option<[Tensor; 2]>,
    /// [trials, out, rank]
    b: Tensor,
}

/// Linear layers.
///
/// Neighbouring groups of trials that act alike, such as every additive method, are one section with one set of
/// products. Joining unlike ones as well, by zero factors, took up to twice the time of a mixed bank: each trial
/// then pays for the passes over activations of all.
pub struct AppliedLinear {
    /// Trials of each section.
    sizes: Vec<i64>,
    /// What each section applies, by site.
    sections: Vec<Vec<Applied>>,
}

/// Tensors that some trials have for their own.
pub struct AppliedTensor {
    /// For each group its number of trials and, where it has its own, [trials, shape…] by site.
    pub groups: Vec<(i64, Option<Vec<Tensor>>)>,
}

/// Hidden states that some trials change.
pub struct AppliedHidden {
    /// For each group its number of trials and, where it acts, its functions by site.
    pub groups: Vec<(i64, Option<Vec<HiddenChange>>)>,
    pub reads_normed: bool,
}

/// The factors of one site, in the kind of the activations.
struct Applied {
    /// [trials, 1, in_features]
    input_scale: Option<Tensor>,
    input: Option<Product>,
    /// [trials, blocks, width, width]
    input_blocks: Option<Tensor>,
    /// [trials, in_features, out_features]
    weight: Option<Tensor>,
    /// [trials, 1, out_features]
    row_scale: Option<Tensor>,
    update: Option<Product>,
    output: Option<Product>,
    /// [trials, 1, out_features]
    bias: Option<Tensor>,
}

impl Product {
    fn of_sites(factor: &Option<LowRank>, sites: usize, kind: Kind) -> Vec<Option<Product>> {
        let Some(LowRank { a, b }) = factor else {
            return (0..sites).map(|_| None).collect();
        };
        let factors = a.to_kind(kind).unbind(1).into_iter().zip(b.to_kind(kind).unbind(1));
        factors.map(|(a, b)| Some(Product { a, scales: None, b })).collect()
    }

    /// The products of `update`, with their scales.
    fn of_updates(factors: &Factors, sites: usize, kind: Kind) -> Vec<Option<Product>> {
        let mut products = Product::of_sites(&factors.update, sites, kind);
        if let Some(Scales { inner, outer }) = &factors.update_scales {
            let row = |tensor: Tensor| tensor.unsqueeze(1);
            let scales = inner.to_kind(kind).unbind(1).into_iter().zip(outer.to_kind(kind).unbind(1));
            for (product, (inner, outer)) in products.iter_mut().flatten().zip(scales) {
                product.scales = Some([row(inner), row(outer)]);
            }
        }
        products
    }

    /// aᵀ and bᵀ, the factors from the right.
    fn turned(&self) -> [Tensor; 2] {
        [&self.a, &self.b].map(|factor| factor.transpose(1, 2))
    }

    /// `base` + `input` · aᵀ · bᵀ, in place of `base`, which must belong to nobody else.
    fn add_in_place(&self, base: &mut Tensor, input: &Tensor) {
        let [down, up] = self.turned();
        let inner = input.bmm(&down);
        let _ = match &self.scales {
            None => base.baddbmm_(&inner, &up),
            Some([between, outer]) => base.addcmul_(&(inner * between).bmm(&up), outer),
        };
    }

    /// `base` + `base` · aᵀ · bᵀ.
    fn added_to(&self, base: &Tensor) -> Tensor {
        let [down, up] = self.turned();
        base.baddbmm(&base.bmm(&down), &up, 1.0, 1.0)
    }
}

impl AppliedLinear {
    /// `groups` have their number of trials and their factors.
    pub fn new(
        groups: impl Iterator<Item = (i64, Factors)>,
        class: &LinearClass,
        kind: Kind,
    ) -> AppliedLinear {
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
        AppliedLinear { sizes, sections }
    }

    /// The input [trials, rows, in_features] at site `place`, and the same as updates see it, give [trials, rows,
    /// out_features].
    pub fn forward(
        &self,
        place: usize,
        weight: &Tensor,
        bias: Option<&Tensor>,
        inputs: [&Tensor; 2],
    ) -> Tensor {
        let kind = inputs[0].kind();
        let (weight, bias) = (weight.to_kind(kind), bias.map(|bias| bias.to_kind(kind)));
        if let [only] = self.sections.as_slice() {
            return only[place].forward(&weight, bias.as_ref(), inputs);
        }
        let [input, dropped] = inputs.map(|input| input.split_with_sizes(&self.sizes, 0));
        let parts = self.sections.iter().zip(input.iter().zip(&dropped));
        let of_part = |(section, (input, dropped)): (&Vec<Applied>, (&Tensor, &Tensor))| {
            section[place].forward(&weight, bias.as_ref(), [input, dropped])
        };
        Tensor::cat(&parts.map(of_part).collect::<Vec<_>>(), 0)
    }
}

impl AppliedHidden {
    /// `hidden` at site `place`; its values are [trials, batch, tokens, features].
    pub fn forward(&self, place: usize, hidden: &Hidden) -> Tensor {
        let sizes: Vec<i64> = self.groups.iter().map(|(trials, _)| *trials).collect();
        let split = |tensor: &Tensor| tensor.split_with_sizes(&sizes, 0);
        let [lengths, normed, dropout] =
            [hidden.lengths, hidden.normed, hidden.dropout].map(|tensor| tensor.map(split));
        let outputs: Vec<Tensor> = split(hidden.values)
            .iter()
            .enumerate()
            .map(|(group, values)| match &self.groups[group].1 {
                None => values.shallow_clone(),
                Some(changes) => {
                    let lengths = lengths.as_ref().map(|lengths| &lengths[group]);
                    let normed = normed.as_ref().map(|normed| &normed[group]);
                    let dropout = dropout.as_ref().map(|dropout| &dropout[group]);
                    changes[place](&Hidden { values, lengths, normed, dropout })
                }
            })
            .collect();
        match outputs.as_slice() {
            [only] => only.shallow_clone(),
            several => Tensor::cat(several, 0),
        }
    }
}

impl Applied {
    fn of_sites(factors: &Factors, class: &LinearClass, kind: Kind) -> Vec<Applied> {
        let sites = class.weights.len();
        let by_site = |tensor: &Option<Tensor>, change: fn(Tensor) -> Tensor| -> Vec<Option<Tensor>> {
            match tensor {
                Some(tensor) => {
                    tensor.to_kind(kind).unbind(1).into_iter().map(|value| Some(change(value))).collect()
                }
                None => (0..sites).map(|_| None).collect(),
            }
        };
        let row: fn(Tensor) -> Tensor = |value| value.unsqueeze(1);
        let mut input_scales = by_site(&factors.input_scale, row).into_iter();
        let mut inputs = Product::of_sites(&factors.input, sites, kind).into_iter();
        let mut blocks = by_site(&factors.input_blocks, |value| value).into_iter();
        let mut weights = by_site(&factors.weight, |value| value.transpose(1, 2)).into_iter();
        let mut row_scales = by_site(&factors.row_scale, row).into_iter();
        let mut updates = Product::of_updates(factors, sites, kind).into_iter();
        let mut outputs = Product::of_sites(&factors.output, sites, kind).into_iter();
        let mut biases = by_site(&factors.bias, row).into_iter();
        (0..sites)
            .map(|_| Applied {
                input_scale: input_scales.next().flatten(),
                input: inputs.next().flatten(),
                input_blocks: blocks.next().flatten(),
                weight: weights.next().flatten(),
                row_scale: row_scales.next().flatten(),
                update: updates.next().flatten(),
                output: outputs.next().flatten(),
                bias: biases.next().flatten(),
            })
            .collect()
    }

    fn forward(&self, weight: &Tensor, bias: Option<&Tensor>, [input, dropped]: [&Tensor; 2]) -> Tensor {
        // A bias comes with the frozen product, or with what has to happen before it.
        let bias = if self.bias.is_some() { None } else { bias };
        if let Some(output) = self.fused(weight, bias, [input, dropped]) {
            return output;
        }
        let (early, late) = if self.output.is_some() { (None, bias) } else { (bias, None) };
        let mut output = self.product(weight, early, input);
        if let Some(factor) = &self.update {
            factor.add_in_place(&mut output, dropped);
        }
        if let Some(factor) = &self.output {
            output = factor.added_to(&output);
        }
        match late.or(self.bias.as_ref()) {
            Some(bias) => output + bias,
            None => output,
        }
    }

    /// The same by one function, where all that is applied is an update.
    fn fused(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        [input, dropped]: [&Tensor; 2],
    ) -> Option<Tensor> {
        let Applied {
            input_scale: None, input: None, input_blocks: None, weight: None, row_scale: None, ..
        } = self
        else {
            return None;
        };
        let (Some(Product { a, scales: None, b }), None, None) = (&self.update, &self.output, &self.bias)
        else {
            return None;
        };
        let is_dropped = input.data_ptr() != dropped.data_ptr();
        if is_dropped { None } else { fused::adapted_linear(input, (weight, bias), [a, b]) }
    }

    /// `row_scale` ∘ (x' weightᵀ) + `bias`; a tensor that belongs to nobody else.
    fn product(&self, weight: &Tensor, bias: Option<&Tensor>, input: &Tensor) -> Tensor {
        let turned = self.turned(input);
        let input = turned.as_ref().unwrap_or(input);
        if let Some(weight) = &self.weight {
            return match bias {
                Some(bias) => bias.baddbmm(input, weight, 1.0, 1.0),
                None => input.bmm(weight),
            };
        }
        let (trials, rows, features) = input.size3().expect("input is [trials, rows, in_features]");
        let flat = input.reshape([trials * rows, features]);
        let product = match (bias, &self.row_scale) {
            (Some(bias), None) => bias.addmm(&flat, &weight.tr()),
            _ => flat.mm(&weight.tr()),
        };
        // Not tracked as a view, so that adding in place stays cheap.
        let output = product.internal_unsafe_view([trials, rows, weight.size()[0]]);
        match (&self.row_scale, bias) {
            (None, _) => output,
            (Some(scale), Some(bias)) => bias.addcmul(&output, scale),
            (Some(scale), None) => output * scale,
        }
    }

    /// x', where it is not `input` itself.
    fn turned(&self, input: &Tensor) -> Option<Tensor> {
        let mut turned = self.input_scale.as_ref().map(|scale| input * scale);
        if let Some(factor) = &self.input {
            turned = Some(factor.added_to(turned.as_ref().unwrap_or(input)));
        }
        if let Some(blocks) = &self.input_blocks {
            let input = turned.as_ref().unwrap_or(input);
            let (trials, rows, features) = input.size3().expect("input is [trials, rows, in_features]");
            let (_, count, width, _) = blocks.size4().expect("blocks are [trials, blocks, width, width]");
            let parts = input.reshape([trials, rows, count, width]).transpose(1, 2); // [trials, blocks, rows, width]
            turned = Some(parts.matmul(blocks).transpose(1, 2).reshape([trials, rows, features]));
        }
        turned
    }
}

impl Factors {
    /// The adapted layer at one site of the class, for tests: `input` [trials, rows, in_features].
    #[doc(hidden)]
    pub fn forward(self, class: &LinearClass, site: usize, input: &Tensor) -> Tensor {
        let applied = Applied::of_sites(&self, class, input.kind());
        applied[site].forward(&class.weights[site], class.biases[site].as_ref(), [input, input])
    }
}
