//! The figures that are no tables of the paper, one file each, and the panels that several share.

mod bounds;
pub mod confusion;
pub mod cost;
pub mod curves;
pub mod dot_panels;
pub mod dots;
pub mod gallery;
pub mod glue_robustness;
pub mod grid;
pub mod heatmap;
pub mod lambda_vs_angles;
pub mod lines;
pub mod map_grid;
pub mod mmlu;
mod mmlu_table;
pub mod over_time;
pub mod prolonged;
mod prolonged_table;
pub mod robustness;
mod score_panels;
pub mod score_robustness;
mod sweep;
pub mod variants;
pub mod weight_norms;
mod widths;
