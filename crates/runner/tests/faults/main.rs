//! The real binary of the toy workload, killed, interrupted, started twice, and robbed of its disk.

#[path = "../../examples/toy/workload.rs"]
mod toy;

mod boundaries;
mod damage;
mod disk;
mod kills;
mod locks;
mod signals;
mod study;
mod verify;
mod workers;
