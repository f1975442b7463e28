//! Runs an experiment with the toy workload: `toy <experiment.toml> <results folder> [key=value …]`.
//!
//! It is a complete driver of the runner, small enough to be killed and resumed many times by a test.
//!
//! | key             | default | |
//! |-----------------|---------|---|
//! | `pause_ms`      | 0       | time that each step of a bank takes |
//! | `workers`       | 2       | banks side by side |
//! | `checkpoint_ms` | 0       | time between two checkpoints |
//! | `worker`        | 0       | 1: be one of any number of workers |
//! | `lease_ms`      | 60000   | silence after which a worker counts as gone |
//! | `hold`          | none    | a file that the first bank waits for |
//! | `trials`        | all     | ids, separated by commas |
//! | `only`          | none    | `status`: says what is finished, and runs nothing |
//! | `log`           | none    | file that gets the id of each trial whenever it is run |

mod workload;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use runner::{Experiment, RunOptions, Selection, plan, run, status};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().context("usage: toy <experiment.toml> <results folder> [key=value …]");
    let (file, results_dir) = (PathBuf::from(next()?), PathBuf::from(next()?));
    let split = |argument: String| {
        let (key, value) = argument.split_once('=').context("options are key=value")?;
        Ok((key.to_string(), value.to_string()))
    };
    let options: BTreeMap<String, String> = arguments.map(split).collect::<Result<_>>()?;
    let number = |key: &str, default: u64| {
        options
            .get(key)
            .map_or(Ok(default), |value| value.parse())
            .with_context(|| format!("{key} is a number"))
    };
    let toy = workload::Toy {
        pause: Duration::from_millis(number("pause_ms", 0)?),
        workers: number("workers", 2)? as usize,
        log: options.get("log").map(PathBuf::from),
        hold: options.get("hold").map(PathBuf::from),
        ..workload::Toy::default()
    };
    let experiment = Experiment::load(&file, "mini", &[])?;
    let trials = options.get("trials").map(|ids| ids.split(',').map(String::from).collect());
    let worker = number("worker", 0)? == 1;
    let selection =
        Selection { trials: trials.unwrap_or_default(), leaves_failed: worker, ..Selection::default() };
    if options.get("only").is_some_and(|only| only == "status") {
        print!("{}", status(&experiment, &toy, &results_dir)?);
        return Ok(());
    }
    if !worker {
        print!("{}", plan(&experiment, &toy, &results_dir, &selection)?);
    }
    let run_options = RunOptions {
        results_dir,
        selection,
        max_failures: None,
        checkpoint_every: Duration::from_millis(number("checkpoint_ms", 0)?),
        save_adapters: false,
        worker,
        lease: Duration::from_millis(number("lease_ms", 60_000)?),
        quiet: false,
    };
    let report = run(&experiment, &toy, &run_options)?;
    println!("{} done, {} diverged, {} skipped", report.done, report.diverged, report.skipped);
    if let (true, Some((first, last))) = (worker, toy.busy.get()) {
        let (whole, paused) = ((last - first).as_secs_f64(), toy.paused.get().as_secs_f64());
        println!("from the first bank to the last {whole:.3} s, of which trials paused {paused:.3} s");
    }
    std::process::exit(report.exit_code())
}
