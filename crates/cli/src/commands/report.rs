//! `delora report`: experiments, results, figures and a verdict on each claim of the paper, as one HTML file.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use jiff::Timestamp;
use report::Request;

use super::plots::PlotsArgs;

#[derive(clap::Args)]
pub struct Args {
    /// Experiment files; of none, all of `experiments/` that have results
    #[arg(value_name = "EXPERIMENT.toml")]
    experiments: Vec<PathBuf>,
    /// Folder of all results
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    #[command(flatten)]
    plots: PlotsArgs,
    /// The claim ledger
    #[arg(long, value_name = "FILE", default_value = "experiments/claims.toml")]
    claims: PathBuf,
    /// The page to write; without it `report.html` in the folder of results
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let page = report::render(&Request {
        experiments: &args.experiments,
        experiment_folder: Path::new("experiments"),
        claims: &args.claims,
        results: &args.results,
        plots: &args.plots.folder(&args.results),
        commit: &commit(),
        written: &Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
    })?;
    let out = args.out.clone().unwrap_or_else(|| args.results.join("report.html"));
    std::fs::write(&out, &page.html).with_context(|| format!("cannot write `{}`", out.display()))?;
    terminal::line(format_args!("{} ({:.1} MB)", out.display(), page.html.len() as f64 / 1e6));
    if !page.failed.is_empty() {
        let lines: Vec<String> = page.failed.iter().map(|(name, error)| format!("{name}: {error}")).collect();
        bail!("the page lacks what could not be shown:\n{}", lines.join("\n"));
    }
    Ok(())
}

/// The commit of the folder that the program runs in, and whether files differ from it.
pub fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty());
    match git(&["rev-parse", "HEAD"]) {
        Some(commit) if changed => format!("{commit}, with uncommitted changes"),
        Some(commit) => commit,
        None => concat!("v", env!("CARGO_PKG_VERSION")).to_owned(),
    }
}
