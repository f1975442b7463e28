//! Runs of the toy workload in this process.

#[path = "../../examples/toy/workload.rs"]
mod toy;

mod adopted;
mod identity;
mod leftovers;
mod policy;
mod runs;
mod shards;
mod study;
mod tuning;
