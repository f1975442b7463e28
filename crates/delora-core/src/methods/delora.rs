//! DeLoRA: a low-rank update whose directions are normalized, so that λ alone is its strength.
//!
//! ```text
//! D(A, B, λ) = (λ / rank) · B Ξ A · N        Ξ = diag(1 / (‖a_i‖ ‖b_i‖)),  a_i rows of A,  b_i columns of B
//! live:    W' = W + D(A, B, λ) − D(A0, B0, λ)
//! merged:  W' = W + D(A, B, λ) − D(A0, B0, λ0)
//! zero_b:  W' = W + D(A, B, λ),               ‖a_i‖ and ‖b_i‖ at least 1e-4
//! ```
//!
//! | symbol  | shape                               | trained  | at start                                      |
//! |---------|-------------------------------------|----------|-----------------------------------------------|
//! | W       | [sites, out_features, in_features]  | no       | checkpoint                                    |
//! | A       | [trials, sites, rank, in_features]  | angles   | uniform in ±1/sqrt(in_features)               |
//! | B       | [trials, sites, out_features, rank] | angles   | uniform in ±1/sqrt(rank); zero_b: zero        |
//! | lambda  | [trials, sites]                     | strength | λ                                             |
//! | A0, B0  | as A, B                             | no       | copies of A, B (live, merged)                 |
//! | lambda0 | [trials, sites]                     | no       | λ (merged)                                    |
//! | N       | weight_norm                         | no       | input_column: diag of W's column norms;       |
//! |         |                                     |          | frobenius: ‖W‖; none: 1                       |
//!
//! Start: W' = W. Invariant: ‖D‖ ≤ |λ| n with n the largest entry of N, so ‖W' − W‖ is at most |λ| n (zero_b),
//! (|λ| + λ0) n (merged) or 2 |λ| n (live). W' − W has rank at most `rank` (zero_b) or 2 `rank`.
//! Source: the paper, equations 8, 9 and 15 (merged, frobenius); ExplainableML/DeLoRA (live, input_column);
//! huggingface/peft (zero_b, input_column). Departures: none within each form; the default is that of the
//! authors' code, which ran the paper's experiments, and its λ is a choice (the paper prints none for images).

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::adapter::{Init, LinearAdapter, LinearSettings, ParameterSpec, Parameters};
use crate::class::LinearClass;
use crate::factors::{Factors, LowRank};
use crate::limits::{Checked, check_rank, check_scale};
use crate::method::{About, Method};
use crate::norms::{NormalizedTerm, normalized_rows};
use crate::parameter_group::Group;
use crate::site::LinearShape;

pub const METHOD: Method = Method::linear::<Settings>(About {
    name: "delora",
    title: "DeLoRA",
    formula: "W + (λ‖W‖/r) B Ξ A",
    groups: &[Group::Angles, Group::Strength],
    bound: "λ‖W‖ (2λ‖W‖ with a live frozen copy)",
    update_rank: "2r (r with a zero B)",
    starts_at_identity: true,
});

/// PEFT's floor under the norms of rows and columns, which zero_b needs as B starts at zero.
const SMALLEST_NORM: f64 = 1e-4;

/// How the update is made to start at zero.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitialUpdate {
    /// The update of the start, with its λ, is taken off the weight.
    Merged,
    /// The directions of the start are taken off, with the λ of today.
    Live,
    /// B starts at zero, and norms have a floor.
    ZeroB,
}

/// Which norm of the weight scales the update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightNorm {
    /// The Frobenius norm of the whole weight.
    Frobenius,
    /// The norm of each column, so each input feature has its own.
    InputColumn,
    /// 1.
    None,
}

/// DeLoRA's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Rows of A and columns of B.
    pub rank: i64,
    /// λ at the start, above 0.
    pub lambda: f64,
    /// How the update is made to start at zero.
    pub initial_update: InitialUpdate,
    /// Which norm of the weight scales the update.
    pub weight_norm: WeightNorm,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            rank: 16,
            lambda: 4.0,
            initial_update: InitialUpdate::Live,
            weight_norm: WeightNorm::InputColumn,
        }
    }
}

impl LinearSettings for Settings {
    const STRUCTURAL: Option<&[&str]> = Some(&["rank", "initial_update", "weight_norm"]);

    fn check(&self, in_features: i64, out_features: i64) -> Checked {
        check_rank(self.rank, in_features, out_features)?;
        check_scale("lambda", self.lambda)
    }

    fn num_parameters(&self, shape: &LinearShape) -> i64 {
        self.rank * (shape.in_features + shape.out_features) + 1
    }

    fn build(trials: &[Self], class: &LinearClass) -> Box<dyn LinearAdapter> {
        let Settings { rank, initial_update, weight_norm, .. } = trials[0];
        let lambdas = trials.iter().map(|trial| trial.lambda).collect();
        Box::new(Delora::new(rank, lambdas, initial_update, weight_norm, class))
    }

    fn examples(rank: i64) -> Vec<Self> {
        let forms = [InitialUpdate::Merged, InitialUpdate::Live, InitialUpdate::ZeroB];
        let norms = [WeightNorm::Frobenius, WeightNorm::InputColumn, WeightNorm::None];
        let form = |initial_update| {
            norms.map(|weight_norm| Settings { rank, lambda: 0.7, initial_update, weight_norm })
        };
        forms.into_iter().flat_map(form).collect()
    }
}

