//! `delora plots`: tables and figures from the CSV files of a finished run.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use figures::FiguresError;
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

/// Draws what the experiment lists as its figures, and names the files and what was left out.
///
/// An error lists all figures that failed; the others are drawn.
pub fn draw(experiment: &Experiment, results: &Path, plots: &Path) -> anyhow::Result<()> {
    let place = |root: &Path| root.join(&experiment.name).join(&experiment.scale);
    let drawn = figures::render(&experiment.figures, &experiment.scale, &place(results), &place(plots))
        .with_context(|| format!("figures of {}", experiment.name))?;
    for file in &drawn.written {
        println!("{}", file.display());
    }
    for (figure, error) in &drawn.left_out {
        println!("left out: `{figure}` does not apply to these results: {error}");
    }
    if !drawn.failed.is_empty() {
        let line = |(figure, error): &(String, FiguresError)| format!("`{figure}`: {error}");
        let lines: Vec<String> = drawn.failed.iter().map(line).collect();
        bail!("{} could not be drawn:\n{}", experiment.name, lines.join("\n"));
    }
    Ok(())
}
