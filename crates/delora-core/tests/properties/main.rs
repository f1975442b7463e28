//! What holds for every method in the registry, for banks of them, and for their optimizer; that they follow their
//! references; and the table of it all (`just proof`).

mod adamw;
mod adapters;
mod banks;
mod everyone;
mod formulas;
mod golden;
mod gradients;
mod heads;
mod network;
mod outside;
#[path = "../../examples/own_method.rs"]
mod own_method;
mod proof;
mod trained;
