//! Fetches data sets and checkpoints from a hub of machine learning, such as Hugging Face's, into the cache that
//! Python's `huggingface_hub` uses too, so that neither fetches what the other has.
//!
//! What can be fetched by one name is a bundle; all of them are in the table [`BUNDLES`], and what no hub has as such
//! is in [`BY_HAND`]. [`Hub::plan`] asks the hub (or, offline, the cache) which files a bundle has; [`Hub::download`]
//! gets those that are missing, several at once. A file is received beside the snapshots, continued after a dropped
//! connection, checked against the hub's size and hash, and only then linked into its snapshot: it is there whole or
//! not at all.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod address;
mod bundles;
mod by_hand;
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
mod table;

pub use address::{PREFIX, repository};
pub use bundles::{Bundle, Files, Kind, MAIN, Part};
pub use by_hand::{BY_HAND, ByHand, by_hand};
pub use environment::Environment;
pub use error::{HubError, Result};
pub use http::Patience;
pub use hub::Hub;
pub use plan::{Plan, PlannedFile};
pub use progress::Progress;
pub use table::{BUNDLES, find};
