//! The nine tasks of GLUE: columns and labels as on the Hugging Face hub, splits and metrics as in the paper.

use runner::SettingError;

/// What a task is scored by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    Accuracy,
    /// Accuracy is the score; F1 of class 1 is reported beside it.
    AccuracyAndF1,
    /// Matthews correlation is the score; accuracy is reported beside it.
    Matthews,
    /// The mean of Pearson and Spearman correlation is the score; labels are similarities from 0 to 5.
    Correlation,
}

#[derive(Debug, PartialEq, Eq)]
pub struct GlueTask {
    /// As in `glue_task`, and the name of the task's data folder.
    pub name: &'static str,
    /// As in the paper's table.
    pub title: &'static str,
    /// The one or two columns with text.
    pub columns: &'static [&'static str],
    /// Names of the labels 0, 1, …; empty when the label is a number to be predicted.
    pub label_names: &'static [&'static str],
    /// The hub's name of the labelled split that is not for training.
    pub validation: &'static str,
    pub metric: Metric,
    /// Rows of the first part of the permuted validation set, where that is fewer than half of them.
    pub first_part_limit: Option<usize>,
    /// Whether that first part is the test half; the paper's code has it so for CoLA only.
    pub first_part_is_test: bool,
}

impl GlueTask {
    /// Outputs of the head: classes, or 1 for regression.
    pub fn num_labels(&self) -> usize {
        self.label_names.len().max(1)
    }

    pub fn is_regression(&self) -> bool {
        self.label_names.is_empty()
    }
}

/// In the order of the paper's table; WNLI, which is not in it, comes last.
pub static TASKS: [GlueTask; 9] = [
    GlueTask {
        name: "mnli",
        title: "MNLI",
        columns: &["premise", "hypothesis"],
        label_names: &["entailment", "neutral", "contradiction"],
        validation: "validation_matched",
        first_part_limit: Some(1000),
        ..TEMPLATE
    },
    GlueTask {
        name: "sst2",
        title: "SST-2",
        columns: &["sentence"],
        label_names: &["negative", "positive"],
        ..TEMPLATE
    },
    GlueTask {
        name: "mrpc",
        title: "MRPC",
        label_names: &["not_equivalent", "equivalent"],
        metric: Metric::AccuracyAndF1,
        ..TEMPLATE
    },
    GlueTask {
        name: "cola",
        title: "CoLA",
        columns: &["sentence"],
        label_names: &["unacceptable", "acceptable"],
        metric: Metric::Matthews,
        first_part_is_test: true,
        ..TEMPLATE
    },
    GlueTask {
        name: "qnli",
        title: "QNLI",
        columns: &["question", "sentence"],
        label_names: &["entailment", "not_entailment"],
        first_part_limit: Some(1000),
        ..TEMPLATE
    },
    GlueTask {
        name: "qqp",
        title: "QQP",
        columns: &["question1", "question2"],
        label_names: &["not_duplicate", "duplicate"],
        metric: Metric::AccuracyAndF1,
        first_part_limit: Some(1000),
        ..TEMPLATE
    },
    GlueTask { name: "rte", title: "RTE", label_names: &["entailment", "not_entailment"], ..TEMPLATE },
    GlueTask { name: "stsb", title: "STS-B", label_names: &[], metric: Metric::Correlation, ..TEMPLATE },
    GlueTask { name: "wnli", title: "WNLI", label_names: &["not_entailment", "entailment"], ..TEMPLATE },
];

/// What most tasks have in common.
const TEMPLATE: GlueTask = GlueTask {
    name: "",
    title: "",
    columns: &["sentence1", "sentence2"],
    label_names: &[],
    validation: "validation",
    metric: Metric::Accuracy,
    first_part_limit: None,
    first_part_is_test: false,
};

/// The task of this name; the error, under the key `glue_task`, names the closest one or lists all.
pub fn find(name: &str) -> Result<&'static GlueTask, SettingError> {
    TASKS.iter().find(|task| task.name == name).ok_or_else(|| {
        let known: Vec<&str> = TASKS.iter().map(|task| task.name).collect();
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
        let classes = |task: &GlueTask| match task.is_regression() {
            true => format!("{}: {} number", task.name, task.num_labels()),
            false => format!("{}: {}", task.name, task.num_labels()),
        };
        let outputs = TASKS.each_ref().map(classes).join(", ");
        let expected = "mnli: 3, sst2: 2, mrpc: 2, cola: 2, qnli: 2, qqp: 2, rte: 2, stsb: 1 number, wnli: 2";
        assert_eq!(outputs, expected);
    }

    #[test]
    fn only_regression_is_scored_by_correlation_and_f1_needs_two_classes() {
        for task in &TASKS {
            assert_eq!(task.is_regression(), task.metric == Metric::Correlation, "{}", task.name);
            assert!(task.metric != Metric::AccuracyAndF1 || task.num_labels() == 2, "{}", task.name);
            assert!(matches!(task.columns.len(), 1 | 2), "{}", task.name);
        }
    }
}
