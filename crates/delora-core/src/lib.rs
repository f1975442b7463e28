#![doc = include_str!("../README.md")]
//!
//! # Where to start reading
//!
//! [`METHODS`] and one file of `methods/`, then [`LinearAdapter`], then [`Bank`]. This crate knows no model: a network
//! gives its layers, tensors and hidden states as named [`Site`]s and asks the bank ([`Bank::forward`],
//! [`Bank::tensor`], [`Bank::hidden`]) where it would have used its own.

#![warn(missing_docs)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod adapter;
mod adapter_file;
mod bank;
mod class;
mod config;
mod error;
mod factors;
mod field_names;
mod group;
mod limits;
mod method;
mod methods;
mod norms;
mod optimizer;
mod parameter_group;
mod peft;
mod random;
mod site;
mod state;
mod store;
mod target;
mod tensor_file;

pub use adapter::{
    Adapter, Hidden, HiddenAdapter, HiddenChange, HiddenSettings, Init, LinearAdapter, LinearSettings,
    ParameterSpec, Parameters, TENSOR_VALUE, WholeSettings,
};
pub use adapter_file::AdapterFile;
pub use bank::parameters::ParameterName;
pub use bank::plan::check_trial;
pub use bank::trained::Untrained;
pub use bank::{Bank, SiteReading, TensorRun};
pub use class::{Class, HiddenClass, LinearClass, TensorClass};
pub use config::{MethodConfig, OptimizerConfig, Schedule, TrialConfig};
pub use error::CoreError;
pub use factors::{Factors, LowRank, Scales};
pub use field_names::field_names;
pub use limits::Problem;
pub use method::{About, Adapts, Method};
pub use methods::{METHODS, add_method, find_method, settings};
pub use optimizer::BankAdamW;
pub use parameter_group::Group;
pub use peft::{DiffusersLora, Imported, PeftAdapter, from_peft, to_diffusers, to_peft, to_peft_lora};
pub use random::stream;
pub use site::{HiddenShape, LinearShape, Part, PartShape, Place, Role, Site, SiteShape, Start};
pub use target::{Pattern, Target};
pub use tensor_file::copy_with;