pub(super) struct Delora {
    rank: i64,
    lambdas: Vec<f64>,
    initial_update: InitialUpdate,
    /// The diagonal of N, [sites, 1, in_features], where it has one number for each column.
    column_norms: Option<Tensor>,
    /// N, `[sites]`, where it is one number.
    weight_norms: Option<Tensor>,
    class: LinearClass,
}

impl Delora {
    pub fn new(
        rank: i64,
        lambdas: Vec<f64>,
        initial_update: InitialUpdate,
        weight_norm: WeightNorm,
        class: &LinearClass,
    ) -> Delora {
        let norms = |wanted, norms: &dyn Fn() -> Tensor| (weight_norm == wanted).then(norms);
        Delora {
            rank,
            lambdas,
            initial_update,
            column_norms: norms(WeightNorm::InputColumn, &|| class.column_norms().unsqueeze(-2)),
            weight_norms: norms(WeightNorm::Frobenius, &|| class.frobenius_norms()),
            class: class.shared(),
        }
    }

    /// (λ / rank) · Ξ A · N of each of `terms`, which are A, B and λ: all of D but B. [trials, sites, ranks, in_features].
    fn scaled_rows(&self, terms: &[NormalizedTerm]) -> Tensor {
        let terms = terms.iter().map(|(rows, columns, lambda)| {
            let strength = lambda / self.rank as f64;
            let strength =
                self.weight_norms.as_ref().map_or(strength.shallow_clone(), |norms| strength * norms);
            (*rows, *columns, strength)
        });
        let floor = if self.initial_update == InitialUpdate::ZeroB { SMALLEST_NORM } else { 0.0 };
        normalized_rows(&terms.collect::<Vec<_>>(), self.column_norms.as_ref(), floor)
    }

    /// A, B and λ of the frozen copy, when there is one.
    fn initial<'a>(&self, parameters: &'a Parameters) -> Option<[&'a Tensor; 3]> {
        let lambda = match self.initial_update {
            InitialUpdate::Merged => "lambda0",
            InitialUpdate::Live => "lambda",
            InitialUpdate::ZeroB => return None,
        };
        Some([&parameters["A0"], &parameters["B0"], &parameters[lambda]])
    }
}

impl LinearAdapter for Delora {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let a_shape = [self.rank, self.class.in_features];
        let b_shape = [self.class.out_features, self.rank];
        let a_bound = 1.0 / (self.class.in_features as f64).sqrt();
        let b_start = match self.initial_update {
            InitialUpdate::ZeroB => Init::Zero,
            _ => Init::Uniform { bound: 1.0 / (self.rank as f64).sqrt() },
        };
        let lambda = || Init::PerTrial(self.lambdas.clone());
        let mut specs = vec![
            ParameterSpec::trained("A", Group::Angles, &a_shape, Init::Uniform { bound: a_bound }),
            ParameterSpec::trained("B", Group::Angles, &b_shape, b_start),
            ParameterSpec::trained("lambda", Group::Strength, &[], lambda()),
        ];
        if self.initial_update != InitialUpdate::ZeroB {
            specs.push(ParameterSpec::frozen("A0", &a_shape, Init::Copy { of: "A", sign: 1.0 }));
            specs.push(ParameterSpec::frozen("B0", &b_shape, Init::Copy { of: "B", sign: 1.0 }));
        }
        if self.initial_update == InitialUpdate::Merged {
            specs.push(ParameterSpec::frozen("lambda0", &[], lambda()));
        }
        specs
    }

    fn factors(&self, parameters: &Parameters) -> Factors {
        let (a, b, lambda) = (&parameters["A"], &parameters["B"], &parameters["lambda"]);
        let term = (a, b, lambda.shallow_clone());
        let update = match self.initial(parameters) {
            None => LowRank { a: self.scaled_rows(&[term]), b: b.shallow_clone() },
            Some([a0, b0, lambda0]) => {
                LowRank { a: self.scaled_rows(&[term, (a0, b0, -lambda0)]), b: Tensor::cat(&[b, b0], -1) }
            }
        };
        Factors { update: Some(update), ..Factors::default() }
    }

    fn adapted_weight(&self, parameters: &Parameters) -> Tensor {
        let update = |a: &Tensor, b: &Tensor, lambda: &Tensor| {
            b.matmul(&self.scaled_rows(&[(a, b, lambda.shallow_clone())]))
        };
        let weight = self.class.dense() + update(&parameters["A"], &parameters["B"], &parameters["lambda"]);
        match self.initial(parameters) {
            None => weight,
            Some([a0, b0, lambda0]) => weight - update(a0, b0, lambda0),
        }
    }

    fn bound(&self, parameters: &Parameters) -> Option<Tensor> {
        let lambda = parameters["lambda"].abs(); // [trials, sites]
        let total = match self.initial_update {
            InitialUpdate::Merged => lambda + &parameters["lambda0"],
            InitialUpdate::Live => lambda * 2.0,
            InitialUpdate::ZeroB => lambda,
        };
        Some(match (&self.column_norms, &self.weight_norms) {
            (Some(norms), _) => total * norms.amax([-1, -2].as_slice(), false),
            (None, Some(norms)) => total * norms,
            (None, None) => total,
        })
    }

    fn update_rank(&self) -> Option<i64> {
        Some(match self.initial_update {
            InitialUpdate::ZeroB => self.rank,
            _ => 2 * self.rank,
        })
    }
}
