//! Controllable boundary + high rank: a bounded symmetric change of the weight's input space.
//!
//! ```text
//! W' = W · (I − (λ / rank) · (Uᵀ Σ U − Vᵀ Θ V))       Σ = diag(1 / ‖u_i‖²),  Θ = diag(1 / ‖v_i‖²)
//! ```
//!
//! | symbol | shape                                | trained  | at start                        |
//! |--------|--------------------------------------|----------|---------------------------------|
//! | W      | [sites, out_features, in_features]   | no       | checkpoint                      |
//! | U      | [trials, sites, rank/2, in_features] | angles   | uniform in ±1/sqrt(in_features) |
//! | V      | [trials, sites, rank/2, in_features] | angles   | −U                              |
//! | lambda | [trials, sites]                      | strength | λ                               |
//!
//! The rows u_i of U and v_i of V are the paper's columns. Start: V = −U, so W' = W.
//! Invariant: each bracketed term is positive and at most rank/2, so ‖W' − W‖ ≤ (|λ|/2) ‖W‖; its rank is at most
//! `rank`. Source: the paper, Table 1, "controllable boundary + high rank", and equations 11 and 12.
//! Departures: none, but the paper states neither the start nor λ: the start is that of ETHER+, λ a choice.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::adapter::{Init, LinearAdapter, LinearSettings, ParameterSpec, Parameters};
use crate::class::LinearClass;
use crate::factors::{Factors, LowRank};
use crate::limits::{Checked, Problem, check_rank, check_scale};
use crate::method::{About, Method};
use crate::norms::unit_rows;
use crate::parameter_group::Group;
use crate::site::LinearShape;

pub const METHOD: Method = Method::linear::<Settings>(About {
    name: "multiplicative_high_rank",
    title: "Boundary + high rank",
    formula: "W (I − (λ/r)(U Σ Uᵀ − V Θ Vᵀ))",
    groups: &[Group::Angles, Group::Strength],
    bound: "(λ/2)‖W‖",
    update_rank: "r",
    starts_at_identity: true,
});

/// The settings of the multiplicative method of a higher rank.
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

impl LinearSettings for Settings {
    const STRUCTURAL: Option<&[&str]> = Some(&["rank"]);

    fn check(&self, in_features: i64, _: i64) -> Checked {
        check_even_rank(self.rank, in_features)?;
        check_scale("lambda", self.lambda)
    }

    fn num_parameters(&self, shape: &LinearShape) -> i64 {
        self.rank * shape.in_features + 1
    }

    fn build(trials: &[Self], class: &LinearClass) -> Box<dyn LinearAdapter> {
        let lambdas = trials.iter().map(|trial| trial.lambda).collect();
        Box::new(Symmetric::new(trials[0].rank, lambdas, class))
    }

    fn examples(rank: i64) -> Vec<Self> {
        vec![Settings { rank, lambda: 0.7 }]
    }
}

/// Refuses a rank that cannot be shared between two halves of one side.
pub(super) fn check_even_rank(rank: i64, features: i64) -> Checked {
    check_rank(rank, features, features)?;
    if rank % 2 == 1 {
        let message = format!("rank {rank} is odd; `rank` must be even, as each half has rank/2 vectors");
        return Err(Problem::new("rank", message));
    }
    Ok(())
}

pub(super) struct Symmetric {
    rank: i64,
    lambdas: Vec<f64>,
    class: LinearClass,
}

impl Symmetric {
    pub fn new(rank: i64, lambdas: Vec<f64>, class: &LinearClass) -> Symmetric {
        Symmetric { rank, lambdas, class: class.shared() }
    }

    /// λ / rank, [trials, sites, 1, 1].
    fn strength(&self, parameters: &Parameters) -> Tensor {
        (&parameters["lambda"] / self.rank as f64).unsqueeze(-1).unsqueeze(-1)
    }
}

impl LinearAdapter for Symmetric {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let shape = [self.rank / 2, self.class.in_features];
        let bound = 1.0 / (self.class.in_features as f64).sqrt();
        vec![
            ParameterSpec::trained("U", Group::Angles, &shape, Init::Uniform { bound }),
            ParameterSpec::trained("V", Group::Angles, &shape, Init::Copy { of: "U", sign: -1.0 }),
            ParameterSpec::trained("lambda", Group::Strength, &[], Init::PerTrial(self.lambdas.clone())),
        ]
    }

    fn factors(&self, parameters: &Parameters) -> Factors {
        let (u, v) = (unit_rows(&parameters["U"]), unit_rows(&parameters["V"]));
        let signed = Tensor::cat(&[-&u, v.shallow_clone()], -2) * self.strength(parameters);
        let input = LowRank { a: Tensor::cat(&[u, v], -2), b: signed.transpose(-2, -1) };
        Factors { input: Some(input), ..Factors::default() }
    }

    fn adapted_weight(&self, parameters: &Parameters) -> Tensor {
        let projections = |name| {
            let units = unit_rows(&parameters[name]);
            units.transpose(-2, -1).matmul(&units) // [trials, sites, in_features, in_features]
        };
        let identity = Tensor::eye(self.class.in_features, (Kind::Float, self.class.device()));
        let change = identity - (projections("U") - projections("V")) * self.strength(parameters);
        self.class.dense().matmul(&change)
    }

    fn bound(&self, parameters: &Parameters) -> Option<Tensor> {
        Some(parameters["lambda"].abs() * self.class.frobenius_norms() / 2.0)
    }

    fn update_rank(&self) -> Option<i64> {
        Some(self.rank)
    }
}
