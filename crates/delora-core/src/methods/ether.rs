//! ETHER: one reflection of the weight's input space, or of its output space, in blocks.
//!
//! ```text
//! side in:   W' = W · H        side out:   W' = H · W
//! H = block-diagonal of I − 2 u_k u_kᵀ,   u_k = R_k / ‖R_k‖,   k = 1 … blocks
//! ```
//!
//! | symbol | shape                                    | trained | at start                            |
//! |--------|------------------------------------------|---------|-------------------------------------|
//! | W      | [sites, out_features, in_features]       | no      | checkpoint                          |
//! | R      | [trials, sites, blocks, features/blocks] | angles  | uniform in ±1/sqrt(features/blocks) |
//!
//! `features` are those of `side`. Start: a random reflection, so W' is not W. Invariant: ‖H − I‖ has no singular
//! value above 2, so ‖W' − W‖ ≤ 2 ‖W‖; its rank is `blocks`.
//! Source: Bini et al. 2024, equation 3; mwbini/ether, layer type `ether`.
//! Departures: for blocks > 1 the authors' code reshapes the weight so that side in is not block-diagonal; here it is, as in
//! their paper, unless `layout` is `authors`.

use serde::{Deserialize, Serialize};

use super::reflections::{BlockLayout, OneSided, Side, is_diagonal};
use crate::adapter::{LinearAdapter, LinearSettings};
use crate::class::LinearClass;
use crate::limits::{Checked, check_blocks};
use crate::method::{About, Method};
use crate::parameter_group::Group;
use crate::site::LinearShape;

pub const METHOD: Method = Method::linear::<Settings>(About {
    name: "ether",
    title: "ETHER",
    formula: "W (I − 2 u uᵀ)",
    groups: &[Group::Angles],
    bound: "2‖W‖",
    update_rank: "n",
    starts_at_identity: false,
});

/// ETHER's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which side of the weight is multiplied.
    pub side: Side,
    /// Diagonal blocks, a divisor of that side's features.
    pub blocks: i64,
    /// How they lie at the input side.
    #[serde(skip_serializing_if = "is_diagonal")]
    pub layout: BlockLayout,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { side: Side::In, blocks: 1, layout: BlockLayout::Diagonal }
    }
}

/// H = I − 2 u uᵀ.
const TERMS: &[(&str, f64)] = &[("R", -2.0)];

impl LinearSettings for Settings {
    fn check(&self, in_features: i64, out_features: i64) -> Checked {
        check_blocks(self.blocks, self.side.features(in_features, out_features))
    }

    fn num_parameters(&self, shape: &LinearShape) -> i64 {
        self.side.features(shape.in_features, shape.out_features)
    }

    fn build(trials: &[Self], class: &LinearClass) -> Box<dyn LinearAdapter> {
        let Settings { side, blocks, layout } = trials[0];
        Box::new(OneSided::new(TERMS, 2.0, side, (blocks, layout), class))
    }

    fn examples(_: i64) -> Vec<Self> {
        let diagonal = [(Side::In, 1), (Side::In, 2), (Side::Out, 2)];
        let diagonal = diagonal.map(|(side, blocks)| (side, blocks, BlockLayout::Diagonal));
        let all = diagonal.into_iter().chain([(Side::In, 2, BlockLayout::Authors)]);
        all.map(|(side, blocks, layout)| Settings { side, blocks, layout }).collect()
    }
}
