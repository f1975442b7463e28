//! `delora pretrain`: trains the small networks of `assets/mini` by their recipes.

use std::path::PathBuf;

use miniworld::pretrain::{self, Options};

#[derive(clap::Args)]
pub struct Args {
    /// One of vae, clip, dino, segmenter, unet, condition, encoder, decoder, report; all: each in turn, then the report
    #[arg(long, default_value = "all", value_parser = pretrain::known)]
    model: String,
    /// Tiny ImageNet in hub layout (`data/train-00000-of-00001.parquet`); only vae, clip, dino, unet and report need it
    #[arg(long, value_name = "DIR")]
    photos: Option<PathBuf>,
    /// Folder that is shipped
    #[arg(long, value_name = "DIR", default_value = "assets/mini")]
    out: PathBuf,
    /// Checkpoints and logs; a stopped run goes on from here
    #[arg(long, value_name = "DIR", default_value = "runs/pretrain")]
    work: PathBuf,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Compute in bf16: faster on GPUs and on CPUs with AMX, slower on others
    #[arg(long)]
    bf16: bool,
    /// Steps instead of the recipe's
    #[arg(long)]
    steps: Option<u64>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let options = Options {
        out: args.out.clone(),
        work: args.work.clone(),
        photos: args.photos.clone(),
        seed: args.seed,
        bf16: args.bf16,
        steps: args.steps,
    };
    pretrain::run(&args.model, &options)
}
