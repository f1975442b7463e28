//! Which driver runs which task.

use anyhow::bail;
use llama_it::Instruct;
use roberta_glue::Glue;
use runner::Workload;
use sd_driver::{SemanticMap, SubjectDriven};

use crate::libtorch;

/// The workload whose task an experiment file names.
pub fn workload(task: &str) -> anyhow::Result<Box<dyn Workload>> {
    let libtorch = libtorch::folder().and_then(|folder| libtorch::version(&folder)).unwrap_or_default();
    let known: [Box<dyn Workload>; 4] = [
        Box::new(SubjectDriven::new(libtorch.clone())),
        Box::new(SemanticMap::new(libtorch.clone())),
        Box::new(Glue::new(libtorch.clone())),
        Box::new(Instruct::new(libtorch)),
    ];
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
    fn the_figures_know_the_tasks_of_glue_as_the_driver_does() {
        let spaced = |label: &&str| label.replace('_', " ");
        for (drawn, run) in figures::glue::TASKS.iter().zip(&roberta_glue::tasks::TASKS) {
            assert_eq!((drawn.name, drawn.title), (run.name, run.title));
            let labels: Vec<String> = run.label_names.iter().map(spaced).collect();
            assert_eq!(drawn.labels, labels, "{}", run.name);
        }
        assert_eq!(figures::glue::TASKS.len(), roberta_glue::tasks::TASKS.len());
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
