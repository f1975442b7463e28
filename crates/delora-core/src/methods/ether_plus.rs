//! ETHER+: two opposed reflections of the weight's input space and two of its output space, in blocks.
//!
//! ```text
//! W' = G · W · H
//! H = block-diagonal of I − u_k u_kᵀ + v_k v_kᵀ,   u_k = R1_k / ‖R1_k‖,   v_k = R2_k / ‖R2_k‖,   k = 1 … blocks
//! G = the same of R3, R4
//! ```
//!
//! | symbol | shape                                        | trained | at start                                |
//! |--------|----------------------------------------------|---------|-----------------------------------------|
//! | W      | [sites, out_features, in_features]           | no      | checkpoint                              |
//! | R1     | [trials, sites, blocks, in_features/blocks]  | angles  | uniform in ±1/sqrt(in_features/blocks)  |
//! | R2     | [trials, sites, blocks, in_features/blocks]  | angles  | −R1                                     |
//! | R3     | [trials, sites, blocks, out_features/blocks] | angles  | uniform in ±1/sqrt(out_features/blocks) |
//! | R4     | [trials, sites, blocks, out_features/blocks] | angles  | −R3                                     |
//!
//! Start: R2 = −R1 and R4 = −R3, so W' = W. Invariant: H − I and G − I have no singular value above 1, so
//! ‖W' − W‖ ≤ ‖G − I‖ ‖W H‖ + ‖W (H − I)‖ ≤ 3 ‖W‖; its rank is at most 4 `blocks`.
//! Source: Bini et al. 2024, equation 6; mwbini/ether, layer type `etherplusHH`, which its tables are made with.
//! Departures: for blocks > 1 the authors' code reshapes the weight so that H is not block-diagonal; here it is, as in their
//! paper, unless `layout` is `authors`.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::reflections::{BlockLayout, Reflections, Side, bound, is_diagonal};
use crate::adapter::{LinearAdapter, LinearSettings, ParameterSpec, Parameters};
use crate::class::LinearClass;
use crate::factors::Factors;
use crate::limits::{Checked, check_blocks};
use crate::method::{About, Method};
use crate::parameter_group::Group;
use crate::site::LinearShape;

pub const METHOD: Method = Method::linear::<Settings>(About {
    name: "ether_plus",
    title: "ETHER+",
    formula: "(I − u' u'ᵀ + v' v'ᵀ) W (I − u uᵀ + v vᵀ)",
    groups: &[Group::Angles],
    bound: "3‖W‖",
    update_rank: "4n",
    starts_at_identity: true,
});

/// ETHER+'s settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Diagonal blocks, a divisor of both sides' features.
    pub blocks: i64,
    /// How they lie at the input side.
    #[serde(skip_serializing_if = "is_diagonal")]
    pub layout: BlockLayout,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { blocks: 1, layout: BlockLayout::Diagonal }
    }
}

struct EtherPlus {
    /// H and G.
    inside: Reflections,
    outside: Reflections,
    class: LinearClass,
}

impl LinearSettings for Settings {
    fn check(&self, in_features: i64, out_features: i64) -> Checked {
        check_blocks(self.blocks, in_features)?;
        check_blocks(self.blocks, out_features)
    }

    fn num_parameters(&self, shape: &LinearShape) -> i64 {
        2 * (shape.in_features + shape.out_features)
    }

    fn build(trials: &[Self], class: &LinearClass) -> Box<dyn LinearAdapter> {
        let Settings { blocks, layout } = trials[0];
        let inside = Reflections {
            terms: &[("R1", -1.0), ("R2", 1.0)],
            side: Side::In,
            blocks,
            layout,
            features: class.in_features,
        };
        let outside = Reflections {
            terms: &[("R3", -1.0), ("R4", 1.0)],
            side: Side::Out,
            blocks,
            layout,
            features: class.out_features,
        };
        Box::new(EtherPlus { inside, outside, class: class.shared() })
    }

    fn examples(_: i64) -> Vec<Self> {
        let all = [(1, BlockLayout::Diagonal), (2, BlockLayout::Diagonal), (2, BlockLayout::Authors)];
        all.map(|(blocks, layout)| Settings { blocks, layout }).into()
    }
}

impl LinearAdapter for EtherPlus {
    fn parameters(&self) -> Vec<ParameterSpec> {
        [self.inside.parameters(), self.outside.parameters()].into_iter().flatten().collect()
    }

    fn factors(&self, parameters: &Parameters) -> Factors {
        if !self.inside.is_one_matrix() {
            return Factors { weight: Some(self.adapted_weight(parameters)), ..Factors::default() };
        }
        Factors {
            input: Some(self.inside.low_rank(parameters)),
            output: Some(self.outside.low_rank(parameters)),
            ..Factors::default()
        }
    }

    fn adapted_weight(&self, parameters: &Parameters) -> Tensor {
        let (inside, outside) = (&self.inside, &self.outside);
        let dense = self.class.dense();
        if inside.is_one_matrix() {
            return outside.applied_to(&inside.applied_to(&dense, parameters), parameters);
        }
        // The authors' code multiplies from the left first, which makes a difference to its reshape alone.
        inside.applied_to(&outside.applied_to(&dense, parameters), parameters)
    }

    fn bound(&self, _: &Parameters) -> Option<Tensor> {
        Some(bound(&self.class, 3.0))
    }

    fn update_rank(&self) -> Option<i64> {
        Some(self.inside.update_rank() + self.outside.update_rank())
    }
}
