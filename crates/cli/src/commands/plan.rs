//! `delora plan`: what a run would do.

use super::experiment::ExperimentArgs;
use super::selection::SelectionArgs;
use crate::tasks::workload;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    experiment: ExperimentArgs,
    #[command(flatten)]
    selection: SelectionArgs,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let experiment = args.experiment.load()?;
    let workload = workload(&experiment.task)?;
    let selection = args.selection.selection();
    terminal::print(runner::plan(&experiment, workload.as_ref(), &args.experiment.results, &selection)?);
    Ok(())
}
