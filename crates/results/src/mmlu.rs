//! The subjects of MMLU and their categories.

use crate::trials::Trials;

/// The metric that is the plain mean over all subjects.
pub const MMLU: &str = crate::tasks::MMLU;
/// Beginning of the columns with the accuracy on one subject.
pub const SUBJECT: &str = "mmlu.";
/// Beginning of the columns with the number of a subject's questions.
pub const QUESTIONS: &str = "mmlu_count.";

/// The categories of Hendrycks et al. 2021, in the order of their table.
pub const CATEGORIES: [&str; 4] = ["humanities", "social sciences", "STEM", "other"];

/// A line for each of the 57 subjects of MMLU, as `categories.py` of hendrycks/test has them.
const SUBJECTS: &str = include_str!("../assets/mmlu_subjects.csv");

/// Name and category of each of the 57 subjects.
pub fn subjects() -> impl Iterator<Item = (&'static str, &'static str)> {
    SUBJECTS.lines().skip(1).filter_map(|line| line.split_once(','))
}

/// Whether a column is of one subject of MMLU.
pub fn is_of_subject(column: &str) -> bool {
    [SUBJECT, QUESTIONS].iter().any(|start| column.starts_with(start))
}

/// The category of a subject; none where it is not MMLU's.
pub fn category(subject: &str) -> Option<&'static str> {
    subjects().find(|(name, _)| *name == subject).map(|(_, category)| category)
}

/// The subjects that were asked, by name.
pub fn subjects_of(trials: &Trials) -> Vec<&str> {
    let names = trials.columns().iter().filter_map(|column| column.strip_prefix(SUBJECT));
    let has_score = |name: &&str| {
        let column = format!("{SUBJECT}{name}");
        trials.all().iter().any(|trial| trials.number(trial, &column).is_some())
    };
    let mut subjects: Vec<&str> = names.filter(has_score).collect();
    subjects.sort_unstable();
    subjects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_of_mmlu_has_a_category() {
        let of = |category: &str| subjects().filter(|(_, found)| *found == category).count();
        assert_eq!(CATEGORIES.map(of), [13, 12, 18, 14]);
        assert_eq!(subjects().count(), 57);
        assert_eq!(category("anatomy"), Some("other"), "health, not STEM as in other harnesses");
        assert_eq!((category("us_foreign_policy"), category("colours")), (Some("social sciences"), None));
    }
}
