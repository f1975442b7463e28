//! The one reader of a results folder, `results/<experiment>/<scale>/`.
//!
//! A run of `delora` leaves CSV files: `trials.csv` with a row for each training run (a *trial*), `curves.csv` with
//! what was measured along the way, `summary.csv` with the settings that a search chose, and `methods.csv` with the
//! names of the methods, and `items.csv` with scores question by question. This crate reads them, groups trials into series (a method, or a method at one rank), pairs
//! trials that share a seed and a subject, and computes means, spreads, intervals, p values, robustness widths
//! and late slopes. It also holds the two lists that tables and figures share: [`TASKS`] and [`METRICS`]. It
//! draws nothing, trains nothing and links no libtorch.
//!
//! ```
//! # let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results/table1/mini");
//! let trials = results::Trials::read(&folder)?;
//! for series in trials.series() {
//!     let dino = results::Spread::of(&trials, trials.of(series), "dino");
//!     println!("{}: {:?} over {} trials", trials.title(series), dino.mean, dino.n);
//! }
//! # assert!(trials.series().len() > 7);
//! # Ok::<(), results::ResultsError>(())
//! ```

#![deny(clippy::print_stdout, clippy::print_stderr)]
#![warn(missing_docs)]

mod chosen;
mod curves;
mod error;
mod frame;
pub mod glue;
mod items;
mod methods;
mod metrics;
pub mod mmlu;
mod pairs;
pub mod prolonged;
pub mod robustness;
mod sample;
mod series;
mod settings;
mod spread;
pub mod stats;
mod student;
pub mod sweep;
mod tasks;
#[cfg(test)]
mod testing;
mod trials;
mod units;

pub use curves::{Band, Curve, Curves, all_curves, band, last_values, smoothed};
pub use error::{Result, ResultsError, read, read_bytes};
pub use frame::Frame;
pub use methods::{METHODS, MethodName, NONE, REAL_IMAGES, rank, title};
pub use metrics::{Direction, METRICS, Metric, Unit, metric, metric_title, share_of_answers};
pub use pairs::{Pairs, at_papers_rank, baseline};
pub use sample::Sample;
pub use series::{BLOCKS, RANK, Series};
pub use settings::short_name;
pub use spread::{Spread, diverged, num_parameters};
pub use tasks::{TASKS, Task};
pub use trials::{Status, Trial, Trials, counted};
pub use units::{unit_means, unit_of};
