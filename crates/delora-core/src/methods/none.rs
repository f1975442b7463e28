//! No finetuning: the network as it is, the lower bound of a table.
//!
//! ```text
//! W' = W
//! ```
//!
//! Nothing is trained. Start and invariant: W' = W.
//! Source: the paper's "No finetuning" rows.
//! Departures: none.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::adapter::{LinearAdapter, LinearSettings, ParameterSpec, Parameters};
use crate::class::LinearClass;
use crate::factors::Factors;
use crate::method::{About, Method};
use crate::site::LinearShape;

pub const METHOD: Method = Method::linear::<Settings>(About {
    name: "none",
    title: "No finetuning",
    formula: "W",
    groups: &[],
    bound: "0",
    update_rank: "0",
    starts_at_identity: true,
});

/// No finetuning has no settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

struct Nothing {
    class: LinearClass,
}

impl LinearSettings for Settings {
    fn num_parameters(&self, _: &LinearShape) -> i64 {
        0
    }

    fn build(_: &[Self], class: &LinearClass) -> Box<dyn LinearAdapter> {
        Box::new(Nothing { class: class.shared() })
    }
}

impl LinearAdapter for Nothing {
    fn parameters(&self) -> Vec<ParameterSpec> {
        Vec::new()
    }

    fn factors(&self, _: &Parameters) -> Factors {
        Factors::default()
    }

    fn adapted_weight(&self, _: &Parameters) -> Tensor {
        self.class.dense().unsqueeze(0) // [1, sites, out_features, in_features]
    }

    fn bound(&self, _: &Parameters) -> Option<Tensor> {
        Some(Tensor::zeros([1, self.class.num_sites()], (Kind::Float, self.class.device())))
    }

    fn update_rank(&self) -> Option<i64> {
        Some(0)
    }
}
