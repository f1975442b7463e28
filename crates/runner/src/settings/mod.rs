//! Settings of trials: reading them into types, and where each was written.

mod error;
mod merge;
mod paths;
mod reading;
mod source;
mod words;

pub use error::{SettingError, closest};
pub use merge::leaves;
pub(crate) use merge::{SELECTION, Table, from_toml, get_path, is_selection, set_path};
pub use paths::expand_home;
pub(crate) use paths::{blamed, expand_homes, expand_homes_of};
pub use reading::{settings, settings_beside};
pub(crate) use source::{Line, Scope, Source};
pub(crate) use words::of_syntax;
