//! Where a network can be adapted: its linear layers, its other tensors, its hidden states.

use std::fmt;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::parameter_group::Group;

/// What a linear layer does in its network, in words that all architectures share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Attention's query projection.
    Query,
    /// Attention's key projection.
    Key,
    /// Attention's value projection.
    Value,
    /// The projection behind attention.
    Output,
    /// Into a feed-forward block; where gate and values are one layer, that one.
    FeedForwardIn,
    /// The gate of a feed-forward block, where it is a layer by itself.
    FeedForwardGate,
    /// Out of a feed-forward block.
    FeedForwardOut,
    /// Anything else, such as an embedding of time.
    Other,
}

/// Which hidden states of a block are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Behind attention's output projection, before the residual is added.
    AttentionOutput,
    /// Behind the feed-forward block, before the residual is added.
    FeedForwardOutput,
    /// What the block hands on.
    BlockOutput,
}

/// A place of the frozen network where a method may act. `name` is the state-dict name of the layer, or of the tensor.
pub struct Site {
    /// Unique among the sites of a bank.
    pub name: String,
    /// What is there.
    pub part: Part,
}

/// What is at a [`Site`], with its frozen values.
pub enum Part {
    /// A linear layer.
    Linear {
        /// By which trials target layers.
        role: Role,
        /// [out_features, in_features]
        weight: Tensor,
        /// `[out_features]`
        bias: Option<Tensor>,
    },
    /// A tensor of any other layer: a convolution, a norm, an embedding.
    Tensor {
        /// Of any shape.
        value: Tensor,
    },
    /// Hidden states [.., features] of a block.
    Hidden(HiddenShape),
    /// A tensor that the frozen network does not have and every trial trains beside its method: a task's head, or an
    /// encoder of conditions. `group` decides its learning rate and decay.
    TaskTensor {
        /// Of any number of sides.
        shape: Vec<i64>,
        /// [`Group::Head`] or [`Group::HeadBias`].
        group: Group,
        /// Its first values.
        start: Start,
    },
}

/// The first values of a [`Part::TaskTensor`].
#[derive(Debug)]
pub enum Start {
    /// Drawn from N(0, `std`²) by the trial's seed and the site's name, whatever the trial's method.
    Normal {
        /// The standard deviation, positive.
        std: f64,
    },
    /// Zeros.
    Zero,
    /// These values, in the tensor's shape, for every trial.
    Given(Tensor),
}

/// A site without its weights, from which parameters can be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteShape {
    /// The site's name.
    pub name: String,
    /// What is there.
    pub part: PartShape,
}

/// What is at a [`SiteShape`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartShape {
    /// A linear layer.
    Linear(LinearShape),
    /// Sizes of a tensor of any other layer.
    Tensor(Vec<i64>),
    /// Hidden states.
    Hidden(HiddenShape),
    /// Sizes of the tensor, see [`Part::TaskTensor`].
    TaskTensor(Vec<i64>),
}

/// A linear layer without its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearShape {
    /// What the layer does in its network.
    pub role: Role,
    /// Columns of its weight.
    pub in_features: i64,
    /// Rows of its weight.
    pub out_features: i64,
    /// Whether it has a bias `[out_features]`.
    pub has_bias: bool,
}

/// Hidden states that pass by at one place of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HiddenShape {
    /// Where in its block.
    pub place: Place,
    /// The number of its block, counted from 0.
    pub layer: i64,
    /// Its width, the last side.
    pub features: i64,
}

impl Start {
    /// The same start over the same storage.
    pub(crate) fn shared(&self) -> Start {
        match self {
            &Start::Normal { std } => Start::Normal { std },
            Start::Zero => Start::Zero,
            Start::Given(values) => Start::Given(values.shallow_clone()),
        }
    }
}

impl Site {
    /// A linear layer with `weight` [out_features, in_features] and `bias` `[out_features]`, whose storage it shares.
    pub fn linear(name: &str, role: Role, weight: &Tensor, bias: Option<&Tensor>) -> Site {
        let (weight, bias) = (weight.shallow_clone(), bias.map(Tensor::shallow_clone));
        Site { name: name.to_owned(), part: Part::Linear { role, weight, bias } }
    }

