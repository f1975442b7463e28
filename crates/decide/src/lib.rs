//! From trials to decisions: which of the paper's statements hold here.
//!
//! The *claim ledger* (`experiments/claims.toml`) holds what the paper states, each with a test and the smallest difference
//! that matters. A test becomes *evidence*: a number for each independent unit (a subject, a task, or a seed). A decision is
//! made of it by Student's t, with Holm's correction over all statements of a table or figure. Where a *design* was written
//! before its trials ran, decisions are made at the looks that it plans, each at its own level.
//!
//! ```text
//! claims  ->  evidence  ->  hypothesis  ->  judge  <-  design
//! ```

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod claims;
mod compare;
mod design;
mod error;
mod evidence;
mod family;
mod hypothesis;
mod judge;
#[cfg(test)]
mod simulation;
mod verdict;
mod words;

pub use claims::{Claim, Decided, Ledger, Test};
pub use compare::Side;
pub use design::{DESIGN_FILE, Design, Look, Registered, look_levels};
pub use error::{DecideError, Result};
pub use evidence::{Evidence, Missing, Place, evidence};
pub use hypothesis::{Claimed, Hypothesis, Margin};
pub use judge::{Judged, judge};
pub use verdict::{Judgement, Verdict};

/// The scale at which the paper's numbers are judged.
pub const PAPER_SCALE: &str = "paper";
