//! VeRA: random factors that all layers share, and trained scales of their rows.
//!
//! ```text
//! W' = W + diag(b) B diag(d) A
//! ```
//!
//! | symbol | shape                               | trained   | at start                                  |
//! |--------|-------------------------------------|-----------|-------------------------------------------|
//! | W      | [sites, out_features, in_features]  | no        | checkpoint                                |
//! | d      | [trials, sites, rank]               | magnitude | `initial_d`                               |
//! | b      | [trials, sites, out_features]       | magnitude | zero                                      |
//! | A      | [trials, sites, rank, in_features]  | no        | uniform in ±sqrt(6/in_features), shared   |
//! | B      | [trials, sites, out_features, rank] | no        | uniform in ±sqrt(6/rank), shared          |
//!
//! Start: b = 0, so W' = W. Invariant: W' − W has rank at most `rank`.
//! Source: Kopiczko et al. 2024, equation 2; huggingface/peft, `VeraConfig`.
//! Departures: A and B are drawn from the trial's seed and are the same at every site but for A's bound where
//! layers differ in in_features; PEFT cuts them from one pair for the largest layer.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::adapter::{Init, LinearAdapter, LinearSettings, ParameterSpec, Parameters};
use crate::class::LinearClass;
use crate::factors::{Factors, LowRank, Scales};
use crate::limits::{Checked, check_count, check_scale};
use crate::method::{About, Method};
use crate::parameter_group::Group;
use crate::site::LinearShape;

pub const METHOD: Method = Method::linear::<Settings>(About {
    name: "vera",
    title: "VeRA",
    formula: "W + diag(b) B diag(d) A, A and B random",
    groups: &[Group::Magnitude],
    bound: "unbounded",
    update_rank: "r",
    starts_at_identity: true,
});

/// VeRA's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Rows of the projection A, which all layers share.
    pub rank: i64,
    /// The first value of d.
    pub initial_d: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { rank: 256, initial_d: 0.1 }
    }
}

struct Vera {
    rank: i64,
    initial_d: Vec<f64>,
    class: LinearClass,
}

impl LinearSettings for Settings {
    const STRUCTURAL: Option<&[&str]> = Some(&["rank"]);

    /// A rank above the layer's sides is usual here.
    fn check(&self, in_features: i64, out_features: i64) -> Checked {
        check_count("rank", self.rank, in_features * out_features)?;
        check_scale("initial_d", self.initial_d)
    }

    fn num_parameters(&self, shape: &LinearShape) -> i64 {
        self.rank + shape.out_features
    }

    fn build(trials: &[Self], class: &LinearClass) -> Box<dyn LinearAdapter> {
        let initial_d = trials.iter().map(|trial| trial.initial_d).collect();
        Box::new(Vera { rank: trials[0].rank, initial_d, class: class.shared() })
    }

    fn examples(rank: i64) -> Vec<Self> {
        vec![Settings { rank, initial_d: 0.6 }]
    }
}

impl LinearAdapter for Vera {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let (rank, in_features, out_features) = (self.rank, self.class.in_features, self.class.out_features);
        let shared = |features: i64| Init::SharedUniform { bound: (6.0 / features as f64).sqrt() };
        vec![
            ParameterSpec::trained("d", Group::Magnitude, &[rank], Init::PerTrial(self.initial_d.clone())),
            ParameterSpec::trained("b", Group::Magnitude, &[out_features], Init::Zero),
            ParameterSpec::frozen("A", &[rank, in_features], shared(in_features)),
            ParameterSpec::frozen("B", &[out_features, rank], shared(rank)),
        ]
    }

    fn factors(&self, parameters: &Parameters) -> Factors {
        let parameter = |name: &str| parameters[name].shallow_clone();
        let update = LowRank { a: parameter("A"), b: parameter("B") };
        let scales = Scales { inner: parameter("d"), outer: parameter("b") };
        Factors { update: Some(update), update_scales: Some(scales), ..Factors::default() }
    }

    fn adapted_weight(&self, parameters: &Parameters) -> Tensor {
        let rows = parameters["d"].unsqueeze(-1) * &parameters["A"];
        self.class.dense() + parameters["b"].unsqueeze(-1) * parameters["B"].matmul(&rows)
    }

    fn update_rank(&self) -> Option<i64> {
        Some(self.rank)
    }
}
