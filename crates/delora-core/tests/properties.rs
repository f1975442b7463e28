//! What holds for every method in the registry, for banks of them, and for their optimizer; that they follow their
//! references; and the table of it all (`just proof`).

#[path = "properties/adamw.rs"]
mod adamw;
#[path = "properties/adapters.rs"]
mod adapters;
#[path = "properties/banks.rs"]
mod banks;
#[path = "properties/everyone.rs"]
mod everyone;
#[path = "properties/formulas.rs"]
mod formulas;
#[path = "properties/golden.rs"]
mod golden;
#[path = "properties/gradients.rs"]
mod gradients;
#[path = "properties/heads.rs"]
mod heads;
#[path = "properties/network.rs"]
mod network;
#[path = "properties/outside.rs"]
mod outside;
#[path = "../examples/own_method.rs"]
mod own_method;
#[path = "properties/proof.rs"]
mod proof;
#[path = "properties/trained.rs"]
mod trained;
