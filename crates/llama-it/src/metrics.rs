//! Scores of questions from log-likelihoods, as lm-evaluation-harness has them.
//!
//! Departure: where several choices are the likeliest, the harness takes the first of them, and a model that finds all
//! choices alike is as good as the place of the answers makes it: perfect on TruthfulQA, whose first choice is true. Here
//! they share the credit: a question counts as much as the share of them that is true. How many questions of a task were
//! decided so is `<task>_ties`, absent where none was.

use std::collections::BTreeMap;

use finetune::Finite;

use crate::tasks::{Question, Score, Task};

/// The share of the likeliest choices that is true: 1 or 0 unless several are the likeliest.
pub fn accuracy(question: &Question, log_likelihoods: &Finite) -> f64 {
    let likeliest = log_likelihoods.highest();
    mean(likeliest.into_iter().map(|choice| f64::from(u8::from(question.is_true[choice]))))
}

/// `log_likelihoods` per character of each choice, of which none is empty.
fn by_length(question: &Question, log_likelihoods: &Finite) -> Finite {
    let lengths = question.choices.iter().map(|choice| choice.chars().count() as f64);
    let per_character = log_likelihoods.iter().zip(lengths).map(|(value, length)| value / length);
    Finite::new(per_character.collect(), "", "").expect("tasks refuse an empty choice where lengths count")
}

/// As [`accuracy`], by log-likelihood per character of the choice.
pub fn accuracy_by_length(question: &Question, log_likelihoods: &Finite) -> f64 {
    accuracy(question, &by_length(question, log_likelihoods))
}

