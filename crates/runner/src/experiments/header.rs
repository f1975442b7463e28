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

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub name: String,
    pub question: String,
    pub task: String,
    #[serde(default)]
    pub paper: Vec<String>,
    pub metric: String,
    pub direction: Direction,
    #[serde(default = "one_seed")]
    pub seeds: Vec<u64>,
    #[serde(default = "only_seed")]
    pub replicates: Vec<String>,
    #[serde(default)]
    pub figures: Vec<String>,
    #[serde(default)]
    pub defaults_by: Vec<String>,
    pub tuning: Option<Tuning>,
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
    /// Of a replicated axis only so many values, in the file's order.
    #[serde(default)]
    pub first: BTreeMap<String, usize>,
}
