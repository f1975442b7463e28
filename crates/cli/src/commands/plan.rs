//! `delora plan`: what a run would do.

use super::experiment::ExperimentArgs;
use crate::tasks::workload;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    experiment: ExperimentArgs,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let experiment = args.experiment.load()?;
    let plan = runner::plan(&experiment, workload(&experiment.task)?.as_ref(), &args.experiment.results)?;
    print!("{plan}");
    Ok(())
}
