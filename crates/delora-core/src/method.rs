//! A registry entry: what a method is called, what it computes, and how its settings become adapters.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::adapter::{Adapter, HiddenSettings, LinearSettings, WholeSettings};
use crate::class::Class;
use crate::config::MethodConfig;
use crate::field_names::field_names;
use crate::limits::Problem;
use crate::parameter_group::Group;
use crate::site::{PartShape, SiteShape};
use crate::target::Target;

/// What tables, legends and the command line say about a method.
pub struct About {
    /// How configs and files call it.
    pub name: &'static str,
    /// How the paper's tables call it.
    pub title: &'static str,
    /// The adapted weight in one line.
    pub formula: &'static str,
    /// Groups of its parameters, each with a learning rate of its own.
    pub groups: &'static [Group],
    /// What ‖W' − W‖ (Frobenius) cannot exceed, in words.
    pub bound: &'static str,
    /// What the rank of W' − W cannot exceed, in words.
    pub update_rank: &'static str,
    /// Whether the adapted network starts as the pretrained one.
    pub starts_at_identity: bool,
}

/// What a method acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adapts {
    /// The linear layers that a trial targets, or those of the method's own choice.
    Linear,
    /// Hidden states of blocks.
    Hidden,
    /// Tensors of the whole network.
    Whole,
}

type Settings = Map<String, Value>;

/// A method's settings type behind functions.
struct Builder {
    names: fn() -> &'static [&'static str],
    defaults: fn() -> Value,
    examples: fn(i64) -> Vec<Settings>,
    structure: fn(&Settings) -> Result<Value, String>,
    variant: fn(&Settings, &SiteShape, bool) -> Result<Option<u8>, String>,
    check: fn(&Settings, &SiteShape) -> Result<(), Problem>,
    num_parameters: fn(&Settings, &SiteShape) -> Result<i64, String>,
    build: fn(&[&Settings], &Class) -> Result<Adapter, String>,
}

/// A method: what it is called, what it acts on, and how settings become adapters.
pub struct Method {
    /// For tables, legends and the command line.
    pub about: About,
    /// What it acts on.
    pub adapts: Adapts,
    builder: Builder,
}

impl Method {
    /// A method of linear layers.
    pub const fn linear<S: LinearSettings>(about: About) -> Method {
        let builder = Builder {
            names: field_names::<S>,
            defaults: || serde_json::to_value(S::default()).expect("settings are plain data"),
            examples: |rank| S::examples(rank).iter().map(settings_of).collect(),
            structure: |settings| Ok(parse::<S>(settings)?.structure()),
            variant: |settings, site, targeted| match &site.part {
                PartShape::Linear(shape) => Ok(parse::<S>(settings)?.variant(shape, targeted)),
                _ => Ok(None),
            },
            check: |settings, site| match &site.part {
                PartShape::Linear(shape) => {
                    parsed::<S>(settings)?.check(shape.in_features, shape.out_features)
                }
                _ => Ok(()),
            },
            num_parameters: |settings, site| match &site.part {
                PartShape::Linear(shape) => Ok(parse::<S>(settings)?.num_parameters(shape)),
                _ => Ok(0),
            },
            build: |trials, class| match class {
                Class::Linear(class) => Ok(Adapter::Linear(S::build(&parse_all::<S>(trials)?, class))),
                _ => Err("the method acts on linear layers alone".to_owned()),
            },
        };
        Method { about, adapts: Adapts::Linear, builder }
    }

    /// A method of hidden states.
    pub const fn hidden<S: HiddenSettings>(about: About) -> Method {
        let builder = Builder {
            names: field_names::<S>,
            defaults: || serde_json::to_value(S::default()).expect("settings are plain data"),
            examples: |rank| S::examples(rank).iter().map(settings_of).collect(),
            structure: |settings| Ok(parse::<S>(settings)?.structure()),
            variant: |settings, site, _| match &site.part {
                PartShape::Hidden(shape) => Ok(parse::<S>(settings)?.acts_on(shape).then_some(0)),
                _ => Ok(None),
            },
            check: |settings, site| match &site.part {
                PartShape::Hidden(shape) => parsed::<S>(settings)?.check(shape.features),
                _ => Ok(()),
            },
            num_parameters: |settings, site| match &site.part {
                PartShape::Hidden(shape) => Ok(parse::<S>(settings)?.num_parameters(shape.features)),
                _ => Ok(0),
            },
            build: |trials, class| match class {
                Class::Hidden(class) => Ok(Adapter::Hidden(S::build(&parse_all::<S>(trials)?, class))),
                _ => Err("the method acts on hidden states alone".to_owned()),
            },
        };
        Method { about, adapts: Adapts::Hidden, builder }
    }

