//! The traits that methods implement, and the words they are written in.

use std::collections::BTreeMap;
use std::ops::Index;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tch::{Kind, Tensor};

use crate::class::{HiddenClass, LinearClass};
use crate::factors::Factors;
use crate::limits::Problem;
use crate::parameter_group::Group;
use crate::site::{HiddenShape, LinearShape, SiteShape};

/// How a parameter starts.
pub enum Init {
    /// Zeros.
    Zero,
    /// Uniform in ±`bound`, drawn per trial, site and parameter.
    Uniform {
        /// The largest absolute value.
        bound: f64,
    },
    /// Normal with mean 0, drawn per trial, site and parameter.
    Normal {
        /// The standard deviation.
        std: f64,
    },
    /// An orthogonal matrix: that of the QR decomposition of a normal one, drawn per trial, site and parameter.
    Orthogonal,
    /// Uniform in ±`bound`, drawn per trial and row: the same at every site, a smaller matrix being the corner of a
    /// larger one.
    SharedUniform {
        /// The largest absolute value.
        bound: f64,
    },
    /// A multiple of another parameter's start, which is drawn.
    Copy {
        /// Name of the other parameter, of the same method.
        of: &'static str,
        /// What its start is multiplied by.
        sign: f64,
    },
    /// One value per trial, the same at every site.
    PerTrial(Vec<f64>),
    /// One [sites, shape…] tensor, the same for every trial.
    PerSite(Tensor),
}

/// One parameter of a method at every site of a class.
pub struct ParameterSpec {
    /// Unique in its method.
    pub name: &'static str,
    /// Absent: a constant, stored beside the parameters and never trained.
    pub group: Option<Group>,
    /// Without the leading [trials, sites].
    pub shape: Vec<i64>,
    /// Its first values.
    pub init: Init,
}

impl ParameterSpec {
    /// A parameter that is trained with the learning rate of `group`; `shape` is without [trials, sites].
    pub fn trained(name: &'static str, group: Group, shape: &[i64], init: Init) -> ParameterSpec {
        ParameterSpec { name, group: Some(group), shape: shape.to_vec(), init }
    }

    /// A constant, which is saved beside the parameters.
    pub fn frozen(name: &'static str, shape: &[i64], init: Init) -> ParameterSpec {
        ParameterSpec { name, group: None, shape: shape.to_vec(), init }
    }
}

/// The parameters of one method at the sites of one class, by name, each [trials, sites, shape…].
#[derive(Default)]
pub struct Parameters(BTreeMap<&'static str, Tensor>);

impl Parameters {
    /// Adds a parameter [trials, sites, shape…], or replaces it.
    pub fn insert(&mut self, name: &'static str, value: Tensor) {
        self.0.insert(name, value);
    }

    /// Each parameter as `change` makes it.
    pub fn map(&self, change: impl Fn(&Tensor) -> Tensor) -> Parameters {
        Parameters(self.0.iter().map(|(name, value)| (*name, change(value))).collect())
    }
}

impl Index<&str> for Parameters {
    type Output = Tensor;

    /// Panics where there is no parameter of that name.
    fn index(&self, name: &str) -> &Tensor {
        &self.0[name]
    }
}

/// A method at the sites of one class, for a stack of trials.
pub enum Adapter {
    /// At linear layers.
    Linear(Box<dyn LinearAdapter>),
    /// At hidden states.
    Hidden(Box<dyn HiddenAdapter>),
    /// Each trial trains a copy of the tensors of the class, the parameter [`TENSOR_VALUE`] of this group.
    Tensor(Group),
}

/// The parameter that stands for a tensor of the network which a trial trains.
pub const TENSOR_VALUE: &str = "value";

/// A method at the linear sites of one class, for a stack of trials.
///
/// Everything here has leading axes [trials, sites] and is written once for all of them.
pub trait LinearAdapter {
    /// Parameters and constants: the same at every site of the class.
    fn parameters(&self) -> Vec<ParameterSpec>;

    /// The adapted layer in activation form, made once per step from `parameters` in their own kind (f32, or f64
    /// for distances). A dense product with a weight is for the norms of DoRA only, and not differentiated.
    fn factors(&self, parameters: &Parameters) -> Factors;

    /// The definition: W', [trials, sites, out_features, in_features]. For export and tests.
    fn adapted_weight(&self, parameters: &Parameters) -> Tensor;

    /// The adapted bias, [trials, sites, out_features], where the method changes it.
    fn adapted_bias(&self, _: &Parameters) -> Option<Tensor> {
        None
    }

    /// What ‖W' − W‖ (Frobenius) cannot exceed at these λ, whatever else was learnt, [trials, sites]; absent: unbounded.
    fn bound(&self, _: &Parameters) -> Option<Tensor> {
        None
    }

    /// What the rank of W' − W cannot exceed, when it is less than full.
    fn update_rank(&self) -> Option<i64> {
        None
    }

    /// Whether [`LinearAdapter::constrain`] does anything.
    fn constrains(&self) -> bool {
        false
    }

    /// Moves parameters, in place, to where the method allows them to be; done after each optimizer step.
    fn constrain(&self, _: &Parameters) {}
}

/// Hidden states on their way through a block, and what a method may want to know about them.
pub struct Hidden<'a> {
    /// [trials, batch, tokens, features]
    pub values: &'a Tensor,
    /// Tokens of each sequence that are no padding, [trials, batch]; absent: all.
    pub lengths: Option<&'a Tensor>,
    /// What the block's own norm makes of them and the residual, in networks that norm behind the residual.
    pub normed: Option<&'a Tensor>,
    /// What a method that drops out what it changes multiplies that by, in the shape of `values`; absent: no dropout.
    pub dropout: Option<&'a Tensor>,
}

