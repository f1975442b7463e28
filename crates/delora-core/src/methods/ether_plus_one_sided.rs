//! ETHER+, one-sided: two opposed reflections of the weight's input space, or of its output space.
//!
//! ```text
//! side in:   W' = W · H        side out:   W' = H · W
//! H = block-diagonal of I − u_k u_kᵀ + v_k v_kᵀ,   u_k = R1_k / ‖R1_k‖,   v_k = R2_k / ‖R2_k‖,   k = 1 … blocks
//! ```
//!
//! | symbol | shape                                     | trained | at start                             |
//! |--------|-------------------------------------------|---------|--------------------------------------|
//! | W      | [sites, out_features, in_features]        | no      | checkpoint                           |
//! | R1     | [trials, sites, blocks, features/blocks]  | angles  | uniform in ±1/sqrt(features/blocks)  |
//! | R2     | [trials, sites, blocks, features/blocks]  | angles  | −R1                                  |
//!
//! `features` are those of `side`. Start: R2 = −R1, so H = I. Invariant: ‖H − I‖ has no singular value above 1, so
//! ‖W' − W‖ ≤ ‖W‖ (ETHER states 2 for ‖H − I‖); its rank is at most 2 `blocks`.
//! Source: Bini et al. 2024, equation 6; mwbini/ether, layer type `etherplus`.
//! Departures: for blocks > 1 the authors' code reshapes the weight so that side in is not block-diagonal; here
//! it is, as in their paper. A block of H is done on activations as two rows of a low-rank product.

use serde::{Deserialize, Serialize};

use super::reflections::{BlockLayout, OneSided, Side};
use crate::adapter::{LinearAdapter, LinearSettings};
use crate::class::LinearClass;
use crate::limits::{Checked, check_blocks};
use crate::method::{About, Method};
use crate::parameter_group::Group;
use crate::site::LinearShape;

pub const METHOD: Method = Method::linear::<Settings>(About {
    name: "ether_plus_one_sided",
    title: "ETHER+ one-sided",
    formula: "W (I − u uᵀ + v vᵀ)",
    groups: &[Group::Angles],
    bound: "‖W‖",
    update_rank: "2n",
    starts_at_identity: true,
});

/// The settings of one-sided ETHER+.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which side of the weight is multiplied.
    pub side: Side,
    /// Diagonal blocks, a divisor of that side's features.
    pub blocks: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { side: Side::In, blocks: 1 }
    }
}

/// H = I − u uᵀ + v vᵀ.
const TERMS: &[(&str, f64)] = &[("R1", -1.0), ("R2", 1.0)];

impl LinearSettings for Settings {
    fn check(&self, in_features: i64, out_features: i64) -> Checked {
        check_blocks(self.blocks, self.side.features(in_features, out_features))
    }

    fn num_parameters(&self, shape: &LinearShape) -> i64 {
        2 * self.side.features(shape.in_features, shape.out_features)
    }

    fn build(trials: &[Self], class: &LinearClass) -> Box<dyn LinearAdapter> {
        let Settings { side, blocks } = trials[0];
        Box::new(OneSided::new(TERMS, 1.0, side, (blocks, BlockLayout::Diagonal), class))
    }

    fn examples(_: i64) -> Vec<Self> {
        [(Side::In, 1), (Side::In, 2), (Side::Out, 1), (Side::Out, 2)]
            .map(|(side, blocks)| Settings { side, blocks })
            .into()
    }
}
