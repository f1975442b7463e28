//! `delora import`: an adapter of Stable Diffusion that PEFT saved, as one of ours.

use std::path::PathBuf;

use anyhow::Result;
use delora_core::from_peft;

use super::export::sites;

#[derive(clap::Args)]
pub struct Args {
    /// Folder with adapter_config.json and adapter_model.safetensors of a denoiser; encoders and decoders are not supported
    pub folder: PathBuf,
    /// The checkpoint that the adapter was trained on, in Stable Diffusion's layout
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Adapter file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

pub fn run(args: &Args) -> Result<()> {
    let sites = sites(&args.model)?;
    let imported = from_peft(&args.folder, &sites)?;
    imported.adapter.save(&args.out)?;
    imported.notes.iter().for_each(|note| terminal::line(format_args!("note: {note}")));
    terminal::line(format_args!("method `{}`, {}", imported.adapter.method.name, args.out.display()));
    Ok(())
}
