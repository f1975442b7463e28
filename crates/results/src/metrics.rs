//! The list of metrics: everything that a trial can be measured by, one line each.
//!
//! A new metric is a line of [`METRICS`]. Tables, figures, claims and the report take its title, its unit and its
//! direction from here; values stand in `trials.csv` and `curves.csv` under its name.

use crate::glue;
use crate::trials::{Status, Trial, Trials};

/// How values are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// The same as they stand in the files.
    Plain,
    /// The files have fractions of what is shown in percent.
    Percent,
}

/// Whether larger values are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// More is better.
    More,
    /// Less is better.
    Less,
    /// Neither: the value describes a trial.
    Neither,
}

/// Something that a trial is measured by.
#[derive(Debug)]
pub struct Metric {
    /// Column of `trials.csv`, and `metric` of `curves.csv`.
    pub name: &'static str,
    /// Heading of tables.
    pub title: &'static str,
    /// What a value is, for the axis of a figure.
    pub measure: &'static str,
    /// How values are shown.
    pub unit: Unit,
    /// Whether larger values are better.
    pub direction: Direction,
    /// Metrics whose product this one is where its own column is empty, as in tables of before the drivers wrote it; a negative factor
    /// counts as 0.
    pub factors: &'static [&'static str],
    /// Whether a finished trial without a value counts as 0 when learning rates are compared.
    pub zero_without: bool,
}

use Direction::{Less, More, Neither};
use Unit::{Percent, Plain};

/// All metrics. A ledger of claims lists several numbers of one row in this order.
pub const METRICS: &[Metric] = &[
    line("dino", "DINO", "mean cosine", Plain, More),
    line("clip_i", "CLIP-I", "mean cosine", Plain, More),
    line("clip_t", "CLIP-T", "mean cosine", Plain, More),
    Metric { factors: &["dino", "clip_t"], ..line("dino_x_clip_t", "dino_x_clip_t", "product", Plain, More) },
    line("diversity", "diversity", "mean distance", Plain, More),
    line("pairs", "pairs", "pairs of pictures", Plain, Neither),
    line("distance", "distance", "‖W′ − W‖ (Frobenius)", Plain, Neither),
    line("mean_distance", "mean distance", "mean ‖W′ − W‖ (Frobenius)", Plain, Neither),
    // A finished trial of GLUE without a score never got above 0 on the validation half.
    Metric { zero_without: true, ..line("score", "score", "score", Percent, More) },
    line("accuracy", "accuracy", "pixel accuracy", Percent, More),
    line("f1", "f1", "F1", Percent, More),
    line("matthews", "matthews", "Matthews’ correlation", Percent, More),
    line("pearson", "pearson", "Pearson correlation", Percent, More),
    line("spearman", "spearman", "Spearman correlation", Percent, More),
    line("mmlu", "MMLU", "accuracy", Percent, More),
    line("arc", "ARC", "accuracy", Percent, More),
    line("mc1", "Tru-1", "accuracy", Percent, More),
    line("mc2", "Tru-2", "share of true answers", Percent, More),
    line("average", "Avg", "mean of the four", Percent, More),
    line("miou", "mIoU", "mIoU", Percent, More),
    line("fid", "FID", "Fréchet distance", Plain, Less),
    line("validation_score", "validation score", "score", Percent, More),
    line("best_epoch", "best epoch", "epoch", Plain, Neither),
    line("num_parameters", "parameters", "count", Plain, Neither),
    line("avg", "Avg", "mean over tasks", Percent, More),
    line("arc_norm", "ARC, by length", "accuracy", Percent, More),
    line("train_loss", "training loss", "cross-entropy", Plain, Less),
    line("test_loss", "held-out loss", "cross-entropy", Plain, Less),
];

const fn line(
    name: &'static str,
    title: &'static str,
    measure: &'static str,
    unit: Unit,
    direction: Direction,
) -> Metric {
    Metric { name, title, measure, unit, direction, factors: &[], zero_without: false }
}

impl Metric {
    /// What a value in the files is multiplied with to be shown.
    pub fn factor(&self) -> f64 {
        if self.unit == Percent { 100.0 } else { 1.0 }
    }

    /// The title of an axis with values as they are shown.
    pub fn axis(&self) -> String {
        match (self.unit, self.direction) {
            (Percent, _) => format!("{} (%)", self.measure),
            (Plain, Less) => format!("{} (less is better)", self.title),
            (Plain, _) => format!("{} score ({})", self.title, self.measure),
        }
    }

    /// The value of a trial whatever its status, as in the files.
    pub(crate) fn of(&self, trials: &Trials, trial: &Trial) -> Option<f64> {
        let factor = |name: &&str| Some(trials.number(trial, name)?.max(0.0));
        let product =
            || if self.factors.is_empty() { None } else { self.factors.iter().map(factor).product() };
        let zero = self.zero_without && trial.status == Status::Done && trials.has(self.name);
        trials.number(trial, self.name).or_else(product).or(zero.then_some(0.0))
    }
}

/// A metric of the list by its name.
pub fn metric(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// The share of right answers in a test of this name, which may be in no list; it is kept until the process ends.
pub fn share_of_answers(name: &str) -> &'static Metric {
    let leaked = || {
        let name: &'static str = String::leak(name.to_owned());
        &*Box::leak(Box::new(line(name, name, "score", Percent, More)))
    };
    metric(name).unwrap_or_else(leaked)
}

/// What tables call a metric or a task of GLUE; a name that is neither stands for itself.
pub fn metric_title(name: &str) -> &str {
    let of_task = || glue::task(name).map(|task| task.title);
    metric(name).map(|metric| metric.title).or_else(of_task).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_once_and_factors_are_metrics() {
        for (index, one) in METRICS.iter().enumerate() {
            assert!(METRICS[index + 1..].iter().all(|other| other.name != one.name), "{}", one.name);
            assert!(one.factors.iter().all(|name| metric(name).is_some()), "{}", one.name);
        }
        assert_eq!(["fid", "cola", "other"].map(metric_title), ["FID", "CoLA", "other"]);
        let axes = ["dino", "mc2", "fid"].map(|name| metric(name).unwrap().axis());
        assert_eq!(axes, ["DINO score (mean cosine)", "share of true answers (%)", "FID (less is better)"]);
    }
}
