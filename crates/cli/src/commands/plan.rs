//! `delora plan`: what a run would do, here or on a GPU that is elsewhere.

use clap::builder::PossibleValuesParser;
use device::{Cuda, GPUS, Gpu};

use super::devices::DevicesArgs;
use super::experiment::ExperimentArgs;
use super::selection::SelectionArgs;
use crate::tasks::workload;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    experiment: ExperimentArgs,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    devices: DevicesArgs,
    /// Plan for one such GPU, which need not be here: memory, banks and hours are predicted from its data sheet
    #[arg(long, value_name = "GPU", conflicts_with = "devices", value_parser = PossibleValuesParser::new(GPUS.map(|gpu| gpu.name)))]
    device: Option<String>,
}

impl Args {
    /// The GPU that is to be planned for.
    pub fn gpu(&self) -> Option<&'static Gpu> {
        self.device.as_deref().and_then(Gpu::find)
    }
}

pub fn run(args: &Args, cuda: &Cuda) -> anyhow::Result<()> {
    let experiment = args.experiment.load()?;
    // What a run at this scale would need may be asked anywhere.
    args.devices.choose("", cuda)?;
    let workload = workload(&experiment.task)?;
    let selection = args.selection.selection();
    let plan = runner::plan(&experiment, workload.as_ref(), &args.experiment.results, &selection)?;
    terminal::print(&plan);
    let Some(gpu) = args.gpu() else { return Ok(()) };
    match plan.seconds {
        Some(seconds) => terminal::line(format_args!("GPU hours: {:.3}", seconds / 3600.0)),
        None if plan.banks.is_empty() => {}
        None => terminal::line(format_args!(
            "a trial alone needs more than the {} GB of this GPU, or could not be tried",
            gpu.memory
        )),
    }
    terminal::line(gpu.prediction());
    Ok(())
}
