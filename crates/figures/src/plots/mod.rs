//! The figures, one file each, and the panel of dots that two of them share.

pub mod curves;
mod dots;
pub mod table;
pub mod variants;