    /// A method that trains tensors of the network itself, wherever they are.
    pub const fn whole<S: WholeSettings>(about: About) -> Method {
        let builder = Builder {
            names: field_names::<S>,
            defaults: || serde_json::to_value(S::default()).expect("settings are plain data"),
            examples: |_| vec![settings_of(&S::default())],
            structure: |settings| parse::<S>(settings).map(|_| Value::Null),
            variant: |settings, site, _| {
                let settings = parse::<S>(settings)?;
                // Sites without a bias have no parameter for it, so they are a class of their own.
                Ok((settings.num_parameters(site) > 0).then_some(match &site.part {
                    PartShape::Linear(shape) => u8::from(shape.has_bias),
                    _ => 0,
                }))
            },
            check: |_, _| Ok(()),
            num_parameters: |settings, site| Ok(parse::<S>(settings)?.num_parameters(site)),
            build: |trials, class| {
                let settings = parse::<S>(trials[0])?;
                match class {
                    Class::Linear(class) => Ok(Adapter::Linear(settings.build(class))),
                    Class::Tensor(_) => Ok(Adapter::Tensor(S::GROUP)),
                    _ => Err("the method acts on the network's tensors alone".to_owned()),
                }
            },
        };
        Method { about, adapts: Adapts::Whole, builder }
    }

    /// The name by which trials choose the method.
    pub fn name(&self) -> &'static str {
        self.about.name
    }

    /// What a trial says to choose this method with `settings`, of which it keeps those that differ from the defaults.
    pub fn config<S: Serialize>(&self, settings: &S) -> MethodConfig {
        let (mut settings, defaults) = (settings_of(settings), self.defaults());
        settings.retain(|name, value| defaults.get(name) != Some(value));
        MethodConfig { name: self.name().to_owned(), settings }
    }

    /// Every setting that has a default, with it.
    pub fn defaults(&self) -> Value {
        (self.builder.defaults)()
    }

    /// The names of all settings, those that are absent by default too.
    pub fn setting_names(&self) -> &'static [&'static str] {
        (self.builder.names)()
    }

    /// Settings of each structural form at an even `rank`, for tests and benchmarks.
    pub fn examples(&self, rank: i64) -> Vec<Settings> {
        (self.builder.examples)(rank)
    }

    /// The settings, defaults included, that trials must share to be stacked; an error names the wrong setting.
    pub fn structure(&self, settings: &Settings) -> Result<Value, String> {
        (self.builder.structure)(settings)
    }

    /// Which of the method's forms a site gets, if it is adapted at all; sites of different forms are not stacked.
    /// Without `targets` every linear layer is one.
    pub fn variant(
        &self,
        settings: &Settings,
        site: &SiteShape,
        targets: Option<&[Target]>,
    ) -> Result<Option<u8>, String> {
        let targeted = match (&site.part, targets) {
            (PartShape::Linear(shape), Some(targets)) => {
                targets.iter().any(|target| target.fits(&site.name, shape))
            }
            _ => true,
        };
        (self.builder.variant)(settings, site, targeted)
    }

    /// Says what is impossible at a site.
    pub fn check(&self, settings: &Settings, site: &SiteShape) -> Result<(), Problem> {
        (self.builder.check)(settings, site)
    }

    /// Parameters that the method trains at a site that it adapts.
    pub fn num_parameters(&self, settings: &Settings, site: &SiteShape) -> Result<i64, String> {
        (self.builder.num_parameters)(settings, site)
    }

    /// The adapter of a stack of trials with one structure.
    pub fn build(&self, trials: &[&Settings], class: &Class) -> Result<Adapter, String> {
        (self.builder.build)(trials, class)
    }
}

fn parse<S: DeserializeOwned>(settings: &Settings) -> Result<S, String> {
    serde_json::from_value(Value::Object(settings.clone())).map_err(|error| error.to_string())
}

/// The same as [`parse`], with the error of a check.
fn parsed<S: DeserializeOwned>(settings: &Settings) -> Result<S, Problem> {
    parse(settings).map_err(|message| Problem::new("", message))
}

fn parse_all<S: DeserializeOwned>(trials: &[&Settings]) -> Result<Vec<S>, String> {
    trials.iter().map(|settings| parse(settings)).collect()
}

fn settings_of<S: Serialize>(settings: &S) -> Settings {
    match serde_json::to_value(settings).expect("settings are plain data") {
        Value::Object(map) => map,
        _ => unreachable!("settings are a struct"),
    }
}
