//! `delora import`: an adapter that PEFT saved, as one of ours.

use std::path::PathBuf;

use anyhow::Result;
use delora_core::from_peft;

use crate::host::Host;

#[derive(clap::Args)]
pub struct Args {
    /// Folder with adapter_config.json and adapter_model.safetensors
    pub folder: PathBuf,
    /// The checkpoint that the adapter was trained on: Stable Diffusion, RoBERTa, BERT, a vision transformer, or a decoder
    #[arg(long, value_name = "PATH")]
    pub model: PathBuf,
    /// Adapter file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

pub fn run(args: &Args) -> Result<()> {
    let host = Host::of_peft(&args.model, &args.folder)?;
    let imported = from_peft(&args.folder, &host.sites)?;
    let adapter = host.ours(imported.adapter);
    adapter.save(&args.out)?;
    imported.notes.iter().for_each(|note| terminal::line(format_args!("note: {note}")));
    terminal::line(format_args!("method `{}`, {}", adapter.method.name, args.out.display()));
    Ok(())
}
