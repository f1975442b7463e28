//! `delora cancel`: takes back what `delora submit` gave to an engine.

use super::experiment::ExperimentArgs;
use super::submit::jobs_folder;
use crate::engines::{by_engine, submitted};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    experiment: ExperimentArgs,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let experiment = args.experiment.load()?;
    let folder = jobs_folder(&experiment, &args.experiment.results)?;
    let jobs = submitted(&folder)?;
    if jobs.is_empty() {
        terminal::line(format_args!("nothing was submitted: there are no jobs in {}", folder.display()));
    }
    for (engine, jobs) in by_engine(&jobs) {
        engine.cancel(&jobs)?;
        let ids: Vec<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
        terminal::line(format_args!("{} jobs {}: cancelled", engine.name(), ids.join(", ")));
    }
    Ok(())
}
