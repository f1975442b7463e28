//! What one adapted site does to activations, ready to be applied.

use fused::Change;
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

/// Linear layers, by sections of neighbouring trials.
pub struct AppliedLinear {
    /// Trials of each section.
    sizes: Vec<i64>,
    sections: Vec<Section>,
}

/// What a section applies, by site.
enum Section {
    /// One function serves groups that change the layer by scales and factors of low rank, whatever they have of them.
    Fused(Vec<Vec<Change>>),
    /// Groups that act alike, such as every additive method, have one set of products. Joining unlike ones as well, by zero
    /// factors, took up to twice the time of a mixed bank: each trial then pays for the passes over activations of all.
    Steps(Vec<Applied>),
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
        let takes = fused::takes_linear(kind, class.device(), [class.in_features, class.out_features]);
        let is_fused = |factors: &Factors| takes && factors.are_scales_and_low_rank();
        let mut sections: Vec<Vec<(i64, Factors)>> = Vec::new();
        for (trials, factors) in groups {
            let goes_on = |section: &&mut Vec<(i64, Factors)>| {
                let last = &section[0].1;
                is_fused(last) == is_fused(&factors) && (is_fused(last) || last.acts_like(&factors))
            };
            match sections.last_mut().filter(goes_on) {
                Some(section) => section.push((trials, factors)),
                None => sections.push(vec![(trials, factors)]),
            }
        }
        let size = |section: &Vec<(i64, Factors)>| section.iter().map(|(trials, _)| trials).sum();
        let sizes = sections.iter().map(size).collect();
        let section = |groups: Vec<(i64, Factors)>| {
            if is_fused(&groups[0].1) {
                let changes = groups.iter().map(|(trials, factors)| factors.changes(*trials, class));
                return Section::Fused(by_site(changes.collect()));
            }
            let alike = groups.into_iter().map(|(_, factors)| factors).collect();
            Section::Steps(Applied::of_sites(&Factors::joined(alike), class, kind))
        };
        AppliedLinear { sizes, sections: sections.into_iter().map(section).collect() }
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
        let of_section = |section: &Section, inputs: [&Tensor; 2]| match section {
            Section::Fused(sites) => fused::adapted_linear(inputs, (&weight, bias.as_ref()), &sites[place]),
            Section::Steps(sites) => sites[place].forward(&weight, bias.as_ref(), inputs),
        };
        if let [only] = self.sections.as_slice() {
            return of_section(only, inputs);
        }
        let [input, dropped] = inputs.map(|input| input.split_with_sizes(&self.sizes, 0));
        let parts = self.sections.iter().zip(input.iter().zip(&dropped));
        let outputs = parts.map(|(section, (input, dropped))| of_section(section, [input, dropped]));
        Tensor::cat(&outputs.collect::<Vec<_>>(), 0)
    }
}

/// Rows by columns, of columns by rows of one length.
fn by_site<T>(groups: Vec<Vec<T>>) -> Vec<Vec<T>> {
    let mut groups: Vec<_> = groups.into_iter().map(Vec::into_iter).collect();
    let sites = groups.first().map_or(0, ExactSizeIterator::len);
    (0..sites).map(|_| groups.iter_mut().filter_map(Iterator::next).collect()).collect()
}

impl Factors {
    /// Whether [`Factors::changes`] can say all of it.
    fn are_scales_and_low_rank(&self) -> bool {
        let Factors {
            input_scale: None,
            input_blocks: None,
            weight: None,
            update_scales: None,
            bias: None,
            input,
            row_scale,
            update,
            output,
        } = self
        else {
            return false;
        };
        !(input.is_some() && (update.is_some() || row_scale.is_some()))
            && !(row_scale.is_some() && output.is_some())
    }

    /// What `trials` change at each site. What is added to the input is an update as well: weight · (b a) = (weight · b) a.
    fn changes(&self, trials: i64, class: &LinearClass) -> Vec<Change> {
        let sites = class.weights.len();
        let factors = |factors: &Option<LowRank>| match factors {
            None => (0..sites).map(|_| None).collect::<Vec<_>>(),
            Some(LowRank { a, b }) => a.unbind(1).into_iter().zip(b.unbind(1)).map(Some).collect(),
        };
        let scales = match &self.row_scale {
            None => (0..sites).map(|_| None).collect::<Vec<_>>(),
            Some(scales) => scales.unbind(1).into_iter().map(Some).collect(),
        };
        let on_input = factors(&self.input).into_iter().zip(&class.weights);
        let through = on_input.map(|(factors, weight)| factors.map(|(a, b)| [a, weight.matmul(&b)]));
        let updates = factors(&self.update).into_iter().zip(through);
        let outputs = factors(&self.output);
        let parts = scales.into_iter().zip(updates).zip(outputs);
        parts
            .map(|((row_scale, (update, through)), output)| Change {
                trials,
                row_scale,
                reads_dropped: update.is_some(),
                update: update.map(<[Tensor; 2]>::from).or(through),
                output: output.map(<[Tensor; 2]>::from),
            })
            .collect()
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
