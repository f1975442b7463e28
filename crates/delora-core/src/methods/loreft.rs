//! LoReFT: a low-rank subspace of hidden states is moved to where a linear map wants it.
//!
//! ```text
//! h' = h + (h Wᵀ + b − h R) Rᵀ        R = base · Q(X), with orthonormal columns
//! Q(X) = −H(x_1) … H(x_rank) of the columns x_i of X below its diagonal, with a one on it,
//! H(x) = I − 2 x xᵀ / (xᵀ x)
//! ```
//!
//! | symbol | shape                               | trained | at start                                       |
//! |--------|-------------------------------------|---------|------------------------------------------------|
//! | h      | [.., features], what a block hands on, at the first and last positions | | |
//! | X      | [trials, sites, features, rank]     | angles  | zero                                           |
//! | W      | [trials, sites, rank, features]     | angles  | uniform in ±1/sqrt(features)                   |
//! | b      | [trials, sites, rank]               | angles  | uniform in ±1/sqrt(features)                   |
//! | base   | [trials, sites, features, features] | no      | orthogonal, of a normal matrix of its own      |
//!
//! Start: not the pretrained network, since W and b are drawn. Invariant: h' − h lies in the span of R's columns.
//! With dropout all of h' is dropped out, as in the reference.
//! Source: Wu et al. 2024, equation 2; stanfordnlp/pyreft `LoreftIntervention`, with PyTorch's orthogonal
//! parametrization (Householder map over a base). `layers`, `first_tokens` and `last_tokens` are the reference's layers and positions.
//! Departures: PyTorch keeps the sign of each reflection in X's diagonal and rounds it to an integer, so that weight
//! decay makes R zero; here the sign is fixed. `first_tokens` and `last_tokens` share their parameters.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use crate::adapter::{Hidden, HiddenAdapter, HiddenChange, HiddenSettings, Init, ParameterSpec, Parameters};
use crate::class::HiddenClass;
use crate::limits::{Checked, Problem};
use crate::method::{About, Method};
use crate::parameter_group::Group;
use crate::site::{HiddenShape, Place};

pub const METHOD: Method = Method::hidden::<Settings>(About {
    name: "loreft",
    title: "LoReFT",
    formula: "h + Rᵀ(W h + b − R h) behind each block",
    groups: &[Group::Angles],
    bound: "unbounded",
    update_rank: "r",
    starts_at_identity: false,
});

/// LoReFT's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Rows of R, below the features.
    pub rank: i64,
    /// Numbers of the blocks to act behind; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<i64>>,
    /// Positions from the start and from the end of each sequence to act on; both absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_tokens: Option<i64>,
    /// See `first_tokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_tokens: Option<i64>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { rank: 1, layers: None, first_tokens: None, last_tokens: None }
    }
}

struct Loreft {
    rank: i64,
    features: i64,
    first: Option<i64>,
    last: Option<i64>,
}

impl HiddenSettings for Settings {
    fn structure(&self) -> Value {
        json!({ "rank": self.rank, "layers": self.layers, "first_tokens": self.first_tokens, "last_tokens": self.last_tokens })
    }

    fn acts_on(&self, shape: &HiddenShape) -> bool {
        let chosen = self.layers.as_ref().is_none_or(|layers| layers.contains(&shape.layer));
        shape.place == Place::BlockOutput && chosen
    }

    fn check(&self, features: i64) -> Checked {
        if self.rank < 1 || self.rank >= features {
            let message = format!("rank {} is not between 1 and {}; change `rank`", self.rank, features - 1);
            return Err(Problem::new("rank", message));
        }
        for (name, positions) in [("first_tokens", self.first_tokens), ("last_tokens", self.last_tokens)] {
            if positions.is_some_and(|positions| positions < 1) {
                let message = format!("`{name}` is below 1; leave it out to act on no position there");
                return Err(Problem::new(name, message));
            }
        }
        Ok(())
    }

    fn num_parameters(&self, features: i64) -> i64 {
        self.rank * (2 * features + 1)
    }

