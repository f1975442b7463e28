//! LoRA, normalized with a controllable boundary: DeLoRA without the weight's norm, the ablation's second row.
//!
//! ```text
//! W' = W + (λ / rank) · (B Ξ A − B0 Ξ0 A0)    Ξ = diag(1 / (‖a_i‖ ‖b_i‖)),  a_i rows of A,  b_i columns of B
//! ```
//!
//! | symbol | shape                               | trained  | at start                        |
//! |--------|-------------------------------------|----------|---------------------------------|
//! | W      | [sites, out_features, in_features]  | no       | checkpoint                      |
//! | A      | [trials, sites, rank, in_features]  | angles   | uniform in ±1/sqrt(in_features) |
//! | B      | [trials, sites, out_features, rank] | angles   | uniform in ±1/sqrt(rank)        |
//! | lambda | [trials, sites]                     | strength | λ                               |
//! | A0, B0 | as A, B                             | no       | copies of A, B                  |
//!
//! Start: W' = W. Invariant: ‖W' − W‖ ≤ 2 |λ| in the form above, and its rank is at most 2 `rank`. The setting
//! `initial_update` means what it means for DeLoRA, as do the other forms' bounds and ranks.
//! Source: the paper, Table 1, "+ normalize w/ controllable boundary".
//! Departures: none; λ, an absolute norm here, is a choice, as the paper does not print it.

use serde::{Deserialize, Serialize};

use super::delora::{Delora, InitialUpdate, WeightNorm};
use crate::adapter::{LinearAdapter, LinearSettings};
use crate::class::LinearClass;
use crate::limits::{Checked, check_rank, check_scale};
use crate::method::{About, Method};
use crate::parameter_group::Group;
use crate::site::LinearShape;

pub const METHOD: Method = Method::linear::<Settings>(About {
    name: "lora_normalized",
    title: "Normalized LoRA",
    formula: "W + (λ/r) B Ξ A",
    groups: &[Group::Angles, Group::Strength],
    bound: "λ (2λ with a live frozen copy)",
    update_rank: "2r (r with a zero B)",
    starts_at_identity: true,
});

/// The settings of LoRA with normalized directions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Rows of A and columns of B.
    pub rank: i64,
    /// λ at the start, above 0.
    pub lambda: f64,
    /// How the update is made to start at zero.
    pub initial_update: InitialUpdate,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { rank: 16, lambda: 4.0, initial_update: InitialUpdate::Live }
    }
}

impl LinearSettings for Settings {
    const STRUCTURAL: Option<&[&str]> = Some(&["rank", "initial_update"]);

    fn check(&self, in_features: i64, out_features: i64) -> Checked {
        check_rank(self.rank, in_features, out_features)?;
        check_scale("lambda", self.lambda)
    }

    fn num_parameters(&self, shape: &LinearShape) -> i64 {
        self.rank * (shape.in_features + shape.out_features) + 1
    }

    fn build(trials: &[Self], class: &LinearClass) -> Box<dyn LinearAdapter> {
        let lambdas = trials.iter().map(|trial| trial.lambda).collect();
        let Settings { rank, initial_update, .. } = trials[0];
        Box::new(Delora::new(rank, lambdas, initial_update, WeightNorm::None, class))
    }

    fn examples(rank: i64) -> Vec<Self> {
        [InitialUpdate::Merged, InitialUpdate::Live, InitialUpdate::ZeroB]
            .map(|initial_update| Settings { rank, lambda: 0.7, initial_update })
            .into()
    }
}
