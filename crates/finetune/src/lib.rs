//! Finetuning of a bank of trials: what a task need not write for itself.
//!
//! A task has data, a loss and an evaluation. It says them as a [`Task`] and, for each bank, a [`Lesson`]; this crate
//! reads the settings that all tasks have, checks them against the network, sends the network through a bank of
//! adapters ([`BankHook`]) with dropout, trains with checkpoints, reads distances and scores on the way, and turns the
//! trained bank into outcomes, curves and files. [`Finetuning`] is the task as the runner sees it.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod bank_size;
mod batches;
mod cost;
mod digests;
mod dropout;
mod feasible;
mod finite;
mod latest;
mod machine;
mod measured;
mod method;
mod network;
mod parquet_file;
mod permutation;
mod place;
mod rehearsal;
mod rows;
mod settings;
mod shards;
mod status;
mod task;
mod telemetry;
pub mod testing;
mod training;
mod watch;

pub use bank_size::BankSize;
pub use batches::{EpochOrders, add, by_length, epoch_order, mask, padded, passes};
pub use cost::{
    PassCost, fastest_of_three, free_bytes, fresh_peak, peak_resident_bytes, resident_bytes, seconds_of,
    trained_bytes,
};
pub use digests::covered;
pub use dropout::{DropoutRates, StepDropout};
pub use finite::{Broken, Finite, NotFinite};
pub use latest::{Known, Latest};
pub use machine::Precision;
pub use method::{MethodSettings, at_least, at_least_one, below_one, enough, positive, shortfall};
pub use network::{BankHook, head_sites, sites, sites_of};
pub use parquet_file::{Cells, ParquetFileError, byte_cells, number_cells, read_parquet};
pub use permutation::{numpy_permutation, torch_permutation};
pub use place::Place;
pub use rows::{Row, RowError, find_rows, read_all_rows, read_rows};
pub use settings::{Common, NONE, OwnSettings, Settings, without_multiplier};
pub use shards::{MissingShard, shards};
pub use task::{BankRun, Finetuning, Slot, Task, untrained};
pub use training::{Finished, Lesson, Scores, Training, mean_distances};
