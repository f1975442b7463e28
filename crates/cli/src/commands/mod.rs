//! One file per subcommand: its arguments, and what it does.

pub mod bench;
pub mod cancel;
pub mod check_weights;
pub mod clean;
mod devices;
pub mod diff;
pub mod doctor;
mod experiment;
pub mod export;
pub mod fetch;
mod folders;
pub mod generate;
pub mod import;
pub mod merge;
pub mod methods;
pub mod params;
pub mod plan;
pub mod plots;
pub mod pretrain;
pub mod report;
pub mod run;
mod selection;
pub mod status;
pub mod submit;
pub mod verify_resume;
pub mod weight_norms;
pub mod world;
