//! The form that every adapted linear layer is brought to, and what can be told from it without a dense product.

use tch::{Kind, Tensor};

use crate::class::LinearClass;

/// A matrix b · a, [.., out, in], of low rank.
pub struct LowRank {
    /// [.., rank, in]
    pub a: Tensor,
    /// [.., out, rank]
    pub b: Tensor,
}

/// Diagonal matrices between and before the factors of an update: diag(outer) b diag(inner) a.
///
/// Where `a` and `b` are frozen and of a high rank, scaling what passes between them takes less time than scaling them.
pub struct Scales {
    /// [trials, sites, rank]
    pub inner: Tensor,
    /// [trials, sites, out_features]
    pub outer: Tensor,
}

/// An adapted linear layer in activation form; what is absent is the identity, zero, or the frozen layer's own.
///
/// ```text
/// x' = x ∘ input_scale, then x' + input(x'), then each block of features times its input_block
/// y  = row_scale ∘ (x' weightᵀ) + update(x)
/// y' = y + output(y), then + bias
/// ```
///
/// A method uses either the low-rank factors and `row_scale`, or one of the others.
#[derive(Default)]
pub struct Factors {
    /// Multiplies the input, [trials, sites, in_features].
    pub input_scale: Option<Tensor>,
    /// Is added to the input, [trials, sites, in_features, in_features].
    pub input: Option<LowRank>,
    /// Diagonal blocks of a matrix from the right, [trials, sites, blocks, in_features/blocks, in_features/blocks].
    pub input_blocks: Option<Tensor>,
    /// Each trial's own weight, [trials, sites, out_features, in_features].
    pub weight: Option<Tensor>,
    /// Multiplies the rows of the weight, [trials, sites, out_features].
    pub row_scale: Option<Tensor>,
    /// Is added to the weight, [trials, sites, out_features, in_features].
    pub update: Option<LowRank>,
    /// Diagonal matrices around the update's factors.
    pub update_scales: Option<Scales>,
    /// Is added to the output, [trials, sites, out_features, out_features].
    pub output: Option<LowRank>,
    /// Each trial's own bias, [trials, sites, out_features].
    pub bias: Option<Tensor>,
}

impl LowRank {
    fn rank(&self) -> i64 {
        self.a.size()[2]
    }

    /// Zero rows and columns up to `rank`, which change no product.
    fn padded(&self, rank: i64) -> LowRank {
        let missing = rank - self.rank();
        if missing == 0 {
            return LowRank { a: self.a.shallow_clone(), b: self.b.shallow_clone() };
        }
        LowRank { a: self.a.constant_pad_nd([0, 0, 0, missing]), b: self.b.constant_pad_nd([0, missing]) }
    }
}

impl Factors {
    /// Whether both have the same factors present, so that one set of products can serve them.
    pub(crate) fn acts_like(&self, other: &Factors) -> bool {
        let low_rank =
            |factors: &Factors| [&factors.input, &factors.update, &factors.output].map(Option::is_some);
        let plain = |factors: &Factors| {
            let inner = factors.update_scales.as_ref().map(|scales| &scales.inner);
            [
                factors.input_scale.as_ref(),
                factors.weight.as_ref(),
                factors.row_scale.as_ref(),
                factors.bias.as_ref(),
                inner,
            ]
            .map(|tensor| tensor.is_some())
        };
        let blocks =
            |factors: &Factors| factors.input_blocks.as_ref().map(|blocks| blocks.size()[2..].to_vec());
        low_rank(self) == low_rank(other) && plain(self) == plain(other) && blocks(self) == blocks(other)
    }

    /// Groups of trials that act alike, one after another; lower ranks are padded with zeros, which change nothing.
    pub(crate) fn joined(groups: Vec<Factors>) -> Factors {
        let tensor = |of: fn(&Factors) -> &Option<Tensor>| {
            let parts: Vec<&Tensor> = groups.iter().filter_map(|group| of(group).as_ref()).collect();
            (!parts.is_empty()).then(|| joined(&parts))
        };
        let low_rank = |of: fn(&Factors) -> &Option<LowRank>| {
            joined_low_rank(&groups.iter().filter_map(|group| of(group).as_ref()).collect::<Vec<_>>())
        };
        Factors {
            input_scale: tensor(|group| &group.input_scale),
            input: low_rank(|group| &group.input),
            input_blocks: tensor(|group| &group.input_blocks),
            weight: tensor(|group| &group.weight),
            row_scale: tensor(|group| &group.row_scale),
            update: low_rank(|group| &group.update),
            update_scales: joined_scales(&groups),
            output: low_rank(|group| &group.output),
            bias: tensor(|group| &group.bias),
        }
    }

    /// The update, its scales multiplied into its factors.
    pub(crate) fn scaled_update(&self) -> Option<LowRank> {
        let LowRank { a, b } = self.update.as_ref()?;
        Some(match &self.update_scales {
            None => LowRank { a: a.shallow_clone(), b: b.shallow_clone() },
            Some(Scales { inner, outer }) => {
                LowRank { a: a * inner.unsqueeze(-1), b: b * outer.unsqueeze(-1) }
            }
        })
    }

