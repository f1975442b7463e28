//! BitFit: every bias of the network is trained, norms included.
//!
//! ```text
//! W' = W,   bias' is trained itself
//! ```
//!
//! | symbol | shape                                          | trained | at start   |
//! |--------|------------------------------------------------|---------|------------|
//! | bias   | [trials, sites, out_features], of a linear     | bias    | checkpoint |
//! | value  | [trials, sites, …], of any other tensor `bias` | bias    | checkpoint |
//!
//! Start: the checkpoint. Invariant: no weight changes.
//! Source: Ben Zaken et al. 2022, section 3. Departures: none.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::adapter::{Init, LinearAdapter, ParameterSpec, Parameters, WholeSettings};
use crate::class::LinearClass;
use crate::factors::Factors;
use crate::method::{About, Method};
use crate::parameter_group::Group;
use crate::site::{PartShape, SiteShape};

pub const METHOD: Method = Method::whole::<Settings>(About {
    name: "bitfit",
    title: "BitFit",
    formula: "W, biases trained",
    groups: &[Group::Bias],
    bound: "0",
    update_rank: "0",
    starts_at_identity: true,
});

/// BitFit has no settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

struct BitFit {
    class: LinearClass,
}

impl WholeSettings for Settings {
    const GROUP: Group = Group::Bias;

    fn num_parameters(&self, site: &SiteShape) -> i64 {
        match &site.part {
            PartShape::Linear(shape) if shape.has_bias => shape.out_features,
            PartShape::Tensor(_) if site.name.ends_with("bias") => site.num_values(),
            _ => 0,
        }
    }

    fn build(&self, class: &LinearClass) -> Box<dyn LinearAdapter> {
        Box::new(BitFit { class: class.shared() })
    }
}

impl LinearAdapter for BitFit {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let biases = self.class.dense_biases().expect("only layers with a bias are adapted");
        let shape = [self.class.out_features];
        vec![ParameterSpec::trained("bias", Group::Bias, &shape, Init::PerSite(biases))]
    }

    fn factors(&self, parameters: &Parameters) -> Factors {
        Factors { bias: self.adapted_bias(parameters), ..Factors::default() }
    }

    fn adapted_weight(&self, _: &Parameters) -> Tensor {
        self.class.dense().unsqueeze(0) // [1, sites, out_features, in_features]
    }

    fn adapted_bias(&self, parameters: &Parameters) -> Option<Tensor> {
        Some(parameters["bias"].shallow_clone())
    }

    fn bound(&self, _: &Parameters) -> Option<Tensor> {
        Some(Tensor::zeros([1, self.class.num_sites()], (Kind::Float, self.class.device())))
    }

    fn update_rank(&self) -> Option<i64> {
        Some(0)
    }
}
