//! One file per subcommand: its arguments, and what it does.

pub mod doctor;
mod experiment;
pub mod export;
pub mod import;
pub mod methods;
pub mod params;
pub mod plan;
pub mod plots;
pub mod pretrain;
pub mod run;
pub mod status;
pub mod world;
