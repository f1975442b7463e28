//! What a file of weights, adapters or settings holds, told from its bytes: values that are no numbers, and files that are
//! something else than their name says.

mod foreign;
mod non_finite;

pub use foreign::{foreign, metadata_problem};
pub use non_finite::num_non_finite;