    /// A tensor of any other layer, whose storage it shares.
    pub fn tensor(name: &str, value: &Tensor) -> Site {
        Site { name: name.to_owned(), part: Part::Tensor { value: value.shallow_clone() } }
    }

    /// Hidden states of block number `layer`, [.., features].
    pub fn hidden(name: &str, place: Place, layer: i64, features: i64) -> Site {
        Site { name: name.to_owned(), part: Part::Hidden(HiddenShape { place, layer, features }) }
    }

    /// A tensor of the task's own, such as a head's weight, that every trial trains beside its method. `group` is
    /// [`Group::Head`] or [`Group::HeadBias`]; [`Bank::new`](crate::Bank::new) refuses others.
    pub fn task_tensor(name: &str, shape: &[i64], group: Group, start: Start) -> Site {
        Site { name: name.to_owned(), part: Part::TaskTensor { shape: shape.to_vec(), group, start } }
    }

    /// The same site over the same storage.
    pub fn shared(&self) -> Site {
        match &self.part {
            Part::Linear { role, weight, bias } => Site::linear(&self.name, *role, weight, bias.as_ref()),
            Part::Tensor { value } => Site::tensor(&self.name, value),
            &Part::Hidden(shape) => Site { name: self.name.clone(), part: Part::Hidden(shape) },
            Part::TaskTensor { shape, group, start } => {
                Site::task_tensor(&self.name, shape, *group, start.shared())
            }
        }
    }

    /// Name and sizes of the site; absent for a linear layer whose weight is no matrix.
    pub fn shape(&self) -> Option<SiteShape> {
        let part = match &self.part {
            Part::Linear { role, weight, bias } => {
                let &[out_features, in_features] = weight.size().as_slice() else { return None };
                let has_bias = bias.is_some();
                PartShape::Linear(LinearShape { role: *role, in_features, out_features, has_bias })
            }
            Part::Tensor { value } => PartShape::Tensor(value.size()),
            &Part::Hidden(shape) => PartShape::Hidden(shape),
            Part::TaskTensor { shape, .. } => PartShape::TaskTensor(shape.clone()),
        };
        Some(SiteShape { name: self.name.clone(), part })
    }
}

impl SiteShape {
    /// A linear layer with a weight [out_features, in_features].
    pub fn linear(
        name: &str,
        role: Role,
        [out_features, in_features]: [i64; 2],
        has_bias: bool,
    ) -> SiteShape {
        let shape = LinearShape { role, in_features, out_features, has_bias };
        SiteShape { name: name.to_owned(), part: PartShape::Linear(shape) }
    }

    /// A tensor of any other layer.
    pub fn tensor(name: &str, shape: &[i64]) -> SiteShape {
        SiteShape { name: name.to_owned(), part: PartShape::Tensor(shape.to_vec()) }
    }

    /// Hidden states of block number `layer`, [.., features].
    pub fn hidden(name: &str, place: Place, layer: i64, features: i64) -> SiteShape {
        SiteShape { name: name.to_owned(), part: PartShape::Hidden(HiddenShape { place, layer, features }) }
    }

    /// How many values the frozen network has at this site: weight and bias, or tensor.
    pub fn num_values(&self) -> i64 {
        match &self.part {
            PartShape::Linear(shape) => shape.out_features * (shape.in_features + i64::from(shape.has_bias)),
            PartShape::Tensor(shape) => shape.iter().product(),
            PartShape::Hidden(_) | PartShape::TaskTensor(_) => 0,
        }
    }
}

impl Role {
    /// Every one.
    pub const ALL: [Role; 8] = [
        Role::Query,
        Role::Key,
        Role::Value,
        Role::Output,
        Role::FeedForwardIn,
        Role::FeedForwardGate,
        Role::FeedForwardOut,
        Role::Other,
    ];
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self {
            Role::Query => "query",
            Role::Key => "key",
            Role::Value => "value",
            Role::Output => "output",
            Role::FeedForwardIn => "feed_forward_in",
            Role::FeedForwardGate => "feed_forward_gate",
            Role::FeedForwardOut => "feed_forward_out",
            Role::Other => "other",
        })
    }
}
