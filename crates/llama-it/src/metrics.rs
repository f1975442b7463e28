//! Scores of questions from log-likelihoods, as lm-evaluation-harness has them.

use std::collections::BTreeMap;

use crate::tasks::{Question, Score, Task};

/// Index of the first of the highest values, as NumPy's argmax.
fn argmax(values: impl Iterator<Item = f64>) -> usize {
    let highest = |best: (usize, f64), (index, value)| if value > best.1 { (index, value) } else { best };
    values.enumerate().fold((0, f64::NEG_INFINITY), highest).0
}

/// 1 where the likeliest choice is true, else 0.
pub fn accuracy(question: &Question, log_likelihoods: &[f64]) -> f64 {
    f64::from(u8::from(question.is_true[argmax(log_likelihoods.iter().copied())]))
}

/// As [`accuracy`], by log-likelihood per character of the choice.
pub fn accuracy_by_length(question: &Question, log_likelihoods: &[f64]) -> f64 {
    let lengths = question.choices.iter().map(|choice| choice.chars().count() as f64);
    let per_character = log_likelihoods.iter().zip(lengths).map(|(value, length)| value / length);
    f64::from(u8::from(question.is_true[argmax(per_character)]))
}

/// Share of the choices' probability that true ones have.
pub fn mass(question: &Question, log_likelihoods: &[f64]) -> f64 {
    // Relative to the highest, so that long choices do not vanish.
    let highest = log_likelihoods.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let probabilities = log_likelihoods.iter().map(|value| (value - highest).exp());
    let (mut of_true, mut of_all) = (0.0, 0.0);
    for (probability, is_true) in probabilities.zip(&question.is_true) {
        of_all += probability;
        of_true += if *is_true { probability } else { 0.0 };
    }
    of_true / of_all
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values.into_iter().fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count)
}

/// The metrics of one task of one trial by name: the task's own, and those of its groups; `log_likelihoods` by question
/// and choice.
pub fn of_task(task: &Task, questions: &[Question], log_likelihoods: &[Vec<f64>]) -> BTreeMap<String, f64> {
    let scores = |score: fn(&Question, &[f64]) -> f64| -> Vec<f64> {
        questions.iter().zip(log_likelihoods).map(|(question, own)| score(question, own)).collect()
    };
    let own = scores(match task.score {
        Score::Accuracy => accuracy,
        Score::Mass => mass,
    });
    let name = &task.name;
    let mut metrics = BTreeMap::new();
    let mut groups: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (question, score) in questions.iter().zip(&own) {
        if let Some(group) = &question.group {
            groups.entry(group).or_default().push(*score);
        }
    }
    if groups.is_empty() {
        metrics.insert(name.clone(), mean(own));
    } else {
        for (group, scores) in &groups {
            metrics.insert(format!("{name}_count.{group}"), scores.len() as f64);
            metrics.insert(format!("{name}.{group}"), mean(scores.iter().copied()));
        }
        metrics.insert(format!("{name}_by_question"), mean(own));
        metrics.insert(name.clone(), mean(groups.into_values().map(mean)));
    }
    if task.lengths {
        metrics.insert(format!("{name}_norm"), mean(scores(accuracy_by_length)));
    }
    metrics
}

/// Mean of the tasks' own metrics, as the paper's last column.
pub fn average(tasks: &[Task], metrics: &BTreeMap<String, f64>) -> f64 {
    mean(tasks.iter().map(|task| metrics[&task.name]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(choices: &[&str], is_true: &[bool]) -> Question {
        Question {
            prompt: String::new(),
            choices: choices.iter().map(|&choice| choice.to_owned()).collect(),
            is_true: is_true.to_vec(),
            group: None,
        }
    }

    #[test]
    fn the_likeliest_choice_counts_and_of_equal_ones_the_first() {
        let own = question(&["a", "bbbb"], &[false, true]);
        assert_eq!(accuracy(&own, &[-1.0, -2.0]), 0.0);
        assert_eq!(accuracy(&own, &[-2.0, -2.0]), 0.0);
        assert_eq!(accuracy_by_length(&own, &[-1.0, -2.0]), 1.0);
    }

    #[test]
    fn mass_is_a_share_of_probability_also_of_tiny_ones() {
        let own = question(&["a", "b", "c"], &[true, false, true]);
        let expected = (1.0 + 0.25) / (1.0 + 0.5 + 0.25);
        for shift in [0.0, -2000.0] {
            let logs = [1f64, 0.5, 0.25].map(|value| value.ln() + shift);
            assert!((mass(&own, &logs) - expected).abs() < 1e-12);
        }
    }
}
