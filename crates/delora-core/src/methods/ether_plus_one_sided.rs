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
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use crate::adapter::{Init, LinearAdapter, LinearSettings, ParameterSpec, Parameters};
use crate::class::LinearClass;
use crate::config::Group;
use crate::factors::{Factors, LowRank};
use crate::method::{About, Method};
use crate::norms::unit_rows;

pub const METHOD: Method = Method::linear::<Settings>(About {
    name: "ether_plus_one_sided",
    title: "ETHER+ (one-sided)",
    formula: "W (I − u uᵀ + v vᵀ)",
    groups: &[Group::Angles],
    bound: "‖W‖",
});

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    In,
    Out,
}

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub side: Side,
    pub blocks: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { side: Side::In, blocks: 1 }
    }
}

impl Settings {
    fn features(&self, in_features: i64, out_features: i64) -> i64 {
        match self.side {
            Side::In => in_features,
            Side::Out => out_features,
        }
    }
}

struct EtherPlus {
    side: Side,
    blocks: i64,
    features: i64,
    class: LinearClass,
}

impl LinearSettings for Settings {
    fn structure(&self) -> Value {
        json!({ "side": self.side, "blocks": self.blocks })
    }

    fn check(&self, in_features: i64, out_features: i64) -> Result<(), String> {
        let (features, blocks) = (self.features(in_features, out_features), self.blocks);
        if blocks < 1 || features % blocks != 0 {
            return Err(format!(
                "{blocks} blocks do not divide {features} features; set `blocks` to a divisor"
            ));
        }
        Ok(())
    }

    fn num_parameters(&self, in_features: i64, out_features: i64) -> i64 {
        2 * self.features(in_features, out_features)
    }

    fn build(trials: &[Self], class: &LinearClass) -> Box<dyn LinearAdapter> {
        let features = trials[0].features(class.in_features, class.out_features);
        let Settings { side, blocks } = trials[0];
        Box::new(EtherPlus { side, blocks, features, class: class.shared() })
    }

    fn examples(_: i64) -> Vec<Self> {
        [(Side::In, 1), (Side::In, 2), (Side::Out, 1), (Side::Out, 2)]
            .map(|(side, blocks)| Settings { side, blocks })
            .into()
    }
}

impl EtherPlus {
    /// The unit vector of each block in its place among all features, [trials, sites, blocks, features].
    fn placed_units(&self, vectors: &Tensor) -> Tensor {
        let units = unit_rows(vectors).unsqueeze(-2); // [trials, sites, blocks, 1, features/blocks]
        let places = Tensor::eye(self.blocks, (vectors.kind(), self.class.device())).unsqueeze(-1);
        (units * places).flatten(-2, -1)
    }

    fn reflections(&self, parameters: &Parameters) -> LowRank {
        let (u, v) = (self.placed_units(&parameters["R1"]), self.placed_units(&parameters["R2"]));
        let signed = Tensor::cat(&[-&u, v.shallow_clone()], -2);
        LowRank { a: Tensor::cat(&[u, v], -2), b: signed.transpose(-2, -1) }
    }
}

impl LinearAdapter for EtherPlus {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let shape = [self.blocks, self.features / self.blocks];
        let bound = 1.0 / (shape[1] as f64).sqrt();
        vec![
            ParameterSpec::trained("R1", Group::Angles, &shape, Init::Uniform { bound }),
            ParameterSpec::trained("R2", Group::Angles, &shape, Init::Copy { of: "R1", sign: -1.0 }),
        ]
    }

    fn factors(&self, parameters: &Parameters) -> Factors {
        let reflections = Some(self.reflections(parameters));
        match self.side {
            Side::In => Factors { input: reflections, ..Factors::default() },
            Side::Out => Factors { output: reflections, ..Factors::default() },
        }
    }

    fn adapted_weight(&self, parameters: &Parameters) -> Tensor {
        let width = self.features / self.blocks;
        let projection = |name, block| {
            let unit = unit_rows(&parameters[name]).select(2, block).unsqueeze(-1); // [trials, sites, width, 1]
            unit.matmul(&unit.transpose(-2, -1))
        };
        let identity = Tensor::eye(width, (Kind::Float, self.class.device()));
        let turned: Vec<Tensor> = (0..self.blocks)
            .map(|block| {
                let h = &identity - projection("R1", block) + projection("R2", block);
                match self.side {
                    Side::In => self.class.dense().narrow(2, block * width, width).matmul(&h),
                    Side::Out => h.matmul(&self.class.dense().narrow(1, block * width, width)),
                }
            })
            .collect();
        Tensor::cat(&turned, if self.side == Side::In { -1 } else { -2 })
    }

    fn bound(&self, _: &Parameters) -> Option<Tensor> {
        Some(self.class.frobenius_norms().unsqueeze(0)) // [1, sites]
    }

    fn update_rank(&self) -> Option<i64> {
        Some(2 * self.blocks)
    }
}