    fn build(trials: &[Self], class: &HiddenClass) -> Box<dyn HiddenAdapter> {
        let Settings { rank, first_tokens: first, last_tokens: last, .. } = trials[0];
        Box::new(Loreft { rank, features: class.features, first, last })
    }

    fn examples(rank: i64) -> Vec<Self> {
        let form =
            |rank, first, last| Settings { rank, layers: None, first_tokens: first, last_tokens: last };
        vec![form(1, None, None), form(rank, Some(2), Some(1))]
    }
}

impl Loreft {
    /// R, [trials, sites, features, rank].
    fn rotations(&self, parameters: &Parameters) -> Tensor {
        let columns = parameters["X"].tril(-1);
        let squares = columns.square().sum_dim_intlist([-2].as_slice(), false, None);
        let reflected = columns.linalg_householder_product(&((squares + 1.0).reciprocal() * 2.0));
        -parameters["base"].matmul(&reflected)
    }
}

/// One where a position is acted on, [trials, batch, tokens, 1]; `None` where all are.
fn chosen(hidden: &Hidden, first: Option<i64>, last: Option<i64>) -> Option<Tensor> {
    if first.is_none() && last.is_none() {
        return None;
    }
    let (trials, batch, tokens, _) = hidden.values.size4().expect("[trials, batch, tokens, features]");
    let positions = Tensor::arange(tokens, (Kind::Int64, hidden.values.device()));
    let lengths = match hidden.lengths {
        Some(lengths) => lengths.unsqueeze(-1),
        None => Tensor::full([trials, batch, 1], tokens, (Kind::Int64, hidden.values.device())),
    };
    let from_start = positions.lt(first.unwrap_or(0)); // [tokens]
    let from_end = positions.ge_tensor(&(&lengths - last.unwrap_or(0))); // [trials, batch, tokens]
    let within = positions.lt_tensor(&lengths);
    Some(from_end.logical_or(&from_start).logical_and(&within).to_kind(hidden.values.kind()).unsqueeze(-1))
}

impl HiddenAdapter for Loreft {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let (rank, features) = (self.rank, self.features);
        let bound = 1.0 / (features as f64).sqrt();
        vec![
            ParameterSpec::trained("X", Group::Angles, &[features, rank], Init::Zero),
            ParameterSpec::trained("W", Group::Angles, &[rank, features], Init::Uniform { bound }),
            ParameterSpec::trained("b", Group::Angles, &[rank], Init::Uniform { bound }),
            ParameterSpec::frozen("base", &[features, features], Init::Orthogonal),
        ]
    }

    fn changes(&self, parameters: &Parameters, kind: Kind) -> Vec<HiddenChange> {
        let by_site = |tensor: Tensor| tensor.to_kind(kind).unbind(1); // sites × [trials, …]
        let rotations = self.rotations(parameters);
        // One product gives h Wᵀ + b − h R.
        let source = by_site(parameters["W"].transpose(-2, -1) - &rotations);
        let targets = by_site(rotations.transpose(-2, -1));
        let biases = by_site(parameters["b"].unsqueeze(-2));
        let (first, last) = (self.first, self.last);
        let change = |((source, target), bias): ((Tensor, Tensor), Tensor)| -> HiddenChange {
            Box::new(move |hidden| {
                let (trials, batch, tokens, features) =
                    hidden.values.size4().expect("[trials, batch, tokens, features]");
                let rows = hidden.values.reshape([trials, batch * tokens, features]);
                let moved = bias.baddbmm(&rows, &source, 1.0, 1.0).bmm(&target);
                let moved = moved.view([trials, batch, tokens, features]);
                let moved = match hidden.dropout {
                    Some(kept) => (hidden.values + moved) * kept - hidden.values,
                    None => moved,
                };
                match chosen(hidden, first, last) {
                    Some(chosen) => hidden.values + moved * chosen,
                    None => hidden.values + moved,
                }
            })
        };
        source.into_iter().zip(targets).zip(biases).map(change).collect()
    }
}
