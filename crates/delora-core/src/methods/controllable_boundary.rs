//! Controllable boundary: ETHER+ on the input side with a trained strength.
//!
//! ```text
//! W' = W · (I − (λ / 2) · (u uᵀ / ‖u‖² − v vᵀ / ‖v‖²))
//! ```
//!
//! | symbol | shape                              | trained  | at start                        |
//! |--------|------------------------------------|----------|---------------------------------|
//! | W      | [sites, out_features, in_features] | no       | checkpoint                      |
//! | U      | [trials, sites, 1, in_features]    | angles   | uniform in ±1/sqrt(in_features) |
//! | V      | [trials, sites, 1, in_features]    | angles   | −U                              |
//! | lambda | [trials, sites]                    | strength | λ                               |
//!
//! u and v are the only rows of U and V. Start: V = −U, so W' = W. Invariant: ‖W' − W‖ ≤ (|λ|/2) ‖W‖, and its
//! rank is at most 2. λ = 2 is ETHER+.
//! Source: the paper, equation 10; its Table 1 prints λ for λ/2.
//! Departures: none, but the paper states neither the start nor λ: the start is that of ETHER+, λ a choice.

use serde::{Deserialize, Serialize};

use super::multiplicative_high_rank::Symmetric;
use crate::adapter::{LinearAdapter, LinearSettings};
use crate::class::LinearClass;
use crate::limits::{Checked, check_rank, check_scale};
use crate::method::{About, Method};
use crate::parameter_group::Group;
use crate::site::LinearShape;

pub const METHOD: Method = Method::linear::<Settings>(About {
    name: "controllable_boundary",
    title: "Controllable boundary",
    formula: "W (I − (λ/2)(u uᵀ − v vᵀ))",
    groups: &[Group::Angles, Group::Strength],
    bound: "(λ/2)‖W‖",
    update_rank: "2",
    starts_at_identity: true,
});

/// One u and one v.
const RANK: i64 = 2;

/// The settings of ETHER+ with a controllable boundary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// λ at the start, above 0.
    pub lambda: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { lambda: 2.0 }
    }
}

impl LinearSettings for Settings {
    const STRUCTURAL: Option<&[&str]> = Some(&[]);

    fn check(&self, in_features: i64, _: i64) -> Checked {
        check_rank(RANK, in_features, in_features)?;
        check_scale("lambda", self.lambda)
    }

    fn num_parameters(&self, shape: &LinearShape) -> i64 {
        RANK * shape.in_features + 1
    }

    fn build(trials: &[Self], class: &LinearClass) -> Box<dyn LinearAdapter> {
        let lambdas = trials.iter().map(|trial| trial.lambda).collect();
        Box::new(Symmetric::new(RANK, lambdas, class))
    }

    fn examples(_: i64) -> Vec<Self> {
        vec![Settings { lambda: 0.7 }]
    }
}
