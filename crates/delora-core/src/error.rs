//! What can go wrong, where, and what to do about it.

use std::path::PathBuf;

use crate::limits::Problem;
use crate::parameter_group::Group;

/// An error of this crate. Its message says where it is, what is wrong, the value, and the remedy; the fields of a variant
/// are what the message names. `trial` is an index of the list given to [`Bank::new`](crate::Bank::new), `slot` a place in
/// the bank, and `site` a site's name.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant says in its message what its fields are")]
pub enum CoreError {
    #[error("a bank needs at least one {what}; give some")]
    Empty { what: &'static str },

    #[error("site `{site}` is given twice; give each linear layer once")]
    DuplicateSite { site: String },

    #[error("site `{site}` is a tensor of the task: {problem}")]
    TaskTensor { site: String, problem: String },

    #[error("site `{site}`: its weight has shape {shape:?}; give a matrix [out_features, in_features]")]
    NotAMatrix { site: String, shape: Vec<i64> },

    #[error(
        "trial {trial}: method `{method}` finds nothing to adapt: the network has no {wanted}; change `targets` or the method"
    )]
    NoSite { trial: usize, method: &'static str, wanted: String },

    #[error(
        "trial {trial}: `{target}` is no role and fits no linear layer; roles are {roles}, and a layer is called `{example}`"
    )]
    NoLayer { trial: usize, target: String, roles: String, example: String },

    #[error("site `{site}` is no linear layer, so it has no adapted weight")]
    NotLinear { site: String },

    #[error(
        "method `{method}` changes hidden states, so there is no merged weight; only a program that runs \
         this method can use its adapter"
    )]
    NotMergeable { method: &'static str },

    #[error("there is no site `{site}` in this bank; sites are those given to `Bank::new`")]
    UnknownSite { site: String },

    #[error("there is no method `{name}`; known methods are {known}")]
    UnknownMethod { name: String, known: String },

    #[error("there is a method `{name}` already; give yours another name")]
    MethodExists { name: &'static str },

    #[error("trial {trial}, method `{method}`: {problem}; its settings and their defaults are {defaults}")]
    Settings { trial: usize, method: &'static str, problem: String, defaults: String },

    #[error("trial {trial}, method `{method}`, site `{site}`: {problem}")]
    Impossible { trial: usize, method: &'static str, site: String, problem: Problem },

    #[error(
        "trial {trial}: method `{method}` has no parameter group `{group}`; \
         remove it from `learning_rate` (its groups are {known})"
    )]
    UnknownGroup { trial: usize, method: &'static str, group: Group, known: String },

    #[error(
        "trial {trial}: method `{method}` gets no learning rate, so nothing would train; \
         set `learning_rate` for one of {known}"
    )]
    NothingTrained { trial: usize, method: &'static str, known: String },

    #[error("trial {trial}: `{setting}` is {value}; it must be {requirement}")]
    OutOfRange { trial: usize, setting: String, value: f64, requirement: &'static str },

    #[error("slot {slot} does not exist; this bank has {trials} trials")]
    UnknownSlot { slot: usize, trials: usize },

    #[error("site `{site}`, slot {slot}: there is no parameter `{name}`; there are {known}")]
    UnknownParameter { site: String, slot: usize, name: String, known: String },

    #[error(
        "site `{site}`, parameter `{name}`: a value of shape {given:?} was given; it has shape {expected:?}"
    )]
    ParameterShape { site: String, name: String, given: Vec<i64>, expected: Vec<i64> },

    #[error("checkpoint `{path}`: {problem}; move it away to start over")]
    Checkpoint { path: PathBuf, problem: String },

    #[error("{place}: {problem}")]
    Adapter { place: String, problem: String },

    #[error("`{path}`: {source}")]
    Io { path: PathBuf, source: std::io::Error },
}
