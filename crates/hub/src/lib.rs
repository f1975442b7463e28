//! Data sets and checkpoints from a hub in Hugging Face's layout, into the cache that Python's library uses too.
//!
//! What can be fetched is a table, [`BUNDLES`]. [`Hub::plan`] asks the hub (or, offline, the cache) which files a
//! bundle is; [`Hub::download`] gets those that are missing. A file is received beside the snapshots, continued after
//! a dropped connection, checked against the hub's size and hash, and only then linked into its snapshot.

mod bundles;
mod cache;
mod content;
mod download;
mod environment;
mod error;
mod http;
mod hub;
mod listing;
mod plan;
mod progress;
mod select;

pub use bundles::{BUNDLES, Bundle, Files, Kind, Part, find};
pub use environment::Environment;
pub use error::{HubError, Result};
pub use http::Patience;
pub use hub::Hub;
pub use plan::{Plan, PlannedFile};
pub use progress::Progress;