    /// ‖W' − W‖ (Frobenius) per trial and site, [trials, sites]; absent factors mean zero, [1, 1].
    ///
    /// W' − W = diag(row_scale − 1) W + b a with stacked low-rank factors, so its norm needs only products of W
    /// with the factors, and Gram matrices.
    pub(crate) fn distance(&self, class: &LinearClass) -> Tensor {
        if let Some(squares) = self.plain_squares(class) {
            return squares.clamp_min(0.0).sqrt();
        }
        let (mut a, mut b): (Vec<Tensor>, Vec<Tensor>) = (Vec::new(), Vec::new());
        let scale = self.row_scale.as_ref().map(|scale| scale.unsqueeze(-1)); // [trials, sites, out_features, 1]
        if let Some(input) = &self.input {
            let turned = class.project(&input.b.transpose(-2, -1)).transpose(-2, -1); // W b
            b.push(scale.as_ref().map_or(turned.shallow_clone(), |scale| &turned * scale));
            a.push(input.a.shallow_clone());
        }
        if let Some(update) = self.scaled_update() {
            b.push(update.b);
            a.push(update.a);
        }
        if let Some(output) = &self.output {
            let scaled =
                scale.as_ref().map_or(output.a.shallow_clone(), |scale| &output.a * scale.transpose(-2, -1));
            let inner = class.project_back(&scaled);
            let through = a.iter().zip(&b).fold(inner, |sum, (a, b)| sum + output.a.matmul(b).matmul(a));
            b.push(output.b.shallow_clone());
            a.push(through);
        }
        let per_row = |tensor: Tensor| tensor.sum_dim_intlist([-1].as_slice(), false, None);
        let (mut squares, mut cross) = (zero(class), zero(class)); // of b a, and with W, [trials, sites, out_features]
        if !a.is_empty() {
            let (a, b) = (Tensor::cat(&a, -2), Tensor::cat(&b, -1));
            squares = per_row(b.matmul(&a.matmul(&a.transpose(-2, -1))) * &b);
            if scale.is_some() {
                cross = per_row(class.project(&a).transpose(-2, -1) * &b);
            }
        }
        if let Some(scale) = &self.row_scale {
            let excess = scale - 1.0;
            squares = &excess * (&excess * class.row_norms().square() + cross * 2.0) + squares;
        }
        per_row(squares).clamp_min(0.0).sqrt()
    }

    /// ‖W' − W‖² where it is no matter of low rank, [trials, sites].
    fn plain_squares(&self, class: &LinearClass) -> Option<Tensor> {
        let sum = |tensor: Tensor, axes: &[i64]| tensor.sum_dim_intlist(axes, false, None);
        if let Some(weight) = &self.weight {
            return Some(sum((weight - class.dense()).square(), &[-1, -2]));
        }
        if let Some(scale) = &self.input_scale {
            return Some(sum(((scale - 1.0) * class.column_norms()).square(), &[-1]));
        }
        let blocks = self.input_blocks.as_ref()?;
        let (trials, _, count, width, _) = blocks.size5().expect("[trials, sites, blocks, width, width]");
        let change = blocks - Tensor::eye(width, (blocks.kind(), blocks.device()));
        let of_site = |site: i64| {
            let weight = class.weights[site as usize].to_kind(blocks.kind());
            let columns = weight.view([class.out_features, count, width]).permute([1, 0, 2]); // W_k
            let moved = columns.unsqueeze(0).matmul(&change.select(1, site)); // [trials, blocks, out_features, width]
            sum(moved.square(), &[-1, -2, -3]).view([trials])
        };
        Some(Tensor::stack(&(0..class.num_sites()).map(of_site).collect::<Vec<_>>(), 1))
    }
}

fn zero(class: &LinearClass) -> Tensor {
    Tensor::zeros([1, 1, 1], (Kind::Double, class.device()))
}

fn joined_low_rank(parts: &[&LowRank]) -> Option<LowRank> {
    let rank = parts.iter().map(|part| part.rank()).max()?;
    let (a, b): (Vec<Tensor>, Vec<Tensor>) =
        parts.iter().map(|part| part.padded(rank)).map(|LowRank { a, b }| (a, b)).unzip();
    Some(LowRank { a: joined(&a), b: joined(&b) })
}

/// The scales of groups that act alike, one after another: all have scales, or none has. Ranks that a group lacks are
/// scaled by zero, as their factors are.
fn joined_scales(groups: &[Factors]) -> Option<Scales> {
    let rank = groups.iter().filter_map(|group| group.update.as_ref()).map(LowRank::rank).max()?;
    let scales: Option<Vec<&Scales>> = groups.iter().map(|group| group.update_scales.as_ref()).collect();
    let inner = |scales: &&Scales| scales.inner.constant_pad_nd([0, rank - scales.inner.size()[2]]);
    let scales = scales?;
    let outer: Vec<&Tensor> = scales.iter().map(|scales| &scales.outer).collect();
    Some(Scales { inner: joined(&scales.iter().map(inner).collect::<Vec<_>>()), outer: joined(&outer) })
}

fn joined<T: std::borrow::Borrow<Tensor>>(parts: &[T]) -> Tensor {
    match parts {
        [only] => only.borrow().shallow_clone(),
        several => Tensor::cat(several, 0),
    }
}
