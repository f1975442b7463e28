//! `delora world`: writes what the mini world draws by seed: the held-out subjects as folders of pictures, or the tasks
//! about its sentences, instructions and exams about its creatures, or scenes with label
//! maps.

use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Args {
    /// Write the eight tasks that mirror GLUE's, as parquet files, instead of the subjects
    #[arg(long)]
    glue: bool,
    /// Write the instructions and the exams that mirror MMLU, ARC and TruthfulQA, as JSON Lines, instead of the subjects
    #[arg(long, conflicts_with = "glue")]
    instruct: bool,
    /// Write pairs of picture and label map in ADE20K's layout, instead of the subjects
    #[arg(long, conflicts_with_all = ["glue", "instruct"])]
    pairs: bool,
    /// Folder to write the subjects' `dataset/`, the tasks' folders, the exams' files or the pairs into [default:
    /// assets/mini/subjects, assets/mini/glue with --glue, assets/mini/instruct with --instruct, data/mini-pairs with
    /// --pairs]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let out = |default: &'static str| args.out.as_deref().unwrap_or(Path::new(default));
    if args.glue {
        miniworld::glue::write_tasks(out("assets/mini/glue"))
    } else if args.instruct {
        miniworld::instruct::write(out("assets/mini/instruct"))
    } else if args.pairs {
        miniworld::pairs::write(out("data/mini-pairs"))
    } else {
        miniworld::subjects::write_subjects(out("assets/mini/subjects"))
    }
}
