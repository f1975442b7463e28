//! The arguments that name an experiment, for all subcommands that take one.

use std::ffi::OsString;
use std::path::PathBuf;

use runner::Experiment;

use super::folders::Folders;

#[derive(clap::Args)]
pub struct ExperimentArgs {
    /// Experiment file, as in experiments/table1.toml
    file: PathBuf,
    /// Which [scale.<name>] table of the file to use
    #[arg(long, value_name = "NAME", default_value = "mini")]
    scale: String,
    /// Override a setting, as in --set train_steps=100 or --set seeds=0,1,2; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    #[command(flatten)]
    folders: Folders,
    /// Folder of all results
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
}

impl ExperimentArgs {
    pub fn load(&self) -> anyhow::Result<Experiment> {
        let experiment = Experiment::load(&self.file, &self.scale, &self.sets)?;
        let sets = self.folders.sets(&experiment)?;
        if sets.is_empty() {
            return Ok(experiment);
        }
        Ok(Experiment::load(&self.file, &self.scale, &[&self.sets[..], &sets].concat())?)
    }

    /// The same arguments as they are written, without the folder of results.
    pub fn written(&self) -> Vec<OsString> {
        let sets = self.sets.iter().flat_map(|set| ["--set".into(), set.into()]);
        let scale = ["--scale".into(), self.scale.as_str().into()];
        let file = std::iter::once(self.file.as_os_str().to_owned());
        file.chain(scale).chain(sets).chain(self.folders.written()).collect()
    }
}
