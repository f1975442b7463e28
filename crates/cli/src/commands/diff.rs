//! `delora diff`: what two trials do not have in common.

use super::experiment::ExperimentArgs;
use crate::tasks::workload;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// The trials' ids, or beginnings of them
    #[arg(num_args = 2, value_names = ["ID", "ID"], required = true)]
    trials: Vec<String>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let experiment = args.experiment.load()?;
    let workload = workload(&experiment.task)?;
    let explain = |id: &String| runner::explain(&experiment, workload.as_ref(), &args.experiment.results, id);
    let [left, right] = [explain(&args.trials[0])?, explain(&args.trials[1])?];
    for (key, here, there) in left.differences(&right) {
        let note = if left.parts.contains_key(key) || right.parts.contains_key(key) {
            ""
        } else {
            " (in no identity)"
        };
        terminal::print(format_args!("{key}: {here} | {there}{note}\n"));
    }
    Ok(())
}
