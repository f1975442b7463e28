//! Pfeiffer's adapter, the table's Adapter-FFN: a bottleneck behind the feed-forward block.
//!
//! ```text
//! h' = h + up · activation(down · x + down_bias) + up_bias
//! ```
//!
//! | symbol    | shape                                 | trained | at start     |
//! |-----------|---------------------------------------|---------|--------------|
//! | h         | [.., features], behind the feed-forward block, before its residual; x = norm(h + residual) in networks that norm there, otherwise h | | |
//! | down      | [trials, sites, bottleneck, features] | weight  | N(0, 0.02²)  |
//! | down_bias | [trials, sites, bottleneck]           | weight  | zero         |
//! | up        | [trials, sites, features, bottleneck] | weight  | N(0, 0.02²)  |
//! | up_bias   | [trials, sites, features]             | weight  | zero         |
//!
//! Start: close to the pretrained network, but not it. Invariant: h' − h, less up_bias, has rank `bottleneck`.
//! Source: Pfeiffer et al. 2021, section 2.1; adapter-hub/adapters, `SeqBnConfig`.
//! The paper's table does not state its bottleneck; 16 fits its count.
//! Departures: none.

use serde::{Deserialize, Serialize};

use super::bottleneck::{self, Activation, Bottleneck};
use crate::adapter::{HiddenAdapter, HiddenSettings};
use crate::class::HiddenClass;
use crate::limits::Checked;
use crate::method::{About, Method};
use crate::parameter_group::Group;
use crate::site::{HiddenShape, Place};

pub const METHOD: Method = Method::hidden::<Settings>(About {
    name: "adapter_pfeiffer",
    title: "Adapter-FFN",
    formula: "h + up(act(down norm(h))) behind feed-forward",
    groups: &[Group::Weight],
    bound: "unbounded",
    update_rank: "m",
    starts_at_identity: false,
});

/// The settings of Pfeiffer's adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Features inside the adapter.
    pub bottleneck: i64,
    /// Between the two layers.
    pub activation: Activation,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { bottleneck: 16, activation: Activation::Relu }
    }
}

impl HiddenSettings for Settings {
    fn acts_on(&self, shape: &HiddenShape) -> bool {
        shape.place == Place::FeedForwardOutput
    }

    fn check(&self, features: i64) -> Checked {
        bottleneck::check(self.bottleneck, features)
    }

    fn num_parameters(&self, features: i64) -> i64 {
        bottleneck::num_parameters(self.bottleneck, features)
    }

    fn build(trials: &[Self], class: &HiddenClass) -> Box<dyn HiddenAdapter> {
        let Settings { bottleneck, activation } = trials[0];
        Box::new(Bottleneck { bottleneck, features: class.features, activation, reads_normed: true })
    }

    fn examples(rank: i64) -> Vec<Self> {
        // Smooth, as two units may both be dead at the start.
        vec![Settings { bottleneck: rank, activation: Activation::Gelu }]
    }
}
