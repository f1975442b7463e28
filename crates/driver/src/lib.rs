//! What all drivers have in common: a method in an experiment file, precision, digests of inputs, what is kept between banks,
//! checkpoints, where trials run; and of those that train on sequences, the passes and the order of examples.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod batches;
mod checkpoint;
mod cost;
mod digests;
mod feasible;
mod finite;
mod latest;
mod machine;
mod method;
mod parquet_file;
mod permutation;
mod shards;
mod status;
pub mod testing;

pub use batches::{by_length, epoch_order, mask, padded, passes};
pub use checkpoint::{Record, read_losses, resume, save};
pub use cost::{fastest_of_three, peak_resident_bytes, resident_bytes, trained_bytes};
pub use digests::{Digests, covered};
pub use feasible::{KnownSites, Proposed};
pub use finite::{Broken, End, Finite, NotFinite};
pub use latest::Latest;
pub use machine::{Precision, provenance, shared, workers};
pub use method::{MethodSettings, Rates, at_least_one, enough, methods, positive, shortfall};
pub use parquet_file::{ParquetFileError, read_parquet};
pub use permutation::{numpy_permutation, torch_permutation};
pub use shards::{MissingShard, shards};
pub use status::statuses;
