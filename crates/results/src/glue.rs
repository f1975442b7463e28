//! The tasks of GLUE: names, metrics and labels, in the order of the paper's Table 4.

use std::collections::BTreeSet;

use crate::error::{Result, ResultsError};
use crate::tasks::GLUE_TASK;
use crate::trials::Trials;

/// The column of `trials.csv` that names the task.
pub const COLUMN: &str = GLUE_TASK;
/// The metric that the paper reports for a task, as a fraction.
pub const SCORE: &str = "score";
/// What the score of most tasks is.
pub const ACCURACY: &str = "accuracy";

/// A task of GLUE.
#[derive(Debug)]
pub struct Task {
    /// The value of the setting `glue_task`.
    pub name: &'static str,
    /// The heading of its column in tables.
    pub title: &'static str,
    /// What its score is.
    pub metric: &'static str,
    /// Names of the labels by their number; none for a regression.
    pub labels: &'static [&'static str],
    /// Whether the paper has it, and its average counts it.
    pub in_paper: bool,
}

/// The tasks in the order of the paper's Table 4.
pub const TASKS: [Task; 9] = [
    task_of("mnli", "MNLI", ACCURACY, &["entailment", "neutral", "contradiction"]),
    task_of("sst2", "SST-2", ACCURACY, &["negative", "positive"]),
    task_of("mrpc", "MRPC", ACCURACY, &["not equivalent", "equivalent"]),
    task_of("cola", "CoLA", "Matthews’ correlation", &["unacceptable", "acceptable"]),
    task_of("qnli", "QNLI", ACCURACY, &["entailment", "not entailment"]),
    task_of("qqp", "QQP", ACCURACY, &["not duplicate", "duplicate"]),
    task_of("rte", "RTE", ACCURACY, &["entailment", "not entailment"]),
    task_of("stsb", "STS-B", "Pearson–Spearman mean", &[]),
    Task { in_paper: false, ..task_of("wnli", "WNLI", ACCURACY, &["not entailment", "entailment"]) },
];

const fn task_of(
    name: &'static str,
    title: &'static str,
    metric: &'static str,
    labels: &'static [&'static str],
) -> Task {
    Task { name, title, metric, labels, in_paper: true }
}

/// A task by its name.
pub fn task(name: &str) -> Option<&'static Task> {
    TASKS.iter().find(|task| task.name == name)
}

/// The tasks that were run, in the paper's order; an error names a task that is not GLUE's.
pub fn tasks_of(trials: &Trials) -> Result<Vec<&'static Task>> {
    trials.column(&[COLUMN])?;
    let run: BTreeSet<&str> = trials.all().iter().map(|trial| trial.subject.as_str()).collect();
    if let Some(stray) = run.iter().find(|name| task(name).is_none()) {
        return Err(ResultsError::UnknownTask {
            path: trials.path().to_path_buf(),
            task: (*stray).to_owned(),
            known: TASKS.each_ref().map(|task| format!("`{}`", task.name)).join(", "),
        });
    }
    Ok(TASKS.iter().filter(|task| run.contains(task.name)).collect())
}

/// The trials of one task.
pub fn of_task(trials: &Trials, task: &Task) -> Trials {
    trials.only(|trial| trial.subject == task.name)
}
