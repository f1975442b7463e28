//! `delora plan`: what a run would do.

use super::devices::DevicesArgs;
use super::experiment::ExperimentArgs;
use super::selection::SelectionArgs;
use crate::cuda::Cuda;
use crate::tasks::workload;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    experiment: ExperimentArgs,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    devices: DevicesArgs,
}

pub fn run(args: &Args, cuda: &Cuda) -> anyhow::Result<()> {
    let experiment = args.experiment.load()?;
    // What a run at this scale would need may be asked anywhere.
    args.devices.choose("", cuda)?;
    let workload = workload(&experiment.task)?;
    let selection = args.selection.selection();
    terminal::print(runner::plan(&experiment, workload.as_ref(), &args.experiment.results, &selection)?);
    Ok(())
}
