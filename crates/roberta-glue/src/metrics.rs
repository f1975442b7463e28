//! Scores of predictions, as scikit-learn and SciPy compute them.
//!
//! Where a score is undefined: F1 without a true and a predicted positive is 0, and the Matthews correlation is 0 when
//! all labels or all predictions are of one class, both as in scikit-learn. Pearson's and Spearman's correlation of
//! values that are all the same, or not all finite, do not exist (SciPy: NaN). They are then left out, and so is a
//! score made of them; an epoch without a score is never the best, as in the paper's code, where NaN is not greater.
//!
//! Departure: where several classes have the highest output, PyTorch's argmax takes the first. Here they share the
//! example, as parts in the confusion, from which the scores follow; how many examples were shared is `ties`, absent
//! where none was. Outputs that are not finite have no scores at all.

use std::collections::BTreeMap;

use finetune::{Finite, NotFinite};

use crate::tasks::{Metric, TextTask};

/// What is predicted for examples.
#[derive(Clone, Debug, PartialEq)]
pub enum Predictions {
    /// Values of a regression.
    Values(Vec<f32>),
    /// Classes of each example: one, or those that tie.
    Classes(Vec<Vec<usize>>),
}

impl Predictions {
    /// From a head's outputs, a row for each example. An error names the first output that is not finite.
    pub fn of(task: &TextTask, outputs: &[Vec<f32>]) -> Result<Predictions, NotFinite> {
        let finite = |row: &Vec<f32>| {
            Finite::new(row.iter().map(|&value| f64::from(value)).collect(), "score", "an output of the head")
        };
        let rows = outputs.iter().map(finite).collect::<Result<Vec<_>, _>>()?;
        Ok(if task.is_regression() {
            Predictions::Values(outputs.iter().map(|row| row[0]).collect())
        } else {
            Predictions::Classes(rows.iter().map(Finite::highest).collect())
        })
    }

    /// Class numbers, or values of a regression.
    pub fn certain(task: &TextTask, predictions: &[f32]) -> Predictions {
        match task.is_regression() {
            true => Predictions::Values(predictions.to_vec()),
            false => Predictions::Classes(predictions.iter().map(|&class| vec![class as usize]).collect()),
        }
    }
}

/// The class that F1 is about.
const POSITIVE: usize = 1;

/// All scores of a task by name. `score` is the number in the paper's table.
///
/// `labels` are as in [`Example`](crate::data::Example). Classification adds `confusion_<true>_<predicted>`: how many examples.
/// Panics when there are no labels, another number of predictions, or a class the task does not have.
pub fn scores(task: &TextTask, predictions: &Predictions, labels: &[f32]) -> BTreeMap<String, f64> {
    let mut scores = BTreeMap::new();
    let mut add = |name: &str, value: Option<f64>| {
        scores.extend(value.map(|value| (name.to_owned(), value)));
    };
    let classes = match predictions {
        Predictions::Values(values) => {
            let (pearson, spearman) = (pearson(values, labels), spearman(values, labels));
            add("pearson", pearson);
            add("spearman", spearman);
            add("score", pearson.zip(spearman).map(|(pearson, spearman)| (pearson + spearman) / 2.0));
            return scores;
        }
        Predictions::Classes(classes) => classes,
    };
    let ties = classes.iter().filter(|classes| classes.len() > 1).count();
    add("ties", (ties > 0).then_some(ties as f64));
    let confusion = Confusion::new(task.num_labels(), classes, labels);
    let (accuracy, matthews) = (confusion.accuracy(), confusion.matthews());
    add("accuracy", Some(accuracy));
    match task.metric {
        Metric::Matthews => add("matthews", Some(matthews)),
        Metric::AccuracyAndF1 => add("f1", Some(confusion.f1(POSITIVE))),
        Metric::Accuracy | Metric::Correlation => {}
    }
    add("score", Some(if task.metric == Metric::Matthews { matthews } else { accuracy }));
    for (label, row) in confusion.counts.iter().enumerate() {
        for (predicted, &count) in row.iter().enumerate() {
            add(&format!("confusion_{label}_{predicted}"), Some(count));
        }
    }
    scores
}

/// How often each class was taken for each; an example for which classes tie counts in equal parts for them.
#[derive(Clone, Debug, PartialEq)]
pub struct Confusion {
    /// By true class, then by predicted class.
    pub counts: Vec<Vec<f64>>,
}

