//! PiSSA: LoRA that starts from the weight's largest singular directions, which leave the frozen part.
//!
//! ```text
//! W' = W + s · (B A − B0 A0)        s = alpha / rank
//! W ≈ U diag(σ) Vᵀ,   A0 = diag(sqrt(σ/s)) Vᵀ and B0 = U diag(sqrt(σ/s)) of the `rank` largest σ
//! ```
//!
//! | symbol | shape                               | trained | at start         |
//! |--------|-------------------------------------|---------|------------------|
//! | W      | [sites, out_features, in_features]  | no      | checkpoint       |
//! | A, B   | as in LoRA                          | angles  | A0, B0           |
//! | A0, B0 | as A, B                             | no      | as above         |
//! | scale  | [trials, sites]                     | no      | s                |
//!
//! Start: A = A0 and B = B0, so W' = W. Invariant: W' − W has rank at most 2 `rank`.
//! Source: Meng et al. 2024, equations 2 to 4; huggingface/peft, `init_lora_weights="pissa"`. Departures: none.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use super::lora;
use crate::adapter::{Init, LinearAdapter, LinearSettings, ParameterSpec, Parameters};
use crate::class::LinearClass;
use crate::factors::{Factors, LowRank};
use crate::limits::Checked;
use crate::method::{About, Method};
use crate::parameter_group::Group;
use crate::site::LinearShape;

pub const METHOD: Method = Method::linear::<Settings>(About {
    name: "pissa",
    title: "PiSSA",
    formula: "W + (α/r)(B A − B₀ A₀), B₀ A₀ from the SVD of W",
    groups: &[Group::Angles],
    bound: "unbounded",
    update_rank: "2r",
    starts_at_identity: true,
});

/// PiSSA has LoRA's settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(
    /// Rank and alpha.
    pub lora::Settings,
);

struct Pissa {
    rank: i64,
    scale: f64,
    class: LinearClass,
}

impl LinearSettings for Settings {
    /// The scale is in the start, which a stack of trials shares.
    fn structure(&self) -> Value {
        json!({ "rank": self.0.rank, "scale": self.0.scale() })
    }

    fn check(&self, in_features: i64, out_features: i64) -> Checked {
        self.0.check(in_features, out_features)
    }

    fn num_parameters(&self, shape: &LinearShape) -> i64 {
        self.0.num_parameters(shape)
    }

    fn build(trials: &[Self], class: &LinearClass) -> Box<dyn LinearAdapter> {
        let Settings(settings) = &trials[0];
        Box::new(Pissa { rank: settings.rank, scale: settings.scale(), class: class.shared() })
    }

    fn examples(rank: i64) -> Vec<Self> {
        lora::Settings::examples(rank).into_iter().map(Settings).collect()
    }
}

impl Pissa {
    /// A0 [sites, rank, in_features] and B0 [sites, out_features, rank].
    fn principal_factors(&self) -> [Tensor; 2] {
        let (left, singular, right) = self.class.dense().svd(true, true); // right: [sites, in_features, k]
        let sizes = (singular.narrow(-1, 0, self.rank) / self.scale).sqrt(); // [sites, rank]
        let rows = right.narrow(-1, 0, self.rank).transpose(-2, -1) * sizes.unsqueeze(-1);
        [rows, left.narrow(-1, 0, self.rank) * sizes.unsqueeze(-2)]
    }
}

impl LinearAdapter for Pissa {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let a_shape = [self.rank, self.class.in_features];
        let b_shape = [self.class.out_features, self.rank];
        let [a, b] = self.principal_factors().map(|factor| factor.to_kind(Kind::Float));
        vec![
            ParameterSpec::trained("A", Group::Angles, &a_shape, Init::PerSite(a)),
            ParameterSpec::trained("B", Group::Angles, &b_shape, Init::PerSite(b)),
            ParameterSpec::frozen("A0", &a_shape, Init::Copy { of: "A", sign: 1.0 }),
            ParameterSpec::frozen("B0", &b_shape, Init::Copy { of: "B", sign: 1.0 }),
        ]
    }

    fn factors(&self, parameters: &Parameters) -> Factors {
        let rows = Tensor::cat(&[&parameters["A"] * self.scale, &parameters["A0"] * -self.scale], -2);
        let update = LowRank { a: rows, b: Tensor::cat(&[&parameters["B"], &parameters["B0"]], -1) };
        Factors { update: Some(update), ..Factors::default() }
    }

    fn adapted_weight(&self, parameters: &Parameters) -> Tensor {
        let product = |a: &str, b: &str| parameters[b].matmul(&parameters[a]);
        self.class.dense() + (product("A", "B") - product("A0", "B0")) * self.scale
    }

    fn update_rank(&self) -> Option<i64> {
        Some(2 * self.rank)
    }
}
