//! `delora merge`: the results of one experiment out of several folders.

use std::path::PathBuf;

use anyhow::bail;

use super::experiment::ExperimentArgs;
use crate::tasks::workload;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// Folders of results to take from, as --results named them where they were made
    #[arg(required = true, value_name = "DIR")]
    from: Vec<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let ExperimentArgs { results, .. } = &args.experiment;
    let experiment = args.experiment.load()?;
    let workload = workload(&experiment.task)?;
    let merged = runner::merge(&experiment, workload.as_ref(), results, &args.from)?;
    merged.refused.iter().for_each(terminal::notice);
    for (file, difference) in &merged.conflicts {
        let runner::Difference { trial, what, left, right } = difference;
        terminal::notice(format_args!("{}: trial {trial}: {what} is {right}, here {left}", file.display()));
    }
    if let Some(odd) = runner::rebuild(&experiment, workload.as_ref(), results)? {
        terminal::notice(odd);
    }
    terminal::line(format_args!("{} trials taken, {} were there", merged.taken, merged.known));
    if !merged.conflicts.is_empty() {
        bail!("trials of one identity have other numbers, see above; those in {} stay", results.display());
    }
    Ok(())
}
