//! `delora plots`: tables and figures from the CSV files of a finished run.

use std::path::{Path, PathBuf};

use anyhow::Context;
use runner::Experiment;

use super::experiment::ExperimentArgs;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// Folder of all figures
    #[arg(long, value_name = "DIR", default_value = "plots")]
    plots: PathBuf,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    draw(&args.experiment.load()?, &args.experiment.results, &args.plots)
}

/// Draws what the experiment lists as its figures, and names the files.
pub fn draw(experiment: &Experiment, results: &Path, plots: &Path) -> anyhow::Result<()> {
    let place = |root: &Path| root.join(&experiment.name).join(&experiment.scale);
    let written = figures::render(&experiment.figures, &experiment.scale, &place(results), &place(plots))
        .with_context(|| format!("figures of {}", experiment.name))?;
    for file in written {
        terminal::line(file.display());
    }
    Ok(())
}
