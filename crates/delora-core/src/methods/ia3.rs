//! IA3: trained scales of keys, values, and of what enters the second half of a feed-forward block.
//!
//! ```text
//! key, value:          W' = diag(l) W,   bias' = l ∘ bias
//! out of feed-forward: W' = W diag(l)
//! ```
//!
//! | symbol | shape                                                    | trained   | at start   |
//! |--------|----------------------------------------------------------|-----------|------------|
//! | W      | [sites, out_features, in_features]                       | no        | checkpoint |
//! | l      | [trials, sites, out_features], feed-forward: in_features | magnitude | one        |
//!
//! It adapts these layers whatever a trial's `targets` are. Start: l = 1, so W' = W.
//! Invariant: each row of W' (feed-forward: each column) is a multiple of W's.
//! Source: Liu et al. 2022, section 3.3; huggingface/peft, `IA3Config`.
//! Departures: PEFT's pattern for RoBERTa also matches attention's output projection; here it is left alone.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::adapter::{Init, LinearAdapter, LinearSettings, ParameterSpec, Parameters};
use crate::class::LinearClass;
use crate::factors::Factors;
use crate::method::{About, Method};
use crate::parameter_group::Group;
use crate::site::{LinearShape, Role};

pub const METHOD: Method = Method::linear::<Settings>(About {
    name: "ia3",
    title: "IA3",
    formula: "diag(l) W, feed-forward: W diag(l)",
    groups: &[Group::Magnitude],
    bound: "unbounded",
    update_rank: "full",
    starts_at_identity: true,
});

/// IA3 has no settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

/// Scales inputs, or outputs without or with a bias: no two of them can be stacked.
fn form(role: Role, has_bias: bool) -> Option<u8> {
    match role {
        Role::FeedForwardOut => Some(0),
        Role::Key | Role::Value => Some(1 + u8::from(has_bias)),
        _ => None,
    }
}

struct Ia3 {
    scales_input: bool,
    class: LinearClass,
}

impl LinearSettings for Settings {
    fn variant(&self, shape: &LinearShape, _: bool) -> Option<u8> {
        form(shape.role, shape.has_bias)
    }

    fn num_parameters(&self, shape: &LinearShape) -> i64 {
        match form(shape.role, shape.has_bias) {
            None => 0,
            Some(0) => shape.in_features,
            Some(_) => shape.out_features,
        }
    }

    fn build(_: &[Self], class: &LinearClass) -> Box<dyn LinearAdapter> {
        let scales_input = class.roles[0] == Role::FeedForwardOut;
        Box::new(Ia3 { scales_input, class: class.shared() })
    }
}

impl LinearAdapter for Ia3 {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let features = if self.scales_input { self.class.in_features } else { self.class.out_features };
        let start = Tensor::ones([self.class.num_sites(), features], (Kind::Float, self.class.device()));
        vec![ParameterSpec::trained("l", Group::Magnitude, &[features], Init::PerSite(start))]
    }

    fn factors(&self, parameters: &Parameters) -> Factors {
        let scale = Some(parameters["l"].shallow_clone());
        if self.scales_input {
            return Factors { input_scale: scale, ..Factors::default() };
        }
        Factors { row_scale: scale, bias: self.adapted_bias(parameters), ..Factors::default() }
    }

    fn adapted_weight(&self, parameters: &Parameters) -> Tensor {
        let axis = if self.scales_input { -2 } else { -1 };
        self.class.dense() * parameters["l"].unsqueeze(axis)
    }

    fn adapted_bias(&self, parameters: &Parameters) -> Option<Tensor> {
        let biases = self.class.dense_biases().filter(|_| !self.scales_input)?;
        Some(biases * &parameters["l"])
    }
}
