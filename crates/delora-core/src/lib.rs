//! Every adaptation method behind one trait, and banks that train many trials of them over one frozen network.
//!
//! Start reading at [`METHODS`] and one file of `methods/`, then [`LinearAdapter`], then [`Bank`].
//! This crate knows no model: a network gives its linear layers as named [`Site`]s and calls
//! [`Bank::forward`] where it would have called the layer.

mod adapter;
mod bank;
mod class;
mod config;
mod error;
mod factors;
mod group;
mod method;
mod methods;
mod norms;
mod optimizer;
mod random;
mod state;
mod store;

pub use adapter::{Init, LinearAdapter, LinearSettings, ParameterSpec, Parameters};
pub use bank::{Bank, SiteReading};
pub use class::{LinearClass, Site};
pub use config::{Group, MethodConfig, OptimizerConfig, Schedule, TrialConfig};
pub use error::CoreError;
pub use factors::{Factors, LowRank};
pub use method::{About, Adapts, Method};
pub use methods::{METHODS, find_method};
pub use optimizer::BankAdamW;
pub use random::stream;
