//! Tasks on texts. The nine of GLUE have columns and labels as on the Hugging Face hub, splits and metrics as in the paper.

use std::sync::LazyLock;

use runner::SettingError;
use serde::{Deserialize, Serialize};

/// What a task is scored by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    #[default]
    Accuracy,
    /// Accuracy is the score; F1 of class 1 is reported beside it.
    AccuracyAndF1,
    /// Matthews correlation is the score; accuracy is reported beside it.
    Matthews,
    /// The mean of Pearson and Spearman correlation is the score; labels are numbers, of STS-B similarities from 0 to 5.
    Correlation,
}

/// A classification of texts, or a regression: one of GLUE's, or of a data set of one's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextTask {
    /// The name in `glue_task` and of the task's data folder; for data of one's own, the file to train on.
    pub name: String,
    /// As in the paper's table.
    pub title: String,
    /// The one or two columns with text.
    pub columns: Vec<String>,
    /// The column with the label.
    pub label: String,
    /// Names of the labels 0, 1, …; empty when the label is a number to be predicted.
    pub label_names: Vec<String>,
    /// The hub's name of the labelled split that is not for training.
    pub validation: &'static str,
    pub metric: Metric,
    /// Rows of the first part of the permuted validation set, where that is fewer than half of them.
    pub first_part_limit: Option<usize>,
    /// Whether that first part is the test half; the paper's code has it so for CoLA only.
    pub first_part_is_test: bool,
}

impl TextTask {
    /// A task as most are; `labels` are names of classes.
    pub fn new(name: &str, title: &str, columns: &[&str], labels: &[&str]) -> TextTask {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        TextTask {
            name: name.to_owned(),
            title: title.to_owned(),
            columns: owned(columns),
            label: "label".to_owned(),
            label_names: owned(labels),
            validation: "validation",
            metric: Metric::Accuracy,
            first_part_limit: None,
            first_part_is_test: false,
        }
    }

    /// Outputs of the head: classes, or 1 for regression.
    pub fn num_labels(&self) -> usize {
        self.label_names.len().max(1)
    }

    pub fn is_regression(&self) -> bool {
        self.metric == Metric::Correlation
    }
}

/// GLUE's tasks in the order of the paper's table; WNLI, which is not in it, comes last.
pub static TASKS: LazyLock<[TextTask; 9]> = LazyLock::new(|| {
    const PAIR: [&str; 2] = ["sentence1", "sentence2"];
    const ENTAILED: [&str; 2] = ["entailment", "not_entailment"];
    let new = TextTask::new;
    let first_part_limit = Some(1000);
    [
        TextTask {
            validation: "validation_matched",
            first_part_limit,
            ..new("mnli", "MNLI", &["premise", "hypothesis"], &["entailment", "neutral", "contradiction"])
        },
        new("sst2", "SST-2", &["sentence"], &["negative", "positive"]),
        TextTask {
            metric: Metric::AccuracyAndF1,
            ..new("mrpc", "MRPC", &PAIR, &["not_equivalent", "equivalent"])
        },
        TextTask {
            metric: Metric::Matthews,
            first_part_is_test: true,
            ..new("cola", "CoLA", &["sentence"], &["unacceptable", "acceptable"])
        },
        TextTask { first_part_limit, ..new("qnli", "QNLI", &["question", "sentence"], &ENTAILED) },
        TextTask {
            metric: Metric::AccuracyAndF1,
            first_part_limit,
            ..new("qqp", "QQP", &["question1", "question2"], &["not_duplicate", "duplicate"])
        },
        new("rte", "RTE", &PAIR, &ENTAILED),
        TextTask { metric: Metric::Correlation, ..new("stsb", "STS-B", &PAIR, &[]) },
        new("wnli", "WNLI", &PAIR, &["not_entailment", "entailment"]),
    ]
});

/// The task of this name; the error, under the key `glue_task`, names the closest one or lists all.
pub fn find(name: &str) -> Result<&'static TextTask, SettingError> {
    TASKS.iter().find(|task| task.name == name).ok_or_else(|| {
        let known: Vec<&str> = TASKS.iter().map(|task| task.name.as_str()).collect();
        SettingError::unknown_name("glue_task", "GLUE task", name, &known)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_task_is_answered_with_the_closest_and_a_strange_one_with_all() {
        assert_eq!(find("cola").unwrap().title, "CoLA");
        for (name, answer) in [
            ("sst-2", "did you mean `sst2`?"),
            ("imagenet", "known: mnli, sst2, mrpc, cola, qnli, qqp, rte, stsb, wnli"),
        ] {
            let message = find(name).unwrap_err().to_string();
            assert_eq!(message, format!("glue_task: `{name}`: unknown GLUE task; {answer}"));
        }
    }

    #[test]
    fn outputs_of_the_head_follow_the_labels() {
        let classes = |task: &TextTask| match task.is_regression() {
            true => format!("{}: {} number", task.name, task.num_labels()),
            false => format!("{}: {}", task.name, task.num_labels()),
        };
        let outputs = TASKS.each_ref().map(classes).join(", ");
        let expected = "mnli: 3, sst2: 2, mrpc: 2, cola: 2, qnli: 2, qqp: 2, rte: 2, stsb: 1 number, wnli: 2";
        assert_eq!(outputs, expected);
    }

    #[test]
    fn only_regression_is_scored_by_correlation_and_f1_needs_two_classes() {
        for task in TASKS.iter() {
            assert_eq!(task.is_regression(), task.metric == Metric::Correlation, "{}", task.name);
            assert!(task.metric != Metric::AccuracyAndF1 || task.num_labels() == 2, "{}", task.name);
            assert!(matches!(task.columns.len(), 1 | 2), "{}", task.name);
        }
    }
}
