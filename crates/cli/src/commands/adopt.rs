//! `delora adopt`: finished trials of committed tables, back into the ledger.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use runner::Experiment;

use super::confirmatory::of_design;
use crate::tasks::workload;

#[derive(clap::Args)]
pub struct Args {
    /// Folders of results with a `trials.csv`, as in results/table1/mini or results/table1/mini-design1
    #[arg(required = true, value_name = "RESULTS/EXPERIMENT/SCALE")]
    folders: Vec<PathBuf>,
    /// Folder of the experiment files
    #[arg(long, value_name = "DIR", default_value = "experiments")]
    experiments: PathBuf,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    for folder in &args.folders {
        let (results, experiment) = of_folder(folder, &args.experiments)?;
        let workload = workload(&experiment.task)?;
        let adopted = runner::adopt(&experiment, workload.as_ref(), &results)?;
        terminal::line(format_args!(
            "{}: {} trials taken, {} were there, {} failed ones left to be run",
            folder.display(),
            adopted.taken,
            adopted.known,
            adopted.failed
        ));
        if adopted.without_curves > 0 {
            terminal::line(format_args!(
                "{} of those taken have no curves: curves.csv has none",
                adopted.without_curves
            ));
        }
        if adopted.foreign > 0 {
            terminal::notice(format_args!(
                "{}: {} rows are of no trial of {}, as it and its files are now; they were left",
                folder.display(),
                adopted.foreign,
                experiment.path().display()
            ));
        }
    }
    Ok(())
}

/// The folder of all results, and the experiment whose results lie in `folder`.
fn of_folder(folder: &Path, experiments: &Path) -> anyhow::Result<(PathBuf, Experiment)> {
    let whole = std::path::absolute(folder).with_context(|| format!("cannot find {}", folder.display()))?;
    let name = |path: Option<&Path>| Some(path?.file_name()?.to_string_lossy().into_owned());
    let (Some(scale), Some(experiment)) = (name(Some(&whole)), name(whole.parent())) else {
        bail!("{} is no folder of results; name one as in results/table1/mini", folder.display());
    };
    let results = whole.parent().and_then(Path::parent).unwrap_or(Path::new("/")).to_path_buf();
    let file = experiments.join(format!("{experiment}.toml"));
    let experiment = match of_design(&file, &whole, &scale)? {
        Some(experiment) => experiment,
        None => Experiment::load(&file, &scale, &[])?,
    };
    Ok((results, experiment))
}
