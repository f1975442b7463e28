//! The arguments that name an experiment, for all subcommands that take one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::bail;
use runner::Experiment;

use super::confirmatory::of_design;
use super::fetch;
use super::folders::Folders;
use crate::tasks::is_path;

#[derive(clap::Args)]
pub struct ExperimentArgs {
    /// Experiment file, as in experiments/table1.toml
    file: PathBuf,
    /// Which `[scale.NAME]` table of the file to use
    #[arg(long, value_name = "NAME", default_value = "mini")]
    scale: String,
    /// Override a setting, as in --set train_steps=100 or --set seeds=0,1,2; may be repeated
    ///
    /// Commas make a list, but not in a setting that names a file or folder: its value is one path, as it is written. Several
    /// are written as --set 'model=["a", "b"]', and any other text that has commas or looks like a number in quotes:
    /// --set 'subject.class="7, up"'.
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
        let mut sets: Vec<String> = self.sets.iter().map(|set| quoted_path(set)).collect();
        let mut experiment = Experiment::load(&self.file, &self.scale, &sets)?;
        let folders = self.folders.sets(&experiment)?;
        if !folders.is_empty() {
            sets.extend(folders);
            experiment = Experiment::load(&self.file, &self.scale, &sets)?;
        }
        Ok(experiment.with_remedy(fetch::remedy))
    }

    /// The experiment whose results are to be shown: `--scale mini-design1` names those of a design.
    pub fn load_shown(&self) -> anyhow::Result<Experiment> {
        let name = self.file.file_stem().unwrap_or_default();
        let of_design = of_design(&self.file, &self.results.join(name).join(&self.scale), &self.scale)?;
        match of_design {
            Some(_) if !self.sets.is_empty() => {
                bail!("--set: {} are the results of a design, which has its own settings", self.scale)
            }
            Some(experiment) => Ok(experiment),
            None => self.load(),
        }
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The same arguments as they are written, without the folder of results.
    pub fn written(&self) -> Vec<OsString> {
        let sets = self.sets.iter().flat_map(|set| ["--set".into(), set.into()]);
        let scale = ["--scale".into(), self.scale.as_str().into()];
        let file = std::iter::once(self.file.as_os_str().to_owned());
        file.chain(scale).chain(sets).chain(self.folders.written()).collect()
    }
}

/// A `--set` of a setting that names a file or folder, with its value in quotes, so that commas, spaces and digits are
/// parts of the name. Any other, or one whose value is written as a text or a list already, as it is.
fn quoted_path(set: &str) -> String {
    let Some((key, value)) = set.split_once('=').map(|(key, value)| (key.trim(), value.trim())) else {
        return set.to_string();
    };
    let written_out = || {
        let table: Option<toml::Table> = format!("value = {value}").parse().ok();
        table.is_some_and(|table| table.len() == 1 && (table["value"].is_str() || table["value"].is_array()))
    };
    if value.is_empty() || !is_path(key) || written_out() {
        return set.to_string();
    }
    format!("{key}={}", toml::Value::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_a_path_setting_is_one_text_and_that_of_any_other_is_as_it_is_written() {
        for (given, value) in [
            ("my dogs, 2024", "my dogs, 2024"),
            ("2024", "2024"),
            ("1e3", "1e3"),
            ("true", "true"),
            ("2024-01-31", "2024-01-31"),
            ("it's \"mine\"", "it's \"mine\""),
            ("[old] dogs", "[old] dogs"),
            ("dogs #2", "dogs #2"),
            ("2024 # dogs", "2024 # dogs"),
            (r"back\slash", r"back\slash"),
            ("a=b", "a=b"),
        ] {
            let set = quoted_path(&format!("data={given}"));
            let table: toml::Table = set.parse().unwrap();
            assert_eq!(table["data"].as_str(), Some(value), "{given}: {set}");
        }
        for as_it_is in [
            "data=\"my dogs, 2024\"",
            "model=['a', 'b']",
            "seeds=0,1",
            "subject.class=2024",
            "data=",
            "data",
            "method.lora.rank=2",
        ] {
            assert_eq!(quoted_path(as_it_is), as_it_is);
        }
    }
}
