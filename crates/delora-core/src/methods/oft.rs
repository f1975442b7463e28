//! OFT: a rotation of the weight's input space, in blocks.
//!
//! ```text
//! W' = W · Qᵀ      Q = block-diagonal of Q_k,   Q_kᵀ = (I − S_k)(I + S_k)⁻¹ as applied to activations from the right
//! S_k is skew-symmetric, with R_k above its diagonal
//! ```
//!
//! | symbol | shape                                          | trained | at start   |
//! |--------|------------------------------------------------|---------|------------|
//! | W      | [sites, out_features, in_features]             | no      | checkpoint |
//! | R      | [trials, sites, blocks, width · (width − 1)/2] | angles  | zero       |
//!
//! `width` is in_features/blocks; R_k holds the entries above the diagonal row by row. x' = x Q_k block by block, then
//! W. Start: R = 0, so Q = I. Invariant: Q is orthogonal, so ‖W' − W‖ ≤ 2 ‖W‖ and the norms of W's rows stay.
//! Q_k − I has the rank of S_k, which is even.
//! With `constraint` (COFT) ‖S_k‖ (Frobenius) is at most `constraint` / sqrt(blocks) after each step.
//! Source: Qiu et al. 2023, equations 3 and 4; huggingface/peft `OFTConfig` for storage, Cayley map and constraint.
//! Departures: the authors' code stores S as a whole matrix, half of it redundant; parameters are counted here as
//! its tables do. The inverse is exact, where PEFT by default takes five terms of a
//! series; its series turns the other way, so that `from_peft` changes the sign of R.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use super::reflections::bound;
use crate::adapter::{Init, LinearAdapter, LinearSettings, ParameterSpec, Parameters};
use crate::class::LinearClass;
use crate::factors::Factors;
use crate::limits::{Checked, Problem, check_blocks, check_scale};
use crate::method::{About, Method};
use crate::parameter_group::Group;
use crate::site::LinearShape;

pub const METHOD: Method = Method::linear::<Settings>(About {
    name: "oft",
    title: "OFT",
    formula: "W Qᵀ, Q = (I − S)(I + S)⁻¹",
    groups: &[Group::Angles],
    bound: "2‖W‖",
    update_rank: "full, or n less where blocks have an odd width",
    starts_at_identity: true,
});

/// OFT's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Diagonal blocks, a divisor of the input features.
    pub blocks: i64,
    /// Absent: any rotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraint: Option<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { blocks: 4, constraint: None }
    }
}

struct Oft {
    blocks: i64,
    width: i64,
    /// Largest ‖S_k‖ of each trial, [trials, 1, 1, 1].
    limits: Option<Tensor>,
    /// Places of R's entries in a flat S, [width · (width − 1)/2].
    above: Tensor,
    class: LinearClass,
}

impl LinearSettings for Settings {
    fn structure(&self) -> Value {
        json!({ "blocks": self.blocks, "constrained": self.constraint.is_some() })
    }

    fn check(&self, in_features: i64, _: i64) -> Checked {
        check_blocks(self.blocks, in_features)?;
        if in_features == self.blocks {
            let message = format!("blocks of one feature cannot be turned; set `blocks` below {in_features}");
            return Err(Problem::new("blocks", message));
        }
        self.constraint.map_or(Ok(()), |limit| check_scale("constraint", limit))
    }

    fn num_parameters(&self, shape: &LinearShape) -> i64 {
        let width = shape.in_features / self.blocks;
        self.blocks * width * (width - 1) / 2
    }

    fn build(trials: &[Self], class: &LinearClass) -> Box<dyn LinearAdapter> {
        let blocks = trials[0].blocks;
        let width = class.in_features / blocks;
        let limits: Option<Vec<f64>> =
            trials.iter().map(|trial| Some(trial.constraint? / (blocks as f64).sqrt())).collect();
        let limits = limits.map(|limits| {
            Tensor::from_slice(&limits).to_kind(Kind::Float).to_device(class.device()).view([-1, 1, 1, 1])
        });
        let above: Vec<i64> =
            (0..width).flat_map(|row| (row + 1..width).map(move |column| row * width + column)).collect();
        let above = Tensor::from_slice(&above).to_device(class.device());
        Box::new(Oft { blocks, width, limits, above, class: class.shared() })
    }

    fn examples(_: i64) -> Vec<Self> {
        let form = |blocks, constraint| Settings { blocks, constraint };
        vec![form(1, None), form(2, None), form(2, Some(0.7))]
    }
}

impl Oft {
    /// Q_k for activations from the right, [trials, sites, blocks, width, width].
    fn rotations(&self, parameters: &Parameters) -> Tensor {
        let entries = &parameters["R"];
        let (trials, sites, _, _) = entries.size4().expect("R is [trials, sites, blocks, entries]");
        let flat = [trials, sites, self.blocks, self.width * self.width];
        let upper = Tensor::zeros(flat, (entries.kind(), entries.device()));
        let upper = upper.index_copy(-1, &self.above, entries);
        let upper = upper.view([trials, sites, self.blocks, self.width, self.width]);
        let skew = &upper - upper.transpose(-2, -1);
        let identity = Tensor::eye(self.width, (entries.kind(), entries.device()));
        // (I − S)(I + S)⁻¹ with I − S = 2I − (I + S)
        // I + S has an inverse for every skew S. `linalg_inv` would wait for the device to make sure of it.
        let (inverse, _) = Tensor::linalg_inv_ex(&(&identity + &skew), false);
        inverse * 2.0 - &identity
    }
}

impl LinearAdapter for Oft {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let shape = [self.blocks, self.width * (self.width - 1) / 2];
        vec![ParameterSpec::trained("R", Group::Angles, &shape, Init::Zero)]
    }

    fn factors(&self, parameters: &Parameters) -> Factors {
        Factors { input_blocks: Some(self.rotations(parameters)), ..Factors::default() }
    }

    fn adapted_weight(&self, parameters: &Parameters) -> Tensor {
        let rotations = self.rotations(parameters).transpose(-2, -1).unbind(2);
        let weight = self.class.dense();
        let turned = |(block, rotation): (i64, &Tensor)| {
            weight.narrow(-1, block * self.width, self.width).matmul(rotation)
        };
        Tensor::cat(&(0..).zip(&rotations).map(turned).collect::<Vec<_>>(), -1)
    }

    fn bound(&self, _: &Parameters) -> Option<Tensor> {
        Some(bound(&self.class, 2.0))
    }

    fn update_rank(&self) -> Option<i64> {
        // Q_k − I is as S_k, and a skew-symmetric matrix has an even rank.
        (self.width % 2 == 1).then(|| self.blocks * (self.width - 1))
    }

    fn constrains(&self) -> bool {
        self.limits.is_some()
    }

    fn constrain(&self, parameters: &Parameters) {
        let Some(limits) = &self.limits else { return };
        let mut entries = parameters["R"].shallow_clone();
        // Each entry of R is in S twice.
        let norms = entries.norm_scalaropt_dim(2, [-1], true) * std::f64::consts::SQRT_2;
        // Beyond rounding, so that what was shrunk once stays as it is.
        let outside = norms.gt_tensor(&(limits * (1.0 + 1e-6)));
        let shrunk = &entries * (limits / norms);
        let kept = shrunk.where_self(&outside, &entries);
        entries.copy_(&kept);
    }
}
