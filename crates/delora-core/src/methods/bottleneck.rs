//! What the bottleneck adapters share: a small network with a residual, in the path of hidden states.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::adapter::{HiddenAdapter, HiddenChange, Init, ParameterSpec, Parameters};
use crate::limits::{Checked, check_count};
use crate::parameter_group::Group;

/// What is between the two layers of a bottleneck adapter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(x, 0)
    Relu,
    /// x · sigmoid(x)
    Swish,
    /// The exact form, by the error function.
    Gelu,
}

impl Activation {
    fn apply(self, input: &Tensor) -> Tensor {
        match self {
            Activation::Relu => input.relu(),
            Activation::Swish => input.silu(),
            Activation::Gelu => input.gelu("none"),
        }
    }
}

/// h' = h + up · activation(down · x + down_bias) + up_bias.
pub struct Bottleneck {
    pub bottleneck: i64,
    pub features: i64,
    pub activation: Activation,
    /// x is what the block's norm makes of h and the residual, in networks that have it there; otherwise h.
    pub reads_normed: bool,
}

/// At a width: a block may be wider than its input, not larger than a whole weight.
pub fn check(bottleneck: i64, features: i64) -> Checked {
    check_count("bottleneck", bottleneck, features * features)
}

pub fn num_parameters(bottleneck: i64, features: i64) -> i64 {
    bottleneck * (2 * features + 1) + features
}

/// The start of the adapters library.
const STD: f64 = 0.02;

impl HiddenAdapter for Bottleneck {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let (bottleneck, features) = (self.bottleneck, self.features);
        let trained = |name, shape: &[i64], init| ParameterSpec::trained(name, Group::Weight, shape, init);
        vec![
            trained("down", &[bottleneck, features], Init::Normal { std: STD }),
            trained("down_bias", &[bottleneck], Init::Zero),
            trained("up", &[features, bottleneck], Init::Normal { std: STD }),
            trained("up_bias", &[features], Init::Zero),
        ]
    }

    fn changes(&self, parameters: &Parameters, kind: Kind) -> Vec<HiddenChange> {
        let by_site = |tensor: Tensor| tensor.to_kind(kind).unbind(1).into_iter(); // sites × [trials, …]
        let matrix = |name: &str| by_site(parameters[name].transpose(-2, -1));
        let row = |name: &str| by_site(parameters[name].unsqueeze(-2));
        let (activation, reads_normed) = (self.activation, self.reads_normed);
        let layers = matrix("down").zip(row("down_bias")).zip(matrix("up").zip(row("up_bias")));
        let change =
            |((down, down_bias), (up, up_bias)): ((Tensor, Tensor), (Tensor, Tensor))| -> HiddenChange {
                Box::new(move |hidden| {
                    let (trials, batch, tokens, features) =
                        hidden.values.size4().expect("[trials, batch, tokens, features]");
                    let input = hidden.normed.filter(|_| reads_normed).unwrap_or(hidden.values);
                    let rows = input.reshape([trials, batch * tokens, features]);
                    let inner = activation.apply(&down_bias.baddbmm(&rows, &down, 1.0, 1.0));
                    let outer = up_bias.baddbmm(&inner, &up, 1.0, 1.0);
                    hidden.values + outer.view([trials, batch, tokens, features])
                })
            };
        layers.map(change).collect()
    }

    fn reads_normed(&self) -> bool {
        self.reads_normed
    }
}
