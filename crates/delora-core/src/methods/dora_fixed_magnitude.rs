//! DoRA with the rows of the weight held at their pretrained lengths: only directions are learnt.
//!
//! ```text
//! W' = diag(m / n) · (W + s B A)        n_i = ‖row i of W + s B A‖, held constant in the gradient
//! ```
//!
//! | symbol | shape                               | trained | at start                        |
//! |--------|-------------------------------------|---------|---------------------------------|
//! | W      | [sites, out_features, in_features]  | no      | checkpoint                      |
//! | A      | [trials, sites, rank, in_features]  | angles  | uniform in ±1/sqrt(in_features) |
//! | B      | [trials, sites, out_features, rank] | angles  | zero                            |
//! | m      | [sites, out_features]               | no      | the norms of W's rows           |
//! | scale  | [trials, sites]                     | no      | s = alpha / rank                |
//!
//! Start: B = 0 and m = n, so W' = W. Invariant: each row of W' is as long as W's, so ‖W' − W‖ ≤ 2 ‖W‖.
//! Source: the paper, Figure 5. Departures: as DoRA's.

use serde::{Deserialize, Serialize};

use super::dora::Dora;
use super::lora;
use crate::adapter::{LinearAdapter, LinearSettings};
use crate::class::LinearClass;
use crate::limits::Checked;
use crate::method::{About, Method};
use crate::parameter_group::Group;
use crate::site::LinearShape;

pub const METHOD: Method = Method::linear::<Settings>(About {
    name: "dora_fixed_magnitude",
    title: "DoRA, fixed magnitude",
    formula: "‖W‖ (W + (α/r) B A) / ‖W + (α/r) B A‖",
    groups: &[Group::Angles],
    bound: "2‖W‖",
    update_rank: "full",
    starts_at_identity: true,
});

/// DoRA with fixed magnitudes has LoRA's settings.
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
        Box::new(Dora::new(trials[0].0.rank, scales, false, class))
    }

    fn examples(rank: i64) -> Vec<Self> {
        lora::Settings::examples(rank).into_iter().map(Settings).collect()
    }
}
