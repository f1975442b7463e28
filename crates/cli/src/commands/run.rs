//! `delora run`: trains what is open, writes the tables, draws the figures.

use device::Cuda;
use std::process::ExitCode;
use std::time::Duration;

use runner::{RunOptions, RunReport, Selection};

use super::devices::DevicesArgs;
use super::experiment::ExperimentArgs;
use super::plots::{PlotsArgs, draw};
use super::selection::SelectionArgs;
use crate::exit;
use crate::tasks::workload;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    experiment: ExperimentArgs,
    #[command(flatten)]
    plots: PlotsArgs,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    devices: DevicesArgs,
    /// Begin no bank after a trial has failed; otherwise a run goes on whatever fails
    #[arg(long, conflicts_with = "max_failures")]
    fail_fast: bool,
    /// Begin no bank after N trials have failed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_failures: Option<u64>,
    /// Time between two checkpoints of a bank: a number with ms, s, m or h
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    checkpoint_every: Duration,
    /// Keep each trained trial's adapter in `pictures` of its results: `delora export` takes those of Stable Diffusion,
    /// `delora generate` those of decoders; finished trials are not run again
    #[arg(long)]
    save_adapters: bool,
    /// Be one of any number of workers, on this machine and others, that share the results folder: takes banks until every
    /// trial has its result; leaves failed trials, tables and figures to `delora run` and `delora plots`
    #[arg(long, conflicts_with = "only")]
    worker: bool,
    /// After how much silence a worker of another machine counts as gone, so that its banks go to others
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    lease: Duration,
    /// Draw no tables and figures at the end; `delora plots` draws them later
    #[arg(long)]
    no_figures: bool,
    /// No progress; notices and failures are still printed
    #[arg(long)]
    quiet: bool,
}

pub fn run(args: &Args, cuda: &Cuda) -> anyhow::Result<ExitCode> {
    let experiment = args.experiment.load()?;
    args.devices.choose(&experiment.scale, cuda)?;
    let selection = Selection { leaves_failed: args.worker, ..args.selection.selection() };
    let options = RunOptions {
        results_dir: args.experiment.results.clone(),
        selection,
        max_failures: if args.fail_fast { Some(1) } else { args.max_failures.map(|count| count as usize) },
        checkpoint_every: args.checkpoint_every,
        save_adapters: args.save_adapters,
        worker: args.worker,
        lease: args.lease,
        quiet: args.quiet,
    };
    let report = runner::run(&experiment, workload(&experiment.task)?.as_ref(), &options)?;
    terminal::line(summary(&report));
    if let (0, Some(only)) = (report.taken, args.selection.only) {
        terminal::line(format_args!("nothing to run: no trial is {}", only.name()));
    }
    if report.interrupted {
        return Ok(exit::interrupted());
    }
    let has_results = report.done + report.diverged + report.skipped + report.reused > 0;
    if has_results && !args.no_figures && !args.worker {
        draw(&experiment, &args.experiment.results, &args.plots.folder(&args.experiment.results))?;
    }
    Ok(if report.exit_code() == 0 { ExitCode::SUCCESS } else { exit::some_trials_failed() })
}

/// One line: what this run did, and where it is.
fn summary(report: &RunReport) -> String {
    let counts = [
        (report.done, "done"),
        (report.diverged, "diverged"),
        (report.failed.len(), "failed"),
        (report.skipped, "finished before"),
        (report.reused, "taken from other experiments"),
        (report.elsewhere, "finished by other workers"),
        (report.left, "left open"),
    ];
    let mut parts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if report.interrupted {
        parts.push("interrupted".to_string());
    }
    let parts = if parts.is_empty() { "no trials".to_string() } else { parts.join(", ") };
    format!("{parts}; results in {}", report.folder.display())
}

/// Reads "500ms", "60s", "2m" or "1h".
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("write a number and a unit: ms, s, m or h, as in 60s".to_string()),
    };
    let number: f64 = number.parse().map_err(|_| format!("`{number}` is not a number"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_needs_a_number_and_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        for wrong in ["60", "s", "1 s", "1d", "-1s", "1.2.3s", "99999999999999999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_summary_names_what_happened_and_leaves_out_what_did_not() {
        let mut report = RunReport { folder: "results/a/mini".into(), done: 3, ..RunReport::default() };
        assert_eq!(summary(&report), "3 done; results in results/a/mini");
        report.failed.push(("0123".to_string(), "no memory".to_string()));
        report.interrupted = true;
        report.left = 4;
        assert_eq!(summary(&report), "3 done, 1 failed, 4 left open, interrupted; results in results/a/mini");
        report = RunReport { folder: "r".into(), ..RunReport::default() };
        assert_eq!(summary(&report), "no trials; results in r");
    }
}
