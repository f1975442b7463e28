//! `delora bench`: what a training step costs, in banks and beside PEFT.

use std::path::PathBuf;

use anyhow::{Context, Result};
use bench::Options;

use super::devices::DevicesArgs;
use super::plots::PlotsArgs;

#[derive(clap::Args)]
pub struct Args {
    /// Measure a few of the cases, once each: to see whether all works
    #[arg(long)]
    quick: bool,
    /// Folder of all results
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    #[command(flatten)]
    plots: PlotsArgs,
    #[command(flatten)]
    devices: DevicesArgs,
}

pub fn run(args: &Args, cuda: &device::Cuda) -> Result<()> {
    args.devices.choose("mini", cuda)?;
    let root = std::env::current_dir().context("the folder that `delora` was started in cannot be read")?;
    let options = Options { root: &root, device: device::here(), is_quick: args.quick };
    let (limits, lines) = bench::run(&options, &|what| terminal::notice(what))?;
    let folder = args.results.join("bench");
    bench::write(&folder, &limits, &lines)?;
    for limit in limits.lines() {
        terminal::line(format_args!("{:45} {:8.1} {}", limit.what, limit.value, limit.unit));
    }
    for ratio in bench::ratios(&lines) {
        terminal::line(format_args!("{:70} {:6.2}", ratio.what, ratio.ratio));
    }
    for cost in bench::costs(&lines) {
        terminal::line(format_args!(
            "a step of a bank, {}: {:.1} ms + {:.1} ms for each trial, within {:.0} %",
            cost.method,
            cost.fixed,
            cost.per_trial,
            100.0 * cost.worst
        ));
    }
    terminal::line(format_args!("tables in {}", folder.display()));
    let plots = args.plots.folder(&args.results).join("bench");
    for file in figures::render_cost(&folder.join("steps.csv"), &plots)? {
        terminal::line(file.display());
    }
    Ok(())
}
