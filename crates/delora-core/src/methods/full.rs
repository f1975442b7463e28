//! Full finetuning: every tensor of the network is trained.
//!
//! ```text
//! W' is trained itself, and so is every bias, norm, convolution and embedding
//! ```
//!
//! | symbol | shape                                      | trained | at start   |
//! |--------|--------------------------------------------|---------|------------|
//! | weight | [trials, sites, out_features, in_features] | weight  | checkpoint |
//! | bias   | [trials, sites, out_features]              | weight  | checkpoint |
//! | value  | [trials, sites, …], of any other tensor    | weight  | checkpoint |
//!
//! A bank keeps a copy of the network per trial. Start: the checkpoint. No invariant.
//! Source: the paper's "Full Finetuning" and "DreamBooth" rows. Departures: none.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::adapter::{Init, LinearAdapter, ParameterSpec, Parameters, WholeSettings};
use crate::class::LinearClass;
use crate::factors::Factors;
use crate::method::{About, Method};
use crate::parameter_group::Group;
use crate::site::SiteShape;

pub const METHOD: Method = Method::whole::<Settings>(About {
    name: "full",
    title: "Full finetuning",
    formula: "W' trained itself",
    groups: &[Group::Weight],
    bound: "unbounded",
    update_rank: "full",
    starts_at_identity: true,
});

/// Full finetuning has no settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

struct Full {
    class: LinearClass,
}

impl WholeSettings for Settings {
    const GROUP: Group = Group::Weight;

    fn num_parameters(&self, site: &SiteShape) -> i64 {
        site.num_values()
    }

    fn build(&self, class: &LinearClass) -> Box<dyn LinearAdapter> {
        Box::new(Full { class: class.shared() })
    }
}

impl LinearAdapter for Full {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let shape = [self.class.out_features, self.class.in_features];
        let mut specs =
            vec![ParameterSpec::trained("weight", Group::Weight, &shape, Init::PerSite(self.class.dense()))];
        if let Some(biases) = self.class.dense_biases() {
            specs.push(ParameterSpec::trained("bias", Group::Weight, &shape[..1], Init::PerSite(biases)));
        }
        specs
    }

    fn factors(&self, parameters: &Parameters) -> Factors {
        let weight = Some(self.adapted_weight(parameters));
        Factors { weight, bias: self.adapted_bias(parameters), ..Factors::default() }
    }

    fn adapted_weight(&self, parameters: &Parameters) -> Tensor {
        parameters["weight"].shallow_clone()
    }

    fn adapted_bias(&self, parameters: &Parameters) -> Option<Tensor> {
        self.class.biases[0].as_ref().map(|_| parameters["bias"].shallow_clone())
    }
}
