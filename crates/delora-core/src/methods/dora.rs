//! DoRA: the rows of W + s B A are normalized and given trained lengths of their own.
//!
//! ```text
//! W' = diag(m / n) · (W + s B A)        n_i = ‖row i of W + s B A‖, held constant in the gradient
//! ```
//!
//! | symbol | shape                               | trained   | at start                        |
//! |--------|-------------------------------------|-----------|---------------------------------|
//! | W      | [sites, out_features, in_features]  | no        | checkpoint                      |
//! | A      | [trials, sites, rank, in_features]  | angles    | uniform in ±1/sqrt(in_features) |
//! | B      | [trials, sites, out_features, rank] | angles    | zero                            |
//! | m      | [trials, sites, out_features]       | magnitude | the norms of W's rows           |
//! | scale  | [trials, sites]                     | no        | s = alpha / rank                |
//!
//! Start: B = 0 and m = n, so W' = W. Invariant: row i of W' has length |m_i|; no bound on ‖W' − W‖.
//! n comes from ‖w_i‖² + 2s⟨w_i, (BA)_i⟩ + s²‖(BA)_i‖², the last by the Gram matrix A Aᵀ: no dense sum is made.
//! Source: Liu et al. 2024, section 4.3 (norm detached), and its code and PEFT for rows as output units.
//! Departures: n is at least 1e-12, so that a zero row of W stays zero where it would become NaN.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::lora;
use crate::adapter::{Init, LinearAdapter, LinearSettings, ParameterSpec, Parameters};
use crate::class::LinearClass;
use crate::factors::{Factors, LowRank};
use crate::limits::Checked;
use crate::method::{About, Method};
use crate::norms::row_norms;
use crate::parameter_group::Group;
use crate::site::LinearShape;

pub const METHOD: Method = Method::linear::<Settings>(About {
    name: "dora",
    title: "DoRA",
    formula: "m (W + (α/r) B A) / ‖W + (α/r) B A‖",
    groups: &[Group::Angles, Group::Magnitude],
    bound: "unbounded",
    update_rank: "full",
    starts_at_identity: true,
});

/// Floor under the norms of adapted rows.
const SMALLEST_NORM: f64 = 1e-12;

/// DoRA has LoRA's settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(
    /// Rank and alpha.
    pub lora::Settings,
);

impl LinearSettings for Settings {
    const STRUCTURAL: Option<&[&str]> = Some(&["rank"]);

    fn check(&self, in_features: i64, out_features: i64) -> Checked {
        self.0.check(in_features, out_features)
    }

    fn num_parameters(&self, shape: &LinearShape) -> i64 {
        self.0.num_parameters(shape) + shape.out_features
    }

    fn build(trials: &[Self], class: &LinearClass) -> Box<dyn LinearAdapter> {
        let scales = trials.iter().map(|trial| trial.0.scale()).collect();
        Box::new(Dora::new(trials[0].0.rank, scales, true, class))
    }

    fn examples(rank: i64) -> Vec<Self> {
        lora::Settings::examples(rank).into_iter().map(Settings).collect()
    }
}

pub(super) struct Dora {
    rank: i64,
    scales: Vec<f64>,
    trains_magnitude: bool,
    /// Norms of W's rows, [sites, out_features].
    weight_norms: Tensor,
    class: LinearClass,
}

impl Dora {
    pub fn new(rank: i64, scales: Vec<f64>, trains_magnitude: bool, class: &LinearClass) -> Dora {
        Dora { rank, scales, trains_magnitude, weight_norms: class.row_norms(), class: class.shared() }
    }

    fn magnitudes(&self, parameters: &Parameters) -> Tensor {
        if self.trains_magnitude { parameters["m"].shallow_clone() } else { self.weight_norms.unsqueeze(0) }
    }

    /// n, [trials, sites, out_features], detached, with `b` already times s.
    fn adapted_norms(&self, a: &Tensor, b: &Tensor) -> Tensor {
        let (a, b) = (a.detach(), b.detach());
        let gram = a.matmul(&a.transpose(-2, -1)); // [trials, sites, rank, rank]
        // One reduction for both: ⟨w_i, (BA)_i⟩ is row i of W Aᵀ times row i of B.
        let products = self.class.project(&a).transpose(-2, -1) * 2.0 + b.matmul(&gram);
        let squares =
            self.weight_norms.square() + (products * b).sum_dim_intlist([-1].as_slice(), false, None);
        squares.clamp_min(SMALLEST_NORM * SMALLEST_NORM).sqrt()
    }
}

impl LinearAdapter for Dora {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let mut specs = lora::parameters(self.rank, &self.scales, Group::Angles, &self.class);
        if self.trains_magnitude {
            let start = Init::PerSite(self.weight_norms.shallow_clone());
            specs.push(ParameterSpec::trained("m", Group::Magnitude, &[self.class.out_features], start));
        }
        specs
    }

    fn factors(&self, parameters: &Parameters) -> Factors {
        let a = &parameters["A"];
        let b = &parameters["B"] * parameters["scale"].unsqueeze(-1).unsqueeze(-1);
        let row_scale = self.magnitudes(parameters) / self.adapted_norms(a, &b); // [trials, sites, out_features]
        let update = LowRank { a: a.shallow_clone(), b: b * row_scale.unsqueeze(-1) };
        Factors { row_scale: Some(row_scale), update: Some(update), ..Factors::default() }
    }

    fn adapted_weight(&self, parameters: &Parameters) -> Tensor {
        let scale = parameters["scale"].unsqueeze(-1).unsqueeze(-1); // [trials, sites, 1, 1]
        let sum = self.class.dense() + parameters["B"].matmul(&parameters["A"]) * scale;
        let row_scale = self.magnitudes(parameters) / row_norms(&sum).clamp_min(SMALLEST_NORM);
        sum * row_scale.unsqueeze(-1)
    }

    fn bound(&self, _: &Parameters) -> Option<Tensor> {
        if self.trains_magnitude {
            return None;
        }
        let lengths = self.class.frobenius_norms().unsqueeze(0) * 2.0; // [1, sites]
        Some(lengths)
    }
}
