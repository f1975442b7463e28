//! Experiment files, as far as the report tells of them, and which of them have results.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{ReportError, Result};

/// What the page shows of an experiment file; the runner has checked the rest.
#[derive(Clone, Debug)]
pub struct Experiment {
    pub path: PathBuf,
    pub text: String,
    pub name: String,
    pub question: String,
    pub metric: String,
    pub paper: Vec<String>,
    /// Files that it includes, with their text.
    pub included: Vec<(PathBuf, String)>,
}

#[derive(Deserialize)]
struct Keys {
    name: String,
    question: String,
    metric: String,
    #[serde(default)]
    paper: Vec<String>,
    #[serde(default)]
    include: Vec<PathBuf>,
}

impl Experiment {
    pub fn read(path: &Path) -> Result<Self> {
        let text = results::read(path, "name an experiment file, as in experiments/table1.toml")?;
        let keys: Keys = toml::from_str(&text).map_err(|error| ReportError::Experiment {
            path: path.to_path_buf(),
            message: error.message().to_owned(),
        })?;
        let Keys { name, question, metric, paper, include } = keys;
        let folder = path.parent().unwrap_or(Path::new("."));
        let with_text = |file: PathBuf| {
            let file = folder.join(file);
            let text = results::read(&file, "the experiment includes it")?;
            Ok((file, text))
        };
        let included = include.into_iter().map(with_text).collect::<Result<_>>()?;
        Ok(Self { path: path.to_path_buf(), text, name, question, metric, paper, included })
    }

    /// Scales with results, the largest first: `paper`, `mini`, then others by name.
    pub fn scales(&self, results: &Path) -> Vec<String> {
        scales(results, &self.name)
    }
}

/// Scales of an experiment that have a `trials.csv`. A smoke run means nothing and is left out.
pub fn scales(results: &Path, experiment: &str) -> Vec<String> {
    let entries = std::fs::read_dir(results.join(experiment)).into_iter().flatten();
    let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let with_trials = folders.filter(|folder| folder.join("trials.csv").exists());
    let mut scales: Vec<String> =
        with_trials.filter_map(|folder| Some(folder.file_name()?.to_string_lossy().into_owned())).collect();
    scales.retain(|scale| scale != "smoke");
    let rank = |scale: &String| ["paper", "mini"].iter().position(|known| known == scale).unwrap_or(2);
    scales.sort_by(|left, right| (rank(left), left).cmp(&(rank(right), right)));
    scales
}

/// All experiment files of a folder that have results, by name. Other files that lie there are passed over.
pub fn with_results(folder: &Path, results: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<Experiment> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .filter_map(|path| Experiment::read(&path).ok())
        .filter(|experiment| !experiment.scales(results).is_empty())
        .collect();
    found.sort_by_key(|experiment| (experiment.paper.is_empty(), experiment.name.clone()));
    found.into_iter().map(|experiment| experiment.path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn experiments_with_results_are_found_and_other_files_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let (files, results) = (folder.path().join("experiments"), folder.path().join("results"));
        std::fs::create_dir(&files).unwrap();
        for name in ["a", "b", "c"] {
            let text = format!("name = \"{name}\"\nquestion = \"?\"\nmetric = \"dino\"\n");
            std::fs::write(files.join(format!("{name}.toml")), text).unwrap();
        }
        std::fs::write(files.join("paper.toml"), "[table1]\n").unwrap();
        for scale in ["a/x", "a/mini", "a/paper", "c/smoke"] {
            std::fs::create_dir_all(results.join(scale)).unwrap();
            std::fs::write(results.join(scale).join("trials.csv"), "").unwrap();
        }
        assert_eq!(with_results(&files, &results), [files.join("a.toml")]);
        assert_eq!(scales(&results, "a"), ["paper", "mini", "x"]);
        let message = Experiment::read(&files.join("paper.toml")).unwrap_err().to_string();
        assert!(message.contains("paper.toml` is not an experiment file"), "{message}");
    }
}
