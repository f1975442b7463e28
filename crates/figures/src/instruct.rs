//! Instruction tuning: the benchmarks of the paper's Table 5, and the subjects of MMLU.

use crate::trials::Trials;

/// Columns of `trials.csv`, fractions: the benchmarks, and their mean.
pub const MMLU: &str = "mmlu";
pub const ARC: &str = "arc";
pub const MC1: &str = "mc1";
pub const MC2: &str = "mc2";
pub const AVERAGE: &str = "average";
/// What the columns of one subject of MMLU begin with: its accuracy, and the number of its questions.
pub const SUBJECT: &str = "mmlu.";
pub const QUESTIONS: &str = "mmlu_count.";

/// A column of Table 5.
#[derive(Debug)]
pub struct Benchmark {
    /// In `trials.csv`.
    pub name: &'static str,
    /// As the paper heads its column.
    pub title: &'static str,
    /// What its score is.
    pub metric: &'static str,
}

/// In the paper's order, their mean last.
pub const BENCHMARKS: [Benchmark; 5] = [
    Benchmark { name: MMLU, title: "MMLU", metric: "accuracy" },
    Benchmark { name: ARC, title: "ARC", metric: "accuracy" },
    Benchmark { name: MC1, title: "Tru-1", metric: "accuracy" },
    Benchmark { name: MC2, title: "Tru-2", metric: "share of true answers" },
    Benchmark { name: AVERAGE, title: "Avg", metric: "mean of the four" },
];

/// The categories of Hendrycks et al. 2021, in the order of their table.
pub const CATEGORIES: [&str; 4] = ["humanities", "social sciences", "STEM", "other"];

/// A line for each of the 57 subjects of MMLU, as `categories.py` of hendrycks/test has them.
const SUBJECTS: &str = include_str!("../assets/mmlu_subjects.csv");

/// A benchmark by its name.
pub fn benchmark(name: &str) -> Option<&'static Benchmark> {
    BENCHMARKS.iter().find(|benchmark| benchmark.name == name)
}

/// Whether a column is of one subject of MMLU.
pub fn is_of_subject(column: &str) -> bool {
    [SUBJECT, QUESTIONS].iter().any(|start| column.starts_with(start))
}

/// The category of a subject; none where it is not MMLU's.
pub(crate) fn category(subject: &str) -> Option<&'static str> {
    let mut known = SUBJECTS.lines().skip(1).filter_map(|line| line.split_once(','));
    known.find(|(name, _)| *name == subject).map(|(_, category)| category)
}

/// The subjects that were asked, by name.
pub(crate) fn subjects_of(trials: &Trials) -> Vec<&str> {
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
        let of = |category: &str| SUBJECTS.lines().skip(1).filter(|line| line.ends_with(category)).count();
        assert_eq!(CATEGORIES.map(of), [13, 12, 18, 14]);
        assert_eq!(SUBJECTS.lines().count(), 1 + 57);
        assert_eq!(category("anatomy"), Some("other"), "health, not STEM as in other harnesses");
        assert_eq!((category("us_foreign_policy"), category("colours")), (Some("social sciences"), None));
    }
}