/// Share of the choices' probability that true ones have.
pub fn mass(question: &Question, log_likelihoods: &Finite) -> f64 {
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

/// Metrics by name, and of some what each question adds to them: numbers whose mean is the metric.
#[derive(Debug, Default)]
pub struct Graded {
    pub metrics: BTreeMap<String, f64>,
    pub items: BTreeMap<String, Vec<f64>>,
}

/// One task of one trial: the task's own metric, and those of its groups; `log_likelihoods` by question and choice.
fn of_task(task: &Task, questions: &[Question], log_likelihoods: &[Finite]) -> Graded {
    let scores = |score: fn(&Question, &Finite) -> f64| -> Vec<f64> {
        questions.iter().zip(log_likelihoods).map(|(question, own)| score(question, own)).collect()
    };
    let mut own = scores(match task.score {
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
    let count = own.len() as f64;
    if groups.is_empty() {
        metrics.insert(name.clone(), mean(own.iter().copied()));
    } else {
        for (group, scores) in &groups {
            metrics.insert(format!("{name}_count.{group}"), scores.len() as f64);
            metrics.insert(format!("{name}.{group}"), mean(scores.iter().copied()));
        }
        metrics.insert(format!("{name}_by_question"), mean(own.iter().copied()));
        metrics.insert(name.clone(), mean(groups.values().map(|scores| mean(scores.iter().copied()))));
        // Groups count alike, whatever the number of their questions.
        for (score, question) in own.iter_mut().zip(questions) {
            let group = question.group.as_deref().map(|group| groups[group].len() as f64);
            *score *= count / (groups.len() as f64 * group.unwrap_or(count));
        }
    }
    if task.lengths {
        metrics.insert(format!("{name}_norm"), mean(scores(accuracy_by_length)));
    }
    let ties = log_likelihoods.iter().filter(|own| own.highest().len() > 1).count();
    if task.score == Score::Accuracy && ties > 0 {
        metrics.insert(format!("{name}_ties"), ties as f64);
    }
    Graded { metrics, items: BTreeMap::from([(name.clone(), own)]) }
}

/// A task with its questions and the log-likelihoods of one trial, by question and choice.
pub type Sat<'a> = (&'a Task, &'a [Question], Vec<Finite>);

/// Every task of one trial, and `average`, the mean of the tasks' own metrics, as the paper's last column.
pub fn of_tasks(tasks: &[Sat]) -> Graded {
    let mut all = Graded::default();
    for (task, questions, log_likelihoods) in tasks {
        let Graded { metrics, items } = of_task(task, questions, log_likelihoods);
        all.metrics.extend(metrics);
        all.items.extend(items);
    }
    let average = mean(tasks.iter().map(|(task, ..)| all.metrics[&task.name]));
    all.metrics.insert("average".to_owned(), average);
    let items = items_of_average(tasks, &all.items);
    all.items.insert("average".to_owned(), items);
    all
}

/// What each question adds to the average. Tasks that ask the same questions, as TruthfulQA's two, share them.
fn items_of_average(tasks: &[Sat], items: &BTreeMap<String, Vec<f64>>) -> Vec<f64> {
    let asks_the_same = |one: &[Question], other: &[Question]| {
        one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.prompt == other.prompt)
    };
    let mut asked: Vec<(&[Question], Vec<f64>)> = Vec::new();
    for (task, questions, _) in tasks {
        let share = |own: &f64| own / (questions.len() as f64 * tasks.len() as f64);
        let shares = items[&task.name].iter().map(share);
        match asked.iter_mut().find(|(other, _)| asks_the_same(questions, other)) {
            Some((_, sums)) => sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share),
            None => asked.push((questions, shares.collect())),
        }
    }
    let count: usize = asked.iter().map(|(questions, _)| questions.len()).sum();
    asked.into_iter().flat_map(|(_, sums)| sums).map(|share| share * count as f64).collect()
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

    fn finite(values: &[f64]) -> Finite {
        Finite::new(values.to_vec(), "arc", "a log-likelihood").unwrap()
    }

    #[test]
    fn the_likeliest_choice_counts_and_equal_ones_share_the_credit() {
        let own = question(&["a", "bbbb"], &[false, true]);
        assert_eq!(accuracy(&own, &finite(&[-1.0, -2.0])), 0.0);
        assert_eq!(accuracy(&own, &finite(&[-2.0, -2.0])), 0.5);
        assert_eq!(accuracy_by_length(&own, &finite(&[-1.0, -2.0])), 1.0);
        let first = question(&["a", "b", "c", "d"], &[true, false, false, false]);
        assert_eq!(accuracy(&first, &finite(&[-3.0; 4])), 0.25, "all choices alike are chance");
        assert_eq!(accuracy(&first, &finite(&[-3.0, -4.0, -3.0, -4.0])), 0.5);
        assert_eq!(accuracy(&first, &finite(&[-4.0, -3.0, -3.0, -4.0])), 0.0);
    }

    #[test]
    fn ties_are_counted_where_there_are_any() {
        let task = &crate::tasks::load(None).unwrap().into_iter().find(|task| task.name == "mc1").unwrap();
        let questions = vec![question(&["a", "b"], &[true, false]); 4];
        let of = |rows: [[f64; 2]; 4]| of_task(task, &questions, &rows.map(|row| finite(&row))).metrics;
        let tied = of([[-1.0, -1.0], [-1.0, -2.0], [-2.0, -1.0], [-3.0, -3.0]]);
        assert_eq!((tied["mc1"], tied["mc1_ties"]), (0.5, 2.0));
        let untied = of([[-1.0, -1.5], [-1.0, -2.0], [-2.0, -1.0], [-3.0, -4.0]]);
        assert_eq!(untied.into_iter().collect::<Vec<_>>(), [("mc1".to_owned(), 0.75)]);
    }

    #[test]
    fn the_mean_of_what_questions_add_is_the_metric() {
        let tasks = crate::tasks::load(None).unwrap();
        let [mmlu, mc1, mc2] =
            ["mmlu", "mc1", "mc2"].map(|name| tasks.iter().find(|task| task.name == name).unwrap());
        let asked = |prompt: &str, group: Option<&str>| Question {
            prompt: prompt.to_owned(),
            group: group.map(str::to_owned),
            ..question(&["a", "b"], &[true, false])
        };
        let of_mmlu = [("1", "law"), ("2", "law"), ("3", "law"), ("4", "art")]
            .map(|(prompt, group)| asked(prompt, Some(group)));
        let truthful = ["5", "6"].map(|prompt| asked(prompt, None));
        let (right, wrong) = (|| finite(&[-1.0, -2.0]), || finite(&[-2.0, -1.0]));
        let graded = of_tasks(&[
            (mmlu, &of_mmlu, vec![right(), wrong(), wrong(), right()]),
            (mc1, &truthful, vec![right(), wrong()]),
            (mc2, &truthful, vec![right(), wrong()]),
        ]);
        for (name, items) in &graded.items {
            assert!((mean(items.iter().copied()) - graded.metrics[name]).abs() < 1e-12, "{name}: {items:?}");
        }
        assert!((graded.metrics["mmlu"] - (1.0 / 3.0 + 1.0) / 2.0).abs() < 1e-12);
        let count = |name: &str| graded.items[name].len();
        assert_eq!((count("mmlu"), count("mc2"), count("average")), (4, 2, 6), "mc1 and mc2 share theirs");
    }

    #[test]
    fn mass_is_a_share_of_probability_also_of_tiny_ones() {
        let own = question(&["a", "b", "c"], &[true, false, true]);
        let expected = (1.0 + 0.25) / (1.0 + 0.5 + 0.25);
        for shift in [0.0, -2000.0] {
            let logs = [1f64, 0.5, 0.25].map(|value| value.ln() + shift);
            assert!((mass(&own, &finite(&logs)) - expected).abs() < 1e-12);
        }
    }
}