/// What a method makes of the hidden states at one site: the new values, in the kind of the old.
pub type HiddenChange = Box<dyn Fn(&Hidden) -> Tensor>;

/// A method at the hidden states of one class, for a stack of trials.
pub trait HiddenAdapter {
    /// Parameters and constants: the same at every site of the class.
    fn parameters(&self) -> Vec<ParameterSpec>;

    /// One function per site, made once per step from `parameters`, [trials, sites, …].
    fn changes(&self, parameters: &Parameters, kind: Kind) -> Vec<HiddenChange>;

    /// Whether the functions read [`Hidden::normed`] where it is there.
    fn reads_normed(&self) -> bool {
        false
    }
}

/// The settings of a linear method for one trial; absent fields take their defaults, unknown ones are errors.
pub trait LinearSettings: Default + Serialize + DeserializeOwned {
    /// Names of the settings that trials must have in common to be stacked; absent: all.
    const STRUCTURAL: Option<&[&str]> = None;

    /// What trials must have in common to be stacked: the settings that [`LinearSettings::STRUCTURAL`] names.
    fn structure(&self) -> Value {
        let mut settings = serde_json::to_value(self).expect("settings are plain data");
        if let (Some(names), Value::Object(all)) = (Self::STRUCTURAL, &mut settings) {
            all.retain(|name, _| names.contains(&name.as_str()));
        }
        settings
    }

    /// Which form of the method a layer gets, if any; `targeted` says whether the trial names the layer's role.
    fn variant(&self, _: &LinearShape, targeted: bool) -> Option<u8> {
        targeted.then_some(0)
    }

    /// Says what is impossible at a weight [out_features, in_features], and what would do.
    fn check(&self, _in_features: i64, _out_features: i64) -> Result<(), Problem> {
        Ok(())
    }

    /// Trained parameters at one site.
    fn num_parameters(&self, shape: &LinearShape) -> i64;

    /// The adapter of a stack of trials, which agree in their structure and have passed `check`.
    fn build(trials: &[Self], class: &LinearClass) -> Box<dyn LinearAdapter>;

    /// An example of each structural form with this even rank and no factor equal to one, which tests run over: the
    /// defaults, where there are no settings.
    fn examples(_rank: i64) -> Vec<Self> {
        vec![Self::default()]
    }
}

/// The settings of a method of hidden states for one trial.
pub trait HiddenSettings: Default + Serialize + DeserializeOwned {
    /// The settings that trials must have in common to be stacked: all, if the method does not say otherwise.
    fn structure(&self) -> Value {
        serde_json::to_value(self).expect("settings are plain data")
    }

    /// Whether the method changes the hidden states of such a site.
    fn acts_on(&self, shape: &HiddenShape) -> bool;

    /// Says what is impossible at this width, and what would do.
    fn check(&self, _features: i64) -> Result<(), Problem> {
        Ok(())
    }

    /// Trained parameters at one site.
    fn num_parameters(&self, features: i64) -> i64;

    /// The adapter of a stack of trials, which agree in their structure and have passed `check`.
    fn build(trials: &[Self], class: &HiddenClass) -> Box<dyn HiddenAdapter>;

    /// An example of each structural form with this even rank: the defaults, where there are no settings.
    fn examples(_rank: i64) -> Vec<Self> {
        vec![Self::default()]
    }
}

/// The settings of a method that trains the network's own tensors, which are the same for all trials.
pub trait WholeSettings: Default + Serialize + DeserializeOwned {
    /// The group of its parameters.
    const GROUP: Group;

    /// Trained parameters at one site; 0 where nothing is trained.
    fn num_parameters(&self, site: &SiteShape) -> i64;

    /// What the method does at linear layers; of other tensors each trial trains a copy.
    fn build(&self, class: &LinearClass) -> Box<dyn LinearAdapter>;
}
