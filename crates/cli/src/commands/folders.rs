//! `--models` and `--data`: other folders than those where experiment files have models and data.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::bail;
use runner::Experiment;

#[derive(clap::Args)]
pub struct Folders {
    /// Folder that stands for `models` in the experiment's settings, as in `model = "models/stable-diffusion-v1-5"`
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Folder that stands for `data` in the experiment's settings, as in `data = "data/dreambooth/dataset"`
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Folders {
    fn given(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let given = [("models", self.models.as_deref()), ("data", self.data.as_deref())];
        given.into_iter().filter_map(|(root, folder)| Some((root, folder?)))
    }

    /// The `--set` options that the given folders stand for. All that they name must be there.
    pub fn sets(&self, experiment: &Experiment) -> anyhow::Result<Vec<String>> {
        let mut sets = Vec::new();
        for (root, folder) in self.given() {
            if !folder.is_dir() {
                bail!("--{root} {}: there is no such folder", folder.display());
            }
            let before = sets.len();
            let mut absent = Vec::new();
            for (key, texts) in experiment.texts() {
                if !texts.iter().any(|text| below(text, root).is_some()) {
                    continue;
                }
                let mut values = Vec::new();
                for text in &texts {
                    let Some(rest) = below(text, root) else {
                        values.push(toml::Value::from(*text));
                        continue;
                    };
                    let path = if rest.is_empty() { folder.to_path_buf() } else { folder.join(rest) };
                    if !path.exists() {
                        absent.push(format!("{} (`{key}`)", path.display()));
                    }
                    let Some(path) = path.to_str() else {
                        bail!("--{root} {}: its name is not UTF-8", folder.display());
                    };
                    values.push(toml::Value::from(path));
                }
                let value = if texts.len() == 1 { values.remove(0) } else { values.into() };
                sets.push(format!("{key}={value}"));
            }
            let (name, scale) = (&experiment.name, &experiment.scale);
            if sets.len() == before {
                bail!("--{root}: {name} at scale {scale} takes nothing from `{root}/`; leave the option out");
            }
            if !absent.is_empty() {
                bail!(
                    "--{root} {}: there is no {}; `delora fetch {name} --scale {scale} --list` says what belongs there",
                    folder.display(),
                    absent.join(" and no "),
                );
            }
        }
        Ok(sets)
    }

    /// The same options as they are written.
    pub fn written(&self) -> Vec<OsString> {
        self.given().flat_map(|(root, folder)| [format!("--{root}").into(), folder.into()]).collect()
    }
}

/// What follows the folder `root` in a setting that names it or something in it.
pub fn below<'a>(text: &'a str, root: &str) -> Option<&'a str> {
    match text.strip_prefix(root)? {
        "" => Some(""),
        rest => rest.strip_prefix('/'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
        name = 'walk'\nquestion = '?'\ntask = 'toy'\nmetric = 'score'\ndirection = 'maximize'\n\
        [fixed]\nmodel = 'models/sd'\nevaluators = { dino = 'models/dino', clip = 'assets/clip' }\ndata = 'data'\n\
        [scientific]\nmethod = ['plain']\nencoder = ['models/a', 'assets/b', 'modelsx/c']\n[scale.mini]\n";

    fn sets(folders: &Folders) -> Result<Vec<String>, String> {
        let experiment = Experiment::parse(Path::new("walk.toml"), FILE, "mini", &[]).unwrap();
        folders.sets(&experiment).map_err(|error| error.to_string())
    }

    #[test]
    fn every_setting_below_the_folder_moves_and_no_other() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("it's, mine");
        let folders = Folders { models: Some(folder.clone()), data: None };
        let message = sets(&folders).unwrap_err();
        assert!(message.ends_with("it's, mine: there is no such folder"), "{message}");
        std::fs::create_dir_all(folder.join("sd")).unwrap();
        let message = sets(&folders).unwrap_err();
        let (dino, a) = (folder.join("dino"), folder.join("a"));
        let absent =
            format!("there is no {} (`evaluators.dino`) and no {} (`encoder`);", dino.display(), a.display());
        assert!(
            message.contains(&absent) && message.contains("delora fetch walk --scale mini --list"),
            "{message}"
        );
        std::fs::create_dir(&dino).unwrap();
        std::fs::create_dir(&a).unwrap();

        let experiment =
            Experiment::parse(Path::new("walk.toml"), FILE, "mini", &sets(&folders).unwrap()).unwrap();
        let texts = experiment.texts();
        let text = |key: &str| texts.iter().find(|(found, _)| found == key).unwrap().1.clone();
        assert_eq!(text("model"), [folder.join("sd").to_str().unwrap()]);
        assert_eq!(text("evaluators.dino"), [dino.to_str().unwrap()]);
        assert_eq!(text("evaluators.clip"), ["assets/clip"]);
        assert_eq!(text("encoder"), [a.to_str().unwrap(), "assets/b", "modelsx/c"]);
        assert_eq!(text("data"), ["data"]);
        let folders = Folders { models: None, data: Some(folder.clone()) };
        assert_eq!(sets(&folders).unwrap(), [format!("data={:?}", folder.to_str().unwrap())]);
        assert_eq!(folders.written(), [OsString::from("--data"), folder.into()]);
    }

    #[test]
    fn a_folder_that_nothing_is_taken_from_is_an_error() {
        let file = FILE.replace("'data'", "'assets/data'");
        let experiment = Experiment::parse(Path::new("walk.toml"), &file, "mini", &[]).unwrap();
        let folders = Folders { models: None, data: Some(std::env::temp_dir()) };
        let message = folders.sets(&experiment).unwrap_err().to_string();
        assert_eq!(message, "--data: walk at scale mini takes nothing from `data/`; leave the option out");
    }
}
