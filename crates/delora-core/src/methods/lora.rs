//! LoRA: low-rank additive update of a frozen linear weight.
//!
//! ```text
//! W' = W + (alpha / rank) · B A
//! ```
//!
//! | symbol | shape                                | trained | at start                        |
//! |--------|--------------------------------------|---------|---------------------------------|
//! | W      | [sites, out_features, in_features]   | no      | checkpoint                      |
//! | A      | [trials, sites, rank, in_features]   | angles  | uniform in ±1/sqrt(in_features) |
//! | B      | [trials, sites, out_features, rank]  | angles  | zero                            |
//! | scale  | [trials, sites]                      | no      | alpha / rank                    |
//!
//! Start: B = 0, so W' = W. Invariant: W' − W has rank at most `rank`.
//! Source: Hu et al. 2022, section 4.1; alpha = 2 rank by default, as the DeLoRA paper tunes it.
//! Departures: A is uniform, as in the authors' code and PEFT; the paper says Gaussian.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::adapter::{Init, LinearAdapter, LinearSettings, ParameterSpec, Parameters};
use crate::class::LinearClass;
use crate::factors::{Factors, LowRank};
use crate::limits::{Checked, check_rank, check_scale};
use crate::method::{About, Method};
use crate::parameter_group::Group;
use crate::site::LinearShape;

pub const METHOD: Method = Method::linear::<Settings>(About {
    name: "lora",
    title: "LoRA",
    formula: "W + (α/r) B A",
    groups: &[Group::Angles],
    bound: "unbounded",
    update_rank: "r",
    starts_at_identity: true,
});

/// LoRA's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Rows of A and columns of B.
    pub rank: i64,
    /// Absent: twice the rank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { rank: 16, alpha: None }
    }
}

impl Settings {
    /// alpha / rank
    pub fn scale(&self) -> f64 {
        self.alpha.map_or(2.0, |alpha| alpha / self.rank as f64)
    }
}

pub(super) struct Lora {
    rank: i64,
    scales: Vec<f64>,
    /// The group of B.
    b_group: Group,
    class: LinearClass,
}

impl Lora {
    /// `scales` has a scale per trial.
    pub fn new(rank: i64, scales: Vec<f64>, b_group: Group, class: &LinearClass) -> Lora {
        Lora { rank, scales, b_group, class: class.shared() }
    }
}

impl LinearSettings for Settings {
    const STRUCTURAL: Option<&[&str]> = Some(&["rank"]);

    fn check(&self, in_features: i64, out_features: i64) -> Checked {
        check_rank(self.rank, in_features, out_features)?;
        self.alpha.map_or(Ok(()), |alpha| check_scale("alpha", alpha))
    }

    fn num_parameters(&self, shape: &LinearShape) -> i64 {
        self.rank * (shape.in_features + shape.out_features)
    }

    fn build(trials: &[Self], class: &LinearClass) -> Box<dyn LinearAdapter> {
        let scales = trials.iter().map(Settings::scale).collect();
        Box::new(Lora::new(trials[0].rank, scales, Group::Angles, class))
    }

    fn examples(rank: i64) -> Vec<Self> {
        vec![Settings { rank, alpha: Some(1.5 * rank as f64) }]
    }
}

/// A, B (in the group `b_group`) and scale as above, which DoRA starts from too.
pub(super) fn parameters(
    rank: i64,
    scales: &[f64],
    b_group: Group,
    class: &LinearClass,
) -> Vec<ParameterSpec> {
    let bound = 1.0 / (class.in_features as f64).sqrt();
    vec![
        ParameterSpec::trained("A", Group::Angles, &[rank, class.in_features], Init::Uniform { bound }),
        ParameterSpec::trained("B", b_group, &[class.out_features, rank], Init::Zero),
        ParameterSpec::frozen("scale", &[], Init::PerTrial(scales.to_vec())),
    ]
}

impl LinearAdapter for Lora {
    fn parameters(&self) -> Vec<ParameterSpec> {
        parameters(self.rank, &self.scales, self.b_group, &self.class)
    }

    fn factors(&self, parameters: &Parameters) -> Factors {
        let scale = parameters["scale"].unsqueeze(-1).unsqueeze(-1); // [trials, sites, 1, 1]
        let update = LowRank { a: &parameters["A"] * scale, b: parameters["B"].shallow_clone() };
        Factors { update: Some(update), ..Factors::default() }
    }

    fn adapted_weight(&self, parameters: &Parameters) -> Tensor {
        let scale = parameters["scale"].unsqueeze(-1).unsqueeze(-1); // [trials, sites, 1, 1]
        self.class.dense() + parameters["B"].matmul(&parameters["A"]) * scale
    }

    fn update_rank(&self) -> Option<i64> {
        Some(self.rank)
    }
}
