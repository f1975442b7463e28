//! RED: trained scale and shift of what each feed-forward block gives.
//!
//! ```text
//! h' = scale ∘ h + shift
//! ```
//!
//! | symbol | shape                     | trained   | at start |
//! |--------|---------------------------|-----------|----------|
//! | h      | [.., features], behind the feed-forward block, before its residual | | |
//! | scale  | [trials, sites, features] | magnitude | one      |
//! | shift  | [trials, sites, features] | magnitude | zero     |
//!
//! Start: h' = h. Invariant: each feature changes by itself.
//! Source: Wu et al. 2024, equation 5; mlwu22/RED. Departures: none.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::adapter::{Hidden, HiddenAdapter, HiddenChange, HiddenSettings, Init, ParameterSpec, Parameters};
use crate::class::HiddenClass;
use crate::method::{About, Method};
use crate::parameter_group::Group;
use crate::site::{HiddenShape, Place};

pub const METHOD: Method = Method::hidden::<Settings>(About {
    name: "red",
    title: "RED",
    formula: "s ∘ h + t behind each feed-forward block",
    groups: &[Group::Magnitude],
    bound: "unbounded",
    update_rank: "–",
    starts_at_identity: true,
});

/// RED has no settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

struct Red {
    features: i64,
    start: Tensor,
}

impl HiddenSettings for Settings {
    fn acts_on(&self, shape: &HiddenShape) -> bool {
        shape.place == Place::FeedForwardOutput
    }

    fn num_parameters(&self, features: i64) -> i64 {
        2 * features
    }

    fn build(_: &[Self], class: &HiddenClass) -> Box<dyn HiddenAdapter> {
        let start = Tensor::ones([class.names.len() as i64, class.features], (Kind::Float, class.device));
        Box::new(Red { features: class.features, start })
    }
}

impl HiddenAdapter for Red {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let (shape, ones) = ([self.features], Init::PerSite(self.start.shallow_clone()));
        vec![
            ParameterSpec::trained("scale", Group::Magnitude, &shape, ones),
            ParameterSpec::trained("shift", Group::Magnitude, &shape, Init::Zero),
        ]
    }

    fn changes(&self, parameters: &Parameters, kind: Kind) -> Vec<HiddenChange> {
        let rows = |name: &str| {
            let rows = parameters[name].to_kind(kind).unsqueeze(2).unsqueeze(2); // [trials, sites, 1, 1, features]
            rows.unbind(1)
        };
        let pairs = rows("scale").into_iter().zip(rows("shift"));
        pairs
            .map(|(scale, shift)| {
                Box::new(move |hidden: &Hidden| hidden.values * &scale + &shift) as HiddenChange
            })
            .collect()
    }
}
