//! `delora world`: writes what the mini world draws by seed: the held-out subjects as folders of pictures, or the tasks
//! about its sentences.

use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Args {
    /// Write the eight tasks that mirror GLUE's, as parquet files, instead of the subjects
    #[arg(long)]
    glue: bool,
    /// Folder to write the subjects' `dataset/` or the tasks' folders into [default: assets/mini/subjects, or
    /// assets/mini/glue with --glue]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let out = |default: &'static str| args.out.as_deref().unwrap_or(Path::new(default));
    if args.glue {
        miniworld::glue::write_tasks(out("assets/mini/glue"))
    } else {
        miniworld::subjects::write_subjects(out("assets/mini/subjects"))
    }
}
