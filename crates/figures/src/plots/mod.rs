//! The figures, one file each, and the panels that several share.

pub mod confusion;
pub mod curves;
mod dots;
pub mod gallery;
pub mod glue_robustness;
mod glue_table;
pub mod heatmap;
pub mod lambda_vs_angles;
pub mod lines;
pub mod over_time;
pub mod prolonged;
pub mod robustness;
mod sweep;
pub mod table;
pub mod variants;
pub mod weight_norms;
