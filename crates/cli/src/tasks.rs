//! Which driver runs which task.

use anyhow::bail;
use llama_it::Instruct;
use roberta_glue::{Glue, TextClassification};
use runner::Workload;
use sd_driver::{SemanticMap, SubjectDriven};
use vit_classify::ImageClassification;

use crate::libtorch;

fn known(libtorch: &str) -> [Box<dyn Workload>; 6] {
    [
        Box::new(SubjectDriven::new(libtorch.to_string())),
        Box::new(SemanticMap::new(libtorch.to_string())),
        Box::new(Glue::new(libtorch.to_string())),
        Box::new(TextClassification::new(libtorch.to_string())),
        Box::new(Instruct::new(libtorch.to_string())),
        Box::new(ImageClassification::new(libtorch.to_string())),
    ]
}

/// Whether a key of an experiment file is a setting that names files or folders, in whatever table it stands.
pub fn is_path(key: &str) -> bool {
    let is =
        |path: &&str| key.strip_suffix(*path).is_some_and(|above| above.is_empty() || above.ends_with('.'));
    known("").iter().any(|workload| workload.paths().iter().any(is))
}

/// The workload whose task an experiment file names.
pub fn workload(task: &str) -> anyhow::Result<Box<dyn Workload>> {
    let libtorch =
        device::libtorch_folder().and_then(|folder| libtorch::version(&folder)).unwrap_or_default();
    let known = known(&libtorch);
    let names: Vec<String> = known.iter().map(|workload| format!("`{}`", workload.task())).collect();
    match known.into_iter().find(|workload| workload.task() == task) {
        Some(workload) => Ok(workload),
        None => bail!("task `{task}` is not known; known are {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_found_by_name_and_an_unknown_one_lists_the_known() {
        assert_eq!(workload("subject-driven").unwrap().task(), "subject-driven");
        let error = workload("subject_driven").err().unwrap().to_string();
        assert!(error.contains("`subject_driven`") && error.contains("`subject-driven`"), "{error}");
    }

    #[test]
    fn every_setting_of_an_experiment_that_names_what_is_there_or_is_fetched_is_a_path() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut count = 0;
        for file in std::fs::read_dir(root.join("experiments")).unwrap().map(|entry| entry.unwrap().path()) {
            for scale in ["smoke", "mini", "small", "paper"] {
                let Ok(experiment) = runner::Experiment::load(&file, scale, &[]) else { continue };
                for (key, texts) in experiment.texts() {
                    let is_fetched =
                        |text: &&str| ["models/", "data/"].iter().any(|root| text.starts_with(root));
                    let is_there = |text: &&str| text.contains('/') && root.join(text).exists();
                    if texts.iter().any(|text| is_fetched(text) || is_there(text)) {
                        assert!(is_path(&key), "{}: {key} = {texts:?}", file.display());
                        count += 1;
                    }
                }
            }
        }
        assert!(count > 50, "{count}");
        assert!(is_path("fixed.data") && is_path("glue_task.cola.model") && is_path("subject.folder"));
        assert!(!is_path("metadata") && !is_path("subject.class") && !is_path("method.lora.rank"));
    }

    #[test]
    fn the_results_know_tasks_and_methods_by_the_names_of_drivers_and_core() {
        let spaced = |label: &String| label.replace('_', " ");
        for (drawn, run) in results::glue::TASKS.iter().zip(roberta_glue::tasks::TASKS.iter()) {
            assert_eq!((drawn.name, drawn.title), (run.name.as_str(), run.title.as_str()));
            let labels: Vec<String> = run.label_names.iter().map(spaced).collect();
            assert_eq!(drawn.labels, labels, "{}", run.name);
        }
        assert_eq!(results::glue::TASKS.len(), roberta_glue::tasks::TASKS.len());
        for workload in known("") {
            assert!(results::Task::named(workload.task()).is_some(), "{}", workload.task());
        }
        for method in delora_core::METHODS {
            assert_eq!(results::title(method.about.name), method.about.title, "older and newer results");
        }
    }

    #[test]
    fn the_mini_world_speaks_the_protocol_word_for_word() {
        for (class, live) in [("can", false), ("cat", true)] {
            for identifier in ["", "qwe"] {
                let protocol = sd_driver::protocol_prompts(class, identifier, live);
                assert_eq!(miniworld::prompts(class, identifier, live), protocol);
            }
        }
    }
}
