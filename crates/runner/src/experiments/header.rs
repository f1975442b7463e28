//! The entries of an experiment file that are no settings of its trials.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Whether a larger or a smaller metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Maximize,
    Minimize,
}

/// The question of an experiment, and how it is answered.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub name: String,
    pub question: String,
    pub task: String,
    /// Figures and tables of the paper that this reproduces.
    #[serde(default)]
    pub paper: Vec<String>,
    /// Name of the metric that answers the question.
    pub metric: String,
    pub direction: Direction,
    #[serde(default = "one_seed")]
    pub seeds: Vec<u64>,
    /// Axes that repeat a compared point, over which `summary.csv` averages.
    #[serde(default = "only_seed")]
    pub replicates: Vec<String>,
    /// Tables and figures to draw from the results, by name.
    #[serde(default)]
    pub figures: Vec<String>,
    /// Compared settings that have tables for their values.
    #[serde(default)]
    pub(crate) defaults_by: Vec<String>,
    /// How what is tuned is chosen before it is tested; without it, every combination has all seeds.
    pub tuning: Option<Tuning>,
    /// The trials that decide statements of the paper; `delora decide` runs them.
    pub confirm: Option<Confirm>,
}

fn one_seed() -> Vec<u64> {
    vec![0]
}

fn only_seed() -> Vec<String> {
    vec!["seed".to_string()]
}

/// How what is tuned is chosen.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuning {
    pub seeds: Vec<u64>,
    pub metric: String,
    /// How many values of a replicated axis take part, the first ones in the file's order.
    #[serde(default)]
    pub first: BTreeMap<String, usize>,
}

/// Trials of seeds and subjects that no search has seen, run up to planned looks at the data.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    pub seeds: Vec<u64>,
    /// The axis along which trials are added from look to look: `seed`, or another whose values are chosen by `first`.
    pub along: String,
    /// How many values of that axis have all of their trials at each look.
    pub looks: Vec<usize>,
    /// Settings of these trials, as `--set` gives them.
    #[serde(default)]
    pub set: serde_json::Map<String, serde_json::Value>,
}
