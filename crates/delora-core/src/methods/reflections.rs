//! What the ETHER family shares: block-diagonal sums of projections on unit vectors, at one side of a weight.

use serde::{Deserialize, Serialize};
use tch::Tensor;

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

/// How the blocks of H lie where a weight is multiplied from the right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockLayout {
    /// Block k multiplies the k-th part of the input features: H is block-diagonal, as in the formula.
    #[default]
    Diagonal,
    /// Block k multiplies each part of the input features in the k-th part of the output features, as the authors' reshape of
    /// the weight has it.
    Authors,
}

pub fn is_diagonal(layout: &BlockLayout) -> bool {
    *layout == BlockLayout::Diagonal
}

/// I + Σ weight · v vᵀ over the parameters of `terms`, v being each block's unit vector in its place.
pub struct Reflections {
    /// Name of a parameter [trials, sites, blocks, features/blocks], and its weight.
    pub terms: &'static [(&'static str, f64)],
    pub side: Side,
    pub blocks: i64,
    pub layout: BlockLayout,
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

    /// The most that the rank of what H adds to a weight can be.
    pub fn update_rank(&self) -> i64 {
        // The authors' blocks reflect each part of the inputs, in as many parts of the outputs.
        let repeated = if self.is_one_matrix() { 1 } else { self.blocks };
        self.terms.len() as i64 * self.blocks * repeated
    }

    /// Whether one H multiplies all of the weight, so that activations can be multiplied in its place.
    pub fn is_one_matrix(&self) -> bool {
        self.side == Side::Out || self.blocks == 1 || self.layout == BlockLayout::Diagonal
    }

    /// H times `weight` [.., out_features, in_features] from this side, block by block.
    pub fn applied_to(&self, weight: &Tensor, parameters: &Parameters) -> Tensor {
        let width = self.features / self.blocks;
        let weight = weight.to_kind(parameters[self.terms[0].0].kind());
        if !self.is_one_matrix() {
            return self.reshaped(&weight, parameters);
        }
        let identity = Tensor::eye(width, (weight.kind(), weight.device()));
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

    /// `weight` [.., out_features, in_features] times H as the authors' code takes its blocks.
    fn reshaped(&self, weight: &Tensor, parameters: &Parameters) -> Tensor {
        let width = self.features / self.blocks;
        let identity = Tensor::eye(width, (weight.kind(), weight.device()));
        let blocks = self.terms.iter().fold(identity, |sum, (name, factor)| {
            let units = unit_rows(&parameters[*name]).unsqueeze(-1); // [trials, sites, blocks, width, 1]
            sum + units.matmul(&units.transpose(-2, -1)) * *factor
        });
        let trials = blocks.size()[0];
        let mut shape = weight.size();
        let sites = shape[shape.len() - 3];
        let whole = weight.reshape([-1, sites, self.blocks, weight.size()[shape.len() - 2], width]);
        shape = vec![trials, sites, shape[shape.len() - 2], self.features];
        whole.matmul(&blocks).reshape(shape)
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
        (blocks, layout): (i64, BlockLayout),
        class: &LinearClass,
    ) -> OneSided {
        let features = side.features(class.in_features, class.out_features);
        let reflections = Reflections { terms, side, blocks, layout, features };
        OneSided { reflections, bound, class: class.shared() }
    }
}

impl LinearAdapter for OneSided {
    fn parameters(&self) -> Vec<ParameterSpec> {
        self.reflections.parameters()
    }

    fn factors(&self, parameters: &Parameters) -> Factors {
        if !self.reflections.is_one_matrix() {
            return Factors { weight: Some(self.adapted_weight(parameters)), ..Factors::default() };
        }
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
        Some(self.reflections.update_rank())
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn the_authors_blocks_multiply_each_part_of_the_inputs_in_their_part_of_the_outputs() {
        let (out_features, in_features, blocks) = (6, 4, 2);
        let weight = Tensor::arange(24, (Kind::Float, Device::Cpu)).view([1, out_features, in_features]);
        let vectors = Tensor::from_slice(&[3.0f32, 4.0, 1.0, 0.0]).view([1, 1, blocks, 2]);
        let mut parameters = Parameters::default();
        parameters.insert("R", vectors);
        let layout = BlockLayout::Authors;
        let reflections =
            Reflections { terms: &[("R", -2.0)], side: Side::In, blocks, layout, features: in_features };
        let turned = reflections.applied_to(&weight, &parameters).view([out_features, in_features]);
        // H of the first three outputs, from (3, 4) / 5, and of the others, from (1, 0).
        let first = [[0.28, -0.96], [-0.96, -0.28]];
        let second = [[-1.0, 0.0], [0.0, 1.0]];
        for row in 0..out_features {
            let h = if row < 3 { first } else { second };
            for part in 0..2 {
                let old = [0, 1].map(|place| (row * in_features + 2 * part + place) as f64);
                for (place, (upper, lower)) in h[0].into_iter().zip(h[1]).enumerate() {
                    let expected = old[0] * upper + old[1] * lower;
                    let found = turned.double_value(&[row, 2 * part + place as i64]);
                    assert!((found - expected).abs() < 1e-5, "{row} {part} {place}: {found}, not {expected}");
                }
            }
        }
    }
}
