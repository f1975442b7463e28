//! `delora world`: writes the mini world's held-out subjects as folders of pictures.

use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Folder to write `dataset/` into
    #[arg(long, value_name = "DIR", default_value = "assets/mini/subjects")]
    out: PathBuf,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    miniworld::subjects::write_subjects(&args.out)
}