impl Confusion {
    /// Panics when there are no labels, another number of predictions, or a class of `num_classes` or above.
    pub fn new(num_classes: usize, predictions: &[Vec<usize>], labels: &[f32]) -> Confusion {
        assert!(!labels.is_empty(), "no examples to score");
        assert_eq!(predictions.len(), labels.len(), "predictions and labels");
        let mut counts = vec![vec![0.0; num_classes]; num_classes];
        for (predicted, &label) in predictions.iter().zip(labels) {
            predicted.iter().for_each(|&class| counts[label as usize][class] += 1.0 / predicted.len() as f64);
        }
        Confusion { counts }
    }

    /// The share of right predictions.
    pub fn accuracy(&self) -> f64 {
        self.right() / self.total()
    }

    /// Harmonic mean of precision and recall of one class; 0 when it is neither a label nor predicted.
    pub fn f1(&self, class: usize) -> f64 {
        let both = self.labels(class) + self.predictions(class);
        if both == 0.0 { 0.0 } else { 2.0 * self.counts[class][class] / both }
    }

    /// The Matthews correlation, for any number of classes (Gorodkin 2004); 0 when all labels or all predictions are
    /// of one class.
    pub fn matthews(&self) -> f64 {
        let classes = 0..self.counts.len();
        let (total, mut joint, mut labels, mut predictions) = (self.total(), 0.0, 0.0, 0.0);
        for class in classes {
            let (label, predicted) = (self.labels(class), self.predictions(class));
            joint += label * predicted;
            labels += label * label;
            predictions += predicted * predicted;
        }
        let variances = (total * total - labels) * (total * total - predictions);
        if variances == 0.0 { 0.0 } else { (self.right() * total - joint) / variances.sqrt() }
    }

    fn total(&self) -> f64 {
        self.counts.iter().flatten().sum()
    }

    fn right(&self) -> f64 {
        self.counts.iter().enumerate().map(|(class, row)| row[class]).sum()
    }

    fn labels(&self, class: usize) -> f64 {
        self.counts[class].iter().sum()
    }

    fn predictions(&self, class: usize) -> f64 {
        self.counts.iter().map(|row| row[class]).sum()
    }
}

/// Pearson's correlation; `None` when either side is constant or not finite.
pub fn pearson(predictions: &[f32], labels: &[f32]) -> Option<f64> {
    let widened = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
    correlation(&widened(predictions), &widened(labels))
}

/// Spearman's rank correlation, equal values sharing the mean of their ranks; `None` when either side is constant or
/// not finite.
pub fn spearman(predictions: &[f32], labels: &[f32]) -> Option<f64> {
    correlation(&ranks(predictions)?, &ranks(labels)?)
}

fn correlation(left: &[f64], right: &[f64]) -> Option<f64> {
    assert_eq!(left.len(), right.len(), "predictions and labels");
    let (left, right) = (directions(left)?, directions(right)?);
    let product: f64 = left.iter().zip(&right).map(|(left, right)| left * right).sum();
    Some(product.clamp(-1.0, 1.0)) // rounding can pass 1
}

