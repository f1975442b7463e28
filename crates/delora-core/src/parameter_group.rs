//! Parameters that share a learning rate, across all methods.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Parameters that share a learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Directions: the low-rank factors and reflection vectors.
    Angles,
    /// LoRA+'s second factor, B.
    AnglesB,
    /// The scale λ of an update.
    Strength,
    /// Sizes of features: DoRA's norms of the rows of a weight, the scales of IA3, RED and VeRA.
    Magnitude,
    /// A whole weight: the network's own, or a bottleneck adapter's.
    Weight,
    /// A bias.
    Bias,
    /// The weights of the task's own tensors, such as a head's.
    Head,
    /// The biases of the task's own tensors, such as a head's.
    HeadBias,
}

impl fmt::Display for Group {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let name = match self {
            Group::Angles => "angles",
            Group::AnglesB => "angles_b",
            Group::Strength => "strength",
            Group::Magnitude => "magnitude",
            Group::Weight => "weight",
            Group::Bias => "bias",
            Group::Head => "head",
            Group::HeadBias => "head_bias",
        };
        formatter.write_str(name)
    }
}
