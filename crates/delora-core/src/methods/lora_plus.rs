//! LoRA+: LoRA whose factor B has a learning rate of its own.
//!
//! ```text
//! W' = W + (alpha / rank) · B A
//! ```
//!
//! Parameters are LoRA's, but B is in the group `angles_b`.
//! Start: B = 0, so W' = W. Invariant: W' − W has rank at most `rank`.
//! Source: Hayou et al. 2024, which gives B about 16 times the rate of A. Departures: both rates are set as such;
//! there is no ratio.

use serde::{Deserialize, Serialize};

use super::lora;
use crate::adapter::{LinearAdapter, LinearSettings};
use crate::class::LinearClass;
use crate::limits::Checked;
use crate::method::{About, Method};
use crate::parameter_group::Group;
use crate::site::LinearShape;

pub const METHOD: Method = Method::linear::<Settings>(About {
    name: "lora_plus",
    title: "LoRA+",
    formula: "W + (α/r) B A, B at its own rate",
    groups: &[Group::Angles, Group::AnglesB],
    bound: "unbounded",
    update_rank: "r",
    starts_at_identity: true,
});

/// LoRA+ has LoRA's settings.
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
        let scales = trials.iter().map(|trial| trial.0.scale()).collect();
        Box::new(lora::Lora::new(trials[0].0.rank, scales, Group::AnglesB, class))
    }

    fn examples(rank: i64) -> Vec<Self> {
        lora::Settings::examples(rank).into_iter().map(Settings).collect()
    }
}