/// The values minus their mean, as a vector of length 1; `None` when they are constant or not finite.
fn directions(values: &[f64]) -> Option<Vec<f64>> {
    // The mean of equal values need not be exactly that value, so the deviations cannot be asked.
    if values.iter().all(|value| *value == values[0]) || !values.iter().all(|value| value.is_finite()) {
        return None;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let length = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>().sqrt();
    Some(values.iter().map(|value| (value - mean) / length).collect())
}

/// Ranks from 1, equal values sharing the mean of theirs; `None` when not all values are finite.
fn ranks(values: &[f32]) -> Option<Vec<f64>> {
    if !values.iter().all(|value| value.is_finite()) {
        return None;
    }
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&left, &right| values[left].total_cmp(&values[right]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for equal in order.chunk_by(|&left, &right| values[left] == values[right]) {
        let rank = before as f64 + (equal.len() + 1) as f64 / 2.0;
        equal.iter().for_each(|&index| ranks[index] = rank);
        before += equal.len();
    }
    Some(ranks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::find;

    /// Scores of classes or values that are certain.
    fn scores(task: &TextTask, predictions: &[f32], labels: &[f32]) -> BTreeMap<String, f64> {
        super::scores(task, &Predictions::certain(task, predictions), labels)
    }

    fn names(scores: &BTreeMap<String, f64>) -> Vec<&str> {
        scores.keys().map(String::as_str).collect()
    }

    #[test]
    fn each_task_has_its_scores() {
        let (predictions, labels) = ([0.0, 1.0, 1.0], [0.0, 1.0, 0.0]);
        let of = |task: &str| scores(find(task).unwrap(), &predictions, &labels);
        let confusion = ["confusion_0_0", "confusion_0_1", "confusion_1_0", "confusion_1_1"];
        let with = |first: &[&'static str], last: &[&'static str]| [first, &confusion, last].concat();
        assert_eq!(names(&of("rte")), with(&["accuracy"], &["score"]));
        assert_eq!(names(&of("mrpc")), with(&["accuracy"], &["f1", "score"]));
        assert_eq!(names(&of("cola")), with(&["accuracy"], &["matthews", "score"]));
        assert_eq!(names(&of("stsb")), ["pearson", "score", "spearman"]);
        assert_eq!(names(&of("mnli")).len(), 11);
    }

    #[test]
    fn the_score_is_the_papers_number() {
        let (predictions, labels) = ([0.0, 1.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]);
        let of = |task: &str| scores(find(task).unwrap(), &predictions, &labels);
        for (task, same) in [("qqp", "accuracy"), ("sst2", "accuracy"), ("cola", "matthews")] {
            let scores = of(task);
            assert_eq!(scores["score"], scores[same], "{task}");
        }
        let scores = of("mrpc");
        assert_eq!((scores["score"], scores["f1"], scores["confusion_0_1"]), (0.75, 0.8, 1.0));
        let values = Predictions::Values(vec![1.0, 2.0, 9.0]);
        let scores = super::scores(find("stsb").unwrap(), &values, &[0.0, 1.0, 2.0]);
        assert!((scores["spearman"] - 1.0).abs() < 1e-12 && scores["pearson"] < 0.95, "{scores:?}");
        assert_eq!(scores["score"], (scores["pearson"] + scores["spearman"]) / 2.0);
    }

    #[test]
    fn correlation_of_a_constant_or_of_nan_does_not_exist() {
        let labels = [0.1, 2.0, 3.5];
        for predictions in [[0.1; 3], [1.0, f32::NAN, 2.0], [1.0, f32::INFINITY, 2.0]] {
            assert_eq!(pearson(&predictions, &labels), None, "{predictions:?}");
            assert_eq!(spearman(&predictions, &labels), None, "{predictions:?}");
            assert_eq!(pearson(&labels, &predictions), None, "{predictions:?}");
            assert!(scores(find("stsb").unwrap(), &predictions, &labels).is_empty());
        }
    }

    #[test]
    fn classes_that_tie_share_an_example_and_are_counted() {
        let task = find("mrpc").unwrap();
        let outputs = [[0.3, 0.3], [0.1, 0.2], [0.5, 0.2], [-1.0, -1.0]].map(Vec::from);
        let scores = super::scores(task, &Predictions::of(task, &outputs).unwrap(), &[1.0, 1.0, 0.0, 0.0]);
        assert_eq!((scores["accuracy"], scores["ties"]), (0.75, 2.0), "two are right, two half");
        assert_eq!((scores["confusion_1_0"], scores["confusion_0_1"]), (0.5, 0.5));
        assert_eq!(scores["f1"], 0.75);
        let same = Predictions::of(task, &vec![vec![0.7, 0.7]; 4]).unwrap();
        let all_alike = super::scores(task, &same, &[1.0, 1.0, 1.0, 0.0]);
        assert_eq!(all_alike["accuracy"], 0.5, "outputs that say nothing are chance, whatever the labels");
    }

    #[test]
    fn outputs_that_are_not_finite_are_refused_in_every_task() {
        for task in crate::tasks::TASKS.iter() {
            let width = if task.is_regression() { 1 } else { task.num_labels() };
            for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut outputs = vec![vec![0.5; width]; 3];
                outputs[1][width - 1] = broken;
                let error = Predictions::of(task, &outputs).unwrap_err().to_string();
                let expected = format!("`score` cannot be scored: an output of the head is {broken}");
                assert_eq!(error, expected, "{}", task.name);
            }
        }
    }

    #[test]
    fn zeros_of_either_sign_share_a_rank() {
        assert_eq!(ranks(&[0.0, -1.0, -0.0, 5.0]).unwrap(), [2.5, 1.0, 2.5, 4.0]);
    }
}
