//! `delora report`: experiments, results, figures and a verdict on each claim of the paper, as one HTML file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
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
        written: &utc(SystemTime::now()),
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
fn commit() -> String {
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

/// A time such as "2026-01-31 12:00 UTC".
fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (mut days, of_day) = (seconds / 86_400, seconds % 86_400);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 0;
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    format!("{year}-{:02}-{:02} {:02}:{:02} UTC", month + 1, days + 1, of_day / 3600, of_day % 3600 / 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_dates() {
        let at = |seconds| utc(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01 00:00 UTC");
        assert_eq!(at(951_782_399), "2000-02-28 23:59 UTC");
        assert_eq!(at(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(at(1_769_860_800), "2026-01-31 12:00 UTC");
    }
}
