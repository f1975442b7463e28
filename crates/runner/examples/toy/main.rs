//! Runs an experiment with the toy workload: `toy <experiment.toml> <results folder> <milliseconds per step>`.
//!
//! It is a complete driver of the runner, small enough to be killed and resumed many times by a test. Two banks run side by side.

mod workload;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use runner::{Experiment, RunOptions, plan, run};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().context("usage: toy <experiment.toml> <results folder> <ms per step>");
    let (file, results_dir) = (PathBuf::from(next()?), PathBuf::from(next()?));
    let pause = Duration::from_millis(next()?.parse().context("milliseconds per step are a number")?);
    let toy = workload::Toy { pause, workers: 2, ..workload::Toy::default() };
    let experiment = Experiment::load(&file, "mini", &[])?;
    print!("{}", plan(&experiment, &toy, &results_dir)?);
    let options = RunOptions {
        results_dir,
        fail_fast: false,
        checkpoint_every: Duration::ZERO,
        save_adapters: false,
        quiet: false,
    };
    let report = run(&experiment, &toy, &options)?;
    println!("{} done, {} diverged, {} skipped", report.done, report.diverged, report.skipped);
    std::process::exit(report.exit_code())
}
