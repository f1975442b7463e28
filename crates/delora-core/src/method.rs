//! A registry entry: what a method is called, what it computes, and how its settings become adapters.

use serde_json::{Map, Value};

use crate::adapter::{LinearAdapter, LinearSettings};
use crate::class::LinearClass;
use crate::config::Group;

/// What tables, legends and the command line say about a method.
pub struct About {
    /// As in configs and files.
    pub name: &'static str,
    /// As in the paper's tables.
    pub title: &'static str,
    pub formula: &'static str,
    pub groups: &'static [Group],
    /// What ‖W' − W‖ (Frobenius) cannot exceed, in words.
    pub bound: &'static str,
}

/// The kind of site a method adapts, with its builder. Other kinds of site (hidden states, whole networks) are
/// other variants; a method that adapts linear layers does not notice them.
#[non_exhaustive]
pub enum Adapts {
    Linear(LinearBuilder),
}

type Settings = Map<String, Value>;
type Built = Result<Box<dyn LinearAdapter>, String>;

pub struct LinearBuilder {
    defaults: fn() -> Value,
    examples: fn(i64) -> Vec<Settings>,
    structure: fn(&Settings) -> Result<Value, String>,
    check: fn(&Settings, i64, i64) -> Result<(), String>,
    num_parameters: fn(&Settings, i64, i64) -> Result<i64, String>,
    build: fn(&[&Settings], &LinearClass) -> Built,
}

pub struct Method {
    pub about: About,
    pub adapts: Adapts,
}

impl Method {
    pub const fn linear<S: LinearSettings>(about: About) -> Method {
        let builder = LinearBuilder {
            defaults: || serde_json::to_value(S::default()).expect("settings are plain data"),
            examples: |rank| S::examples(rank).iter().map(settings_of).collect(),
            structure: |settings| Ok(parse::<S>(settings)?.structure()),
            check: |settings, inside, outside| parse::<S>(settings)?.check(inside, outside),
            num_parameters: |settings, inside, outside| {
                Ok(parse::<S>(settings)?.num_parameters(inside, outside))
            },
            build: |trials, class| {
                let trials: Result<Vec<S>, String> = trials.iter().map(|settings| parse(settings)).collect();
                Ok(S::build(&trials?, class))
            },
        };
        Method { about, adapts: Adapts::Linear(builder) }
    }

    pub fn name(&self) -> &'static str {
        self.about.name
    }

    /// Every setting with its default.
    pub fn defaults(&self) -> Value {
        (self.builder().defaults)()
    }

    /// Settings of each structural form at an even `rank`, for tests and benchmarks.
    pub fn examples(&self, rank: i64) -> Vec<Settings> {
        (self.builder().examples)(rank)
    }

    /// The settings, defaults included, that trials must share to be stacked; an error names the wrong setting.
    pub fn structure(&self, settings: &Settings) -> Result<Value, String> {
        (self.builder().structure)(settings)
    }

    /// Says what is impossible at a weight [out_features, in_features].
    pub fn check(&self, settings: &Settings, in_features: i64, out_features: i64) -> Result<(), String> {
        (self.builder().check)(settings, in_features, out_features)
    }

    /// Parameters that the method trains at one linear layer.
    pub fn num_parameters(
        &self,
        settings: &Settings,
        in_features: i64,
        out_features: i64,
    ) -> Result<i64, String> {
        (self.builder().num_parameters)(settings, in_features, out_features)
    }

    /// The adapter of a stack of trials with one structure.
    pub fn build(&self, trials: &[&Settings], class: &LinearClass) -> Built {
        (self.builder().build)(trials, class)
    }

    fn builder(&self) -> &LinearBuilder {
        let Adapts::Linear(builder) = &self.adapts;
        builder
    }
}

fn parse<S: LinearSettings>(settings: &Settings) -> Result<S, String> {
    serde_json::from_value(Value::Object(settings.clone())).map_err(|error| error.to_string())
}

fn settings_of<S: LinearSettings>(settings: &S) -> Settings {
    match serde_json::to_value(settings).expect("settings are plain data") {
        Value::Object(map) => map,
        _ => unreachable!("settings are a struct"),
    }
}
