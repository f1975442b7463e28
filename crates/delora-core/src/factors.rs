//! The form that every adapted linear layer is brought to, and what can be told from it without a dense product.

use tch::{Kind, Tensor};

use crate::class::LinearClass;

/// A matrix b · a, [.., out, in], of low rank: `a` is [.., rank, in] and `b` is [.., out, rank].
pub struct LowRank {
    pub a: Tensor,
    pub b: Tensor,
}

/// An adapted linear layer in activation form; what is absent is the identity or zero.
///
/// ```text
/// x' = x + input(x)
/// y  = row_scale ∘ (x' Wᵀ) + update(x)
/// y' = y + output(y), then + bias
/// ```
#[derive(Default)]
pub struct Factors {
    /// [trials, sites, in_features, in_features]
    pub input: Option<LowRank>,
    /// [trials, sites, out_features]
    pub row_scale: Option<Tensor>,
    /// [trials, sites, out_features, in_features]
    pub update: Option<LowRank>,
    /// [trials, sites, out_features, out_features]
    pub output: Option<LowRank>,
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
    pub fn acts_like(&self, other: &Factors) -> bool {
        let present =
            |factors: &Factors| [&factors.input, &factors.update, &factors.output].map(Option::is_some);
        present(self) == present(other) && self.row_scale.is_some() == other.row_scale.is_some()
    }

    /// Groups of trials that act alike, one after another; lower ranks are padded with zeros, which change nothing.
    pub fn joined(groups: Vec<Factors>) -> Factors {
        let (mut inputs, mut scales, mut updates, mut outputs) = (vec![], vec![], vec![], vec![]);
        for Factors { input, row_scale, update, output } in groups {
            inputs.extend(input);
            scales.extend(row_scale);
            updates.extend(update);
            outputs.extend(output);
        }
        Factors {
            input: joined_low_rank(&inputs),
            row_scale: (!scales.is_empty()).then(|| joined(&scales)),
            update: joined_low_rank(&updates),
            output: joined_low_rank(&outputs),
        }
    }

    /// ‖W' − W‖ (Frobenius) per trial and site, [trials, sites]; absent factors mean zero, [1, 1].
    ///
    /// W' − W = diag(row_scale − 1) W + b a with stacked low-rank factors, so its norm needs only products of W
    /// with the factors, and Gram matrices.
    pub fn distance(&self, class: &LinearClass) -> Tensor {
        let (mut a, mut b): (Vec<Tensor>, Vec<Tensor>) = (Vec::new(), Vec::new());
        let scale = self.row_scale.as_ref().map(|scale| scale.unsqueeze(-1)); // [trials, sites, out_features, 1]
        if let Some(input) = &self.input {
            let turned = class.project(&input.b.transpose(-2, -1)).transpose(-2, -1); // W b
            b.push(scale.as_ref().map_or(turned.shallow_clone(), |scale| &turned * scale));
            a.push(input.a.shallow_clone());
        }
        if let Some(update) = &self.update {
            b.push(update.b.shallow_clone());
            a.push(update.a.shallow_clone());
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
}

fn zero(class: &LinearClass) -> Tensor {
    Tensor::zeros([1, 1, 1], (Kind::Double, class.device()))
}

fn joined_low_rank(parts: &[LowRank]) -> Option<LowRank> {
    let rank = parts.iter().map(LowRank::rank).max()?;
    let (a, b): (Vec<Tensor>, Vec<Tensor>) =
        parts.iter().map(|part| part.padded(rank)).map(|LowRank { a, b }| (a, b)).unzip();
    Some(LowRank { a: joined(&a), b: joined(&b) })
}

fn joined(parts: &[Tensor]) -> Tensor {
    match parts {
        [only] => only.shallow_clone(),
        several => Tensor::cat(several, 0),
    }
}
