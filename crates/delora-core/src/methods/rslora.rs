//! rsLoRA: LoRA whose scale falls with the root of the rank.
//!
//! ```text
//! W' = W + (alpha / sqrt(rank)) · B A
//! ```
//!
//! Parameters are LoRA's; `scale` is alpha / sqrt(rank).
//! Start: B = 0, so W' = W. Invariant: W' − W has rank at most `rank`.
//! Source: Kalajdzievski 2023, equation 4; huggingface/peft, `use_rslora`. Departures: none.

use serde::{Deserialize, Serialize};

use super::lora;
use crate::adapter::{LinearAdapter, LinearSettings};
use crate::class::LinearClass;
use crate::limits::Checked;
use crate::method::{About, Method};
use crate::parameter_group::Group;
use crate::site::LinearShape;

pub const METHOD: Method = Method::linear::<Settings>(About {
    name: "rslora",
    title: "rsLoRA",
    formula: "W + (α/√r) B A",
    groups: &[Group::Angles],
    bound: "unbounded",
    update_rank: "r",
    starts_at_identity: true,
});

/// rsLoRA has LoRA's settings; the scale is alpha / √rank.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(
    /// Rank and alpha.
    pub lora::Settings,
);

impl LinearSettings for Settings {
    const STRUCTURAL: Option<&[&str]> = Some(&["rank"]);

    fn check(&self, in_features: i64, out_features: i64) -> Checked {
        self.0.check(in_features, out_features)
    }

    fn num_parameters(&self, shape: &LinearShape) -> i64 {
        self.0.num_parameters(shape)
    }

    fn build(trials: &[Self], class: &LinearClass) -> Box<dyn LinearAdapter> {
        let rank = trials[0].0.rank;
        let scales = trials.iter().map(|trial| trial.0.scale() * (rank as f64).sqrt()).collect();
        Box::new(lora::Lora::new(rank, scales, Group::Angles, class))
    }

    fn examples(rank: i64) -> Vec<Self> {
        lora::Settings::examples(rank).into_iter().map(Settings).collect()
    }
}
