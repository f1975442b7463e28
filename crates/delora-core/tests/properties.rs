//! What holds for every method in the registry, for banks of them, and for their optimizer.

#[path = "properties/adamw.rs"]
mod adamw;
#[path = "properties/banks.rs"]
mod banks;
#[path = "properties/formulas.rs"]
mod formulas;
#[path = "properties/network.rs"]
mod network;
