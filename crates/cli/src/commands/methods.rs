//! `delora methods`: the registry, as experiment files name it.

use delora_core::{METHODS, find_method};

use crate::method_text;

#[derive(clap::Args)]
pub struct Args {
    /// Show this method alone, with its settings one by one, its counts and the top of its file
    name: Option<String>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.name {
        Some(name) => terminal::print(method_text::full(find_method(name)?)?),
        None => {
            let methods: Vec<String> = METHODS.iter().map(method_text::short).collect();
            terminal::print(methods.join("\n"));
        }
    }
    Ok(())
}
