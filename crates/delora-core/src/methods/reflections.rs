//! What the ETHER family shares: block-diagonal sums of projections on unit vectors, at one side of a weight.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::adapter::{Init, LinearAdapter, ParameterSpec, Parameters};
use crate::class::LinearClass;
use crate::factors::{Factors, LowRank};
use crate::norms::unit_rows;
use crate::parameter_group::Group;

/// Which features are reflected.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Input features: the weight is multiplied from the right.
    In,
    /// Output features: the weight is multiplied from the left.
    Out,
}

impl Side {
    /// How many features that side has.
    pub fn features(self, in_features: i64, out_features: i64) -> i64 {
        match self {
            Side::In => in_features,
            Side::Out => out_features,
        }
    }
}

/// I + Σ weight · v vᵀ over the parameters of `terms`, v being each block's unit vector in its place.
pub struct Reflections {
    /// Name of a parameter [trials, sites, blocks, features/blocks], and its weight.
    pub terms: &'static [(&'static str, f64)],
    pub side: Side,
    pub blocks: i64,
    pub features: i64,
}

impl Reflections {
    /// The first parameter is drawn; the second, where there is one, is its opposite.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let shape = [self.blocks, self.features / self.blocks];
        let first = self.terms[0].0;
        let start = |index| match index {
            0 => Init::Uniform { bound: 1.0 / (shape[1] as f64).sqrt() },
            _ => Init::Copy { of: first, sign: -1.0 },
        };
        let spec = |(index, (name, _)): (usize, &(&'static str, f64))| {
            ParameterSpec::trained(name, Group::Angles, &shape, start(index))
        };
        self.terms.iter().enumerate().map(spec).collect()
    }

    /// H − I, as rows and columns for activations.
    pub fn low_rank(&self, parameters: &Parameters) -> LowRank {
        let placed: Vec<Tensor> =
            self.terms.iter().map(|(name, _)| self.placed_units(&parameters[*name])).collect();
        let weighted: Vec<Tensor> =
            placed.iter().zip(self.terms).map(|(rows, (_, weight))| rows * *weight).collect();
        LowRank { a: Tensor::cat(&placed, -2), b: Tensor::cat(&weighted, -2).transpose(-2, -1) }
    }

    /// H times `weight` [.., out_features, in_features] from this side, block by block.
    pub fn applied_to(&self, weight: &Tensor, parameters: &Parameters) -> Tensor {
        let width = self.features / self.blocks;
        let identity = Tensor::eye(width, (Kind::Float, weight.device()));
        let turned: Vec<Tensor> = (0..self.blocks)
            .map(|block| {
                let projection = |(name, factor): &(&'static str, f64)| {
                    let unit = unit_rows(&parameters[*name]).select(2, block).unsqueeze(-1); // [trials, sites, width, 1]
                    unit.matmul(&unit.transpose(-2, -1)) * *factor
                };
                let h =
                    self.terms.iter().map(projection).fold(identity.shallow_clone(), |sum, term| sum + term);
                match self.side {
                    Side::In => weight.narrow(-1, block * width, width).matmul(&h),
                    Side::Out => h.matmul(&weight.narrow(-2, block * width, width)),
                }
            })
            .collect();
        Tensor::cat(&turned, if self.side == Side::In { -1 } else { -2 })
    }

    /// The unit vector of each block in its place among all features, [trials, sites, blocks, features].
    fn placed_units(&self, vectors: &Tensor) -> Tensor {
        let units = unit_rows(vectors).unsqueeze(-2); // [trials, sites, blocks, 1, features/blocks]
        let places = Tensor::eye(self.blocks, (vectors.kind(), vectors.device())).unsqueeze(-1);
        (units * places).flatten(-2, -1)
    }
}

/// The frozen weights' Frobenius norms times `factor`, [1, sites]: what a bounded H can move them by.
pub fn bound(class: &LinearClass, factor: f64) -> Tensor {
    class.frobenius_norms().unsqueeze(0) * factor
}

/// A weight reflected at one side: ETHER, and ETHER+ in its one-sided form.
pub struct OneSided {
    reflections: Reflections,
    /// What ‖W' − W‖ cannot exceed, by ‖W‖.
    bound: f64,
    class: LinearClass,
}

impl OneSided {
    pub fn new(
        terms: &'static [(&'static str, f64)],
        bound: f64,
        side: Side,
        blocks: i64,
        class: &LinearClass,
    ) -> OneSided {
        let features = side.features(class.in_features, class.out_features);
        OneSided { reflections: Reflections { terms, side, blocks, features }, bound, class: class.shared() }
    }
}

impl LinearAdapter for OneSided {
    fn parameters(&self) -> Vec<ParameterSpec> {
        self.reflections.parameters()
    }

    fn factors(&self, parameters: &Parameters) -> Factors {
        let reflections = Some(self.reflections.low_rank(parameters));
        match self.reflections.side {
            Side::In => Factors { input: reflections, ..Factors::default() },
            Side::Out => Factors { output: reflections, ..Factors::default() },
        }
    }

    fn adapted_weight(&self, parameters: &Parameters) -> Tensor {
        self.reflections.applied_to(&self.class.dense(), parameters)
    }

    fn bound(&self, _: &Parameters) -> Option<Tensor> {
        Some(bound(&self.class, self.bound))
    }

    fn update_rank(&self) -> Option<i64> {
        Some(self.reflections.terms.len() as i64 * self.reflections.blocks)
    }
}
