//! The list of tasks: what trials of a task are trained on, and what they are measured by.
//!
//! A new task is an entry of [`TASKS`]. `trials.csv` names the task of its trials in the column `task`.

use crate::frame::Frame;
use crate::methods::{NONE, REAL_IMAGES};

/// The column with a trial's task of GLUE.
pub(crate) const GLUE_TASK: &str = "config.glue_task";
/// The metric that is the plain mean over all of MMLU's subjects.
pub(crate) const MMLU: &str = "mmlu";

/// A task.
#[derive(Debug)]
pub struct Task {
    /// The value of `task` in experiment files and in `trials.csv`.
    pub name: &'static str,
    /// What one thing to train on is called.
    pub noun: &'static str,
    /// Columns of `trials.csv` that may name it, the first that is there counts; none where all train on the same.
    pub subjects: &'static [&'static str],
    /// Names of the scores that its tables show, in their order.
    pub scores: &'static [&'static str],
    /// Rows that bound all others, with their titles: no training, and where there are any real pictures.
    pub references: &'static [(&'static str, &'static str)],
    /// What is measured without training, in the middle of a sentence.
    pub untrained: &'static str,
    /// The title of an axis of its training loss.
    pub loss: &'static str,
}

const SUBJECTS: &[&str] = &["config.subject.name", "subject", "config.subject"];
const NO_FINETUNING: &str = "no finetuning";
const PICTURES: &[(&str, &str)] = &[(NONE, "No finetuning"), (REAL_IMAGES, "Real Images")];

/// All tasks.
pub const TASKS: [Task; 6] = [
    Task {
        name: "subject-driven",
        noun: "subject",
        subjects: SUBJECTS,
        scores: &["dino", "clip_i", "clip_t", "diversity"],
        references: PICTURES,
        untrained: NO_FINETUNING,
        loss: "loss (mean squared error)",
    },
    Task {
        name: "semantic-map",
        noun: "subject",
        subjects: &[],
        scores: &["miou", "accuracy", "fid"],
        references: PICTURES,
        untrained: NO_FINETUNING,
        loss: "loss (mean squared error)",
    },
    Task {
        name: "glue",
        noun: "task",
        subjects: &[GLUE_TASK],
        scores: &["score"],
        references: &[(NONE, "Head only")],
        untrained: "the head alone",
        loss: "loss (cross-entropy, for STS-B squared error)",
    },
    Task {
        name: "text-classification",
        noun: "subject",
        subjects: &[],
        scores: &["score"],
        references: &[(NONE, "Head only")],
        untrained: "the head alone",
        loss: "loss (cross-entropy, or squared error)",
    },
    Task {
        name: "instruct",
        noun: "subject",
        subjects: &[],
        scores: &["mmlu", "arc", "mc1", "mc2", "average"],
        references: &[(NONE, "No finetuning")],
        untrained: NO_FINETUNING,
        loss: "loss (cross-entropy)",
    },
    Task {
        name: "image-classification",
        noun: "subject",
        subjects: &[],
        scores: &["score"],
        references: &[(NONE, "Head only")],
        untrained: "the head alone",
        loss: "loss (cross-entropy)",
    },
];

/// A task that the list does not have: read as one with subjects, where it has any.
static UNLISTED: Task = Task {
    name: "",
    noun: "subject",
    subjects: SUBJECTS,
    scores: &[],
    references: PICTURES,
    untrained: NO_FINETUNING,
    loss: "loss",
};

impl Task {
    /// The task of a table of trials.
    pub(crate) fn of(trials: &Frame) -> &'static Self {
        match trials.has("task") && !trials.is_empty() {
            true => Self::named(trials.text(0, "task")).unwrap_or(&UNLISTED),
            false => Self::of_older(trials),
        }
    }

    /// A task of the list by its name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TASKS.iter().find(|task| task.name == name)
    }

    /// The title of one of its reference rows.
    pub fn reference(&self, method: &str) -> Option<&'static str> {
        self.references.iter().find(|(name, _)| *name == method).map(|(_, title)| *title)
    }

    /// The reading of tables from before the runner wrote `task`: each task had a column that no other has.
    fn of_older(trials: &Frame) -> &'static Self {
        let marks = [(GLUE_TASK, "glue"), (MMLU, "instruct"), ("miou", "semantic-map")];
        let found = marks.iter().find(|(column, _)| trials.has(column));
        found.and_then(|(_, name)| Self::named(name)).unwrap_or(&TASKS[0])
    }
}

#[cfg(test)]
mod tests {
    use crate::metrics::metric;
    use crate::testing::trials;

    use super::*;

    #[test]
    fn scores_are_metrics() {
        for task in &TASKS {
            assert!(task.scores.iter().all(|name| metric(name).is_some()), "{}", task.name);
        }
    }

    #[test]
    fn the_column_names_the_task_and_older_tables_are_read_by_their_columns() {
        let task = |header: &str, row: &str| {
            trials(&format!("trial_id,status,method,seed,{header}\na,done,none,0,{row}\n")).task().name
        };
        assert_eq!(task("mmlu,task", "0.5,subject-driven"), "subject-driven", "whatever its columns");
        assert_eq!(task("mmlu,task", "0.5,my-own"), "");
        assert_eq!(task("config.glue_task", "rte"), "glue");
        assert_eq!(
            [task("mmlu", ""), task("miou", ""), task("dino", "")],
            ["instruct", "semantic-map", "subject-driven"]
        );
    }
}
