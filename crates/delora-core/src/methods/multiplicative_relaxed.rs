//! Relaxed multiplicative finetuning: a bounded change of the weight's input space by two free low-rank matrices.
//!
//! ```text
//! W' = W · (I − (λ / rank) · (B Ξ A − D Φ C))ᵀ
//! Ξ = diag(1 / (‖a_i‖ ‖b_i‖)),  Φ = diag(1 / (‖c_i‖ ‖d_i‖)),  a_i, c_i rows of A, C;  b_i, d_i columns of B, D
//! ```
//!
//! | symbol | shape                                | trained  | at start                        |
//! |--------|--------------------------------------|----------|---------------------------------|
//! | W      | [sites, out_features, in_features]   | no       | checkpoint                      |
//! | A, C   | [trials, sites, rank/2, in_features] | angles   | uniform in ±1/sqrt(in_features) |
//! | B, D   | [trials, sites, in_features, rank/2] | angles   | uniform in ±1/sqrt(rank/2)      |
//! | lambda | [trials, sites]                      | strength | λ                               |
//!
//! Start: C = A and D = B, so W' = W. Invariant: ‖W' − W‖ ≤ |λ| ‖W‖, and its rank is at most `rank`.
//! Source: the paper, Table 1, "controllable boundary + high rank + relaxed" (equations 10 to 14 lead there).
//! Departures: none, but the paper states neither how `rank` is shared, the start, nor λ: the choices are rank/2
//! for each part, which gives LoRA's parameters on a square weight, and ETHER+'s start by two equal halves.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::adapter::{Init, LinearAdapter, LinearSettings, ParameterSpec, Parameters};
use crate::class::LinearClass;
use crate::factors::{Factors, LowRank};
use crate::limits::{Checked, check_scale};
use crate::method::{About, Method};
use crate::norms::{NormalizedTerm, normalized_rows};
use crate::parameter_group::Group;
use crate::site::LinearShape;

pub const METHOD: Method = Method::linear::<Settings>(About {
    name: "multiplicative_relaxed",
    title: "Relaxed multiplicative",
    formula: "W (I − (λ/r)(B Ξ A − D Φ C))ᵀ",
    groups: &[Group::Angles, Group::Strength],
    bound: "λ‖W‖",
    update_rank: "r",
    starts_at_identity: true,
});

/// The settings of the relaxed multiplicative method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Even, and at most the input features.
    pub rank: i64,
    /// λ at the start, above 0.
    pub lambda: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { rank: 16, lambda: 4.0 }
    }
}

struct Relaxed {
    rank: i64,
    lambdas: Vec<f64>,
    class: LinearClass,
}

impl LinearSettings for Settings {
    const STRUCTURAL: Option<&[&str]> = Some(&["rank"]);

    fn check(&self, in_features: i64, _: i64) -> Checked {
        super::multiplicative_high_rank::check_even_rank(self.rank, in_features)?;
        check_scale("lambda", self.lambda)
    }

    fn num_parameters(&self, shape: &LinearShape) -> i64 {
        2 * self.rank * shape.in_features + 1
    }

    fn build(trials: &[Self], class: &LinearClass) -> Box<dyn LinearAdapter> {
        let lambdas = trials.iter().map(|trial| trial.lambda).collect();
        Box::new(Relaxed { rank: trials[0].rank, lambdas, class: class.shared() })
    }

    fn examples(rank: i64) -> Vec<Self> {
        vec![Settings { rank, lambda: 0.7 }]
    }
}

impl Relaxed {
    /// (λ / rank) · Ξ A of each of `terms`, which are A, B and λ, [trials, sites, ranks, in_features].
    fn scaled_rows(&self, terms: &[NormalizedTerm]) -> Tensor {
        let terms = terms.iter().map(|(rows, columns, lambda)| (*rows, *columns, lambda / self.rank as f64));
        normalized_rows(&terms.collect::<Vec<_>>(), None, 0.0)
    }
}

impl LinearAdapter for Relaxed {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let (half, features) = (self.rank / 2, self.class.in_features);
        let (rows, columns) = ([half, features], [features, half]);
        let row_bound = 1.0 / (features as f64).sqrt();
        let column_bound = 1.0 / (half as f64).sqrt();
        let copy = |of| Init::Copy { of, sign: 1.0 };
        vec![
            ParameterSpec::trained("A", Group::Angles, &rows, Init::Uniform { bound: row_bound }),
            ParameterSpec::trained("B", Group::Angles, &columns, Init::Uniform { bound: column_bound }),
            ParameterSpec::trained("C", Group::Angles, &rows, copy("A")),
            ParameterSpec::trained("D", Group::Angles, &columns, copy("B")),
            ParameterSpec::trained("lambda", Group::Strength, &[], Init::PerTrial(self.lambdas.clone())),
        ]
    }

    fn factors(&self, parameters: &Parameters) -> Factors {
        let [a, b, c, d] = ["A", "B", "C", "D"].map(|name| &parameters[name]);
        let lambda = &parameters["lambda"];
        let columns = self.scaled_rows(&[(a, b, -lambda), (c, d, lambda.shallow_clone())]);
        let input = LowRank {
            a: Tensor::cat(&[b, d], -1).transpose(-2, -1), // [trials, sites, rank, in_features]
            b: columns.transpose(-2, -1),                  // [trials, sites, in_features, rank]
        };
        Factors { input: Some(input), ..Factors::default() }
    }

    fn adapted_weight(&self, parameters: &Parameters) -> Tensor {
        let [a, b, c, d] = ["A", "B", "C", "D"].map(|name| &parameters[name]);
        let part = |a: &Tensor, b: &Tensor| {
            b.matmul(&self.scaled_rows(&[(a, b, parameters["lambda"].shallow_clone())]))
        };
        let identity = Tensor::eye(self.class.in_features, (Kind::Float, self.class.device()));
        let change = identity - part(a, b) + part(c, d); // [trials, sites, in_features, in_features]
        self.class.dense().matmul(&change.transpose(-2, -1))
    }

    fn bound(&self, parameters: &Parameters) -> Option<Tensor> {
        Some(parameters["lambda"].abs() * self.class.frobenius_norms())
    }

    fn update_rank(&self) -> Option<i64> {
        Some(self.rank)
    }
}
