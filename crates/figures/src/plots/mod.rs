//! The figures, one file each, and the panels that several share.

mod bounds;
pub mod confusion;
pub mod curves;
mod dot_panels;
mod dots;
pub mod gallery;
pub mod glue_robustness;
mod glue_table;
pub mod heatmap;
pub mod instruct_robustness;
mod instruct_table;
pub mod lambda_vs_angles;
pub mod lines;
mod mmlu;
pub mod over_time;
pub mod prolonged;
pub mod robustness;
mod score_panels;
mod semantic_table;
mod sweep;
pub mod table;
pub mod variants;
pub mod weight_norms;
