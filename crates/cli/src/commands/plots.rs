//! `delora plots`: tables and figures from the CSV files of a finished run.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use figures::FiguresError;
use runner::{Experiment, RunnerError};

use super::experiment::ExperimentArgs;
use crate::tasks::workload;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    experiment: ExperimentArgs,
    #[command(flatten)]
    plots: PlotsArgs,
}

/// The argument that names the folder of figures, for all subcommands that have it beside `--results`.
#[derive(clap::Args)]
pub struct PlotsArgs {
    /// Folder of all figures [default: plots, and DIR/plots with --results DIR]
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
}

/// Folder of all results, unless another is named.
pub const RESULTS: &str = "results";

impl PlotsArgs {
    /// Figures go with their results: those of another folder never replace the ones in `plots`.
    pub fn folder(&self, results: &Path) -> PathBuf {
        let whole = |path: &Path| std::path::absolute(path).ok();
        match &self.plots {
            Some(plots) => plots.clone(),
            None if whole(results) == whole(Path::new(RESULTS)) => PathBuf::from("plots"),
            None => results.join("plots"),
        }
    }
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let results = &args.experiment.results;
    let experiment = args.experiment.load_shown()?;
    // Workers leave a ledger without tables; a folder of tables alone is drawn as it is.
    match runner::rebuild(&experiment, workload(&experiment.task)?.as_ref(), results) {
        Err(RunnerError::Empty { .. }) => {}
        Err(error) => return Err(error.into()),
        Ok(odd) => odd.iter().for_each(terminal::notice),
    }
    draw(&experiment, results, &args.plots.folder(results))
}

/// Draws what the experiment lists as its figures, and names the files and what was left out.
///
/// An error lists all figures that failed; the others are drawn.
pub fn draw(experiment: &Experiment, results: &Path, plots: &Path) -> anyhow::Result<()> {
    let place = |root: &Path| root.join(&experiment.name).join(&experiment.scale);
    let drawn = figures::render(&experiment.figures, &experiment.scale, &place(results), &place(plots))
        .with_context(|| format!("figures of {}", experiment.name))?;
    for file in &drawn.written {
        terminal::line(file.display());
    }
    for (figure, error) in &drawn.left_out {
        terminal::line(format_args!("left out: `{figure}` does not apply to these results: {error}"));
    }
    if !drawn.failed.is_empty() {
        let line = |(figure, error): &(String, FiguresError)| format!("`{figure}`: {error}");
        let lines: Vec<String> = drawn.failed.iter().map(line).collect();
        bail!("{} could not be drawn:\n{}", experiment.name, lines.join("\n"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_follow_their_results_unless_they_are_told_where_to_go() {
        let folder = |results: &str, plots: Option<&str>| {
            PlotsArgs { plots: plots.map(PathBuf::from) }.folder(Path::new(results))
        };
        let here = std::env::current_dir().unwrap().join("results");
        for usual in ["results", "./results", "results/", here.to_str().unwrap()] {
            assert_eq!(folder(usual, None), Path::new("plots"), "{usual}");
        }
        assert_eq!(folder("/elsewhere/results", None), Path::new("/elsewhere/results/plots"));
        assert_eq!(folder("mine", None), Path::new("mine/plots"));
        assert_eq!(folder("mine", Some("drawn")), Path::new("drawn"));
        assert_eq!(folder("mine", Some("plots")), Path::new("plots"));
    }
}
