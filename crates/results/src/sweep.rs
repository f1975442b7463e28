//! Trials over the learning-rate multiplier: lines of points, their scores, and what a diverged trial counts
//! as.

use std::collections::BTreeMap;

use crate::error::{Result, ResultsError};
use crate::methods::NONE;
use crate::metrics::METRICS;
use crate::series::Series;
use crate::stats;
use crate::trials::{Status, Trial, Trials};

/// The column with a trial's learning-rate multiplier.
pub const MULTIPLIER: &str = "config.learning_rate_multiplier";
/// Which of a method's rates the multiplier multiplies; empty or `all` is all of them.
pub const MULTIPLIED: &str = "config.multiplied";
/// Likeness to the subject.
pub const DINO: &str = "dino";
/// Likeness to the prompt.
pub const CLIP_T: &str = "clip_t";
/// DINO × CLIP-T: high only where a picture shows the subject as the prompt asks.
pub const PRODUCT: &str = "dino_x_clip_t";
/// Distances of the tracked layer; where none is tracked, the mean over layers.
const DISTANCES: [&str; 2] = ["distance", "mean_distance"];

/// Seed and subject: what trials of different multipliers and methods share.
pub type Replicate<'a> = (&'a str, &'a str);

/// How a trial's score was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It ran to its end.
    End,
    /// It diverged; its last finite score.
    LastFinite,
    /// It diverged and has no score; that of no finetuning.
    None,
}

/// A trial that ended, at one multiplier.
#[derive(Clone, Debug)]
pub struct Ended<'a> {
    /// Its seed and subject.
    pub replicate: Replicate<'a>,
    /// Whether it diverged.
    pub diverged: bool,
    /// Values by the name of their metric; absent where nothing stands for it.
    pub scores: BTreeMap<&'static str, (f64, Source)>,
    /// Distance from the pretrained weight, at the end or the last finite one.
    pub distance: Option<f64>,
}

/// All trials of a line at one multiplier.
#[derive(Clone, Debug)]
pub struct Point<'a> {
    /// The learning-rate multiplier.
    pub multiplier: f64,
    /// The trials with it that ended.
    pub trials: Vec<Ended<'a>>,
}

/// A series over the multiplier.
pub struct Line<'a> {
    /// Name of the method.
    pub method: &'a str,
    /// What the series is called.
    pub title: String,
    /// How many larger ranks of the method have lines too.
    pub larger: usize,
    /// In the order of the multipliers.
    pub points: Vec<Point<'a>>,
}

impl Ended<'_> {
    /// A score by the name of its metric, and how it was found.
    pub fn score(&self, score: &str) -> Option<(f64, Source)> {
        self.scores.get(score).copied()
    }
}

impl Point<'_> {
    /// Number of trials that diverged.
    pub fn diverged(&self) -> usize {
        self.trials.iter().filter(|trial| trial.diverged).count()
    }

    /// The scores of all trials that have one.
    pub fn scores(&self, score: &str) -> Vec<f64> {
        self.trials.iter().filter_map(|trial| Some(trial.score(score)?.0)).collect()
    }

    /// Distances of the trials that ran to their end: a diverged one is on its way to infinity.
    pub fn distances(&self) -> Vec<f64> {
        let done = self.trials.iter().filter(|trial| !trial.diverged);
        done.filter_map(|trial| trial.distance).collect()
    }

    /// Trials whose score was found so.
    pub fn counted(&self, score: &str, source: Source) -> usize {
        let sources = self.trials.iter().filter_map(|trial| Some(trial.score(score)?.1));
        sources.filter(|known| *known == source).count()
    }

    /// Diverged trials that nothing stands for.
    pub fn left_out(&self, score: &str) -> usize {
        self.trials.iter().filter(|trial| trial.diverged && trial.score(score).is_none()).count()
    }
}

/// Scores of no finetuning, which stand for those of trials that diverged without one.
#[derive(Default)]
pub struct Unchanged<'a>(BTreeMap<&'static str, Vec<(Replicate<'a>, f64)>>);

impl<'a> Unchanged<'a> {
    /// The scores of the method `none`.
    pub fn of(trials: &'a Trials) -> Self {
        let done = || trials.of(Series::of(NONE)).filter(|trial| trial.status == Status::Done);
        let scores = METRICS.iter().map(|metric| {
            let scored = done().filter_map(|trial| Some((replicate(trial), metric.of(trials, trial)?)));
            (metric.name, scored.collect())
        });
        Self(scores.collect())
    }

    /// The score of the same seed and subject; else the mean of the same subject; else of all.
    pub fn score(&self, score: &str, (seed, subject): Replicate) -> Option<f64> {
        let scores = self.0.get(score)?;
        let mean = |keep: &dyn Fn(Replicate) -> bool| {
            let kept = scores.iter().filter(|(of, _)| keep(*of)).map(|(_, score)| *score);
            stats::mean(&kept.collect::<Vec<_>>())
        };
        mean(&|of| of == (seed, subject)).or_else(|| mean(&|of| of.1 == subject)).or_else(|| mean(&|_| true))
    }

    /// Whether no finetuning has such a score.
    pub fn is_known(&self, score: &str) -> bool {
        self.0.get(score).is_some_and(|scores| !scores.is_empty())
    }
}

/// Seed and subject of a trial.
pub fn replicate(trial: &Trial) -> Replicate<'_> {
    (trial.seed.as_str(), trial.subject.as_str())
}

/// An error where the trials have no score or nothing that tells their learning rates apart.
pub fn require_columns(trials: &Trials, score: &str) -> Result<()> {
    trials.column(&[score])?;
    trials.column(&[MULTIPLIER])?;
    Ok(())
}

/// Whether the multiplier of a trial acts on all of its learning rates.
pub fn multiplies_all(trials: &Trials, trial: &Trial) -> bool {
    ["", "all"].contains(&trials.text(trial, MULTIPLIED))
}

/// What a trial ended with; `None` for one that failed.
pub fn ended<'a>(trials: &Trials, unchanged: &Unchanged, trial: &'a Trial) -> Option<Ended<'a>> {
    let diverged = trial.status == Status::Diverged;
    let scores = METRICS.iter().filter_map(|metric| {
        let found = if diverged { Source::LastFinite } else { Source::End };
        let own = metric.of(trials, trial).map(|value| (value, found));
        let start = || unchanged.score(metric.name, replicate(trial)).filter(|_| diverged);
        Some((metric.name, own.or_else(|| Some((start()?, Source::None)))?))
    });
    let scores = scores.collect();
    let column = DISTANCES.into_iter().find(|column| trials.has(column));
    let distance = column.and_then(|column| trials.number(trial, column));
    let distance = distance.filter(|distance| *distance >= 0.0);
    let replicate = replicate(trial);
    (trial.status != Status::Failed).then_some(Ended { replicate, diverged, scores, distance })
}

/// Points of `of`, smallest multiplier first; a trial that states none has 1, its base rate.
pub fn points<'a>(
    trials: &Trials,
    unchanged: &Unchanged,
    of: impl Iterator<Item = &'a Trial>,
) -> Vec<Point<'a>> {
    let mut points: BTreeMap<u64, Point<'a>> = BTreeMap::new();
    for trial in of {
        let multiplier = match trials.text(trial, MULTIPLIER) {
            "" => Some(1.0),
            _ => trials.number(trial, MULTIPLIER).filter(|multiplier| *multiplier > 0.0),
        };
        let (Some(multiplier), Some(ended)) = (multiplier, ended(trials, unchanged, trial)) else { continue };
        // For numbers above zero, the order of the bits is the order of the numbers.
        let point = points.entry(multiplier.to_bits());
        point.or_insert(Point { multiplier, trials: Vec::new() }).trials.push(ended);
    }
    points.into_values().collect()
}

/// A line for each series of a method that `compared` accepts; the bounds are none.
pub fn lines<'a>(trials: &'a Trials, score: &str, compared: impl Fn(&str) -> bool) -> Result<Vec<Line<'a>>> {
    require_columns(trials, score)?;
    let unchanged = Unchanged::of(trials);
    let line = |(series, larger): (Series<'a>, usize)| {
        let of = trials.of(series).filter(|trial| multiplies_all(trials, trial));
        let points = points(trials, &unchanged, of);
        Line { method: series.method, title: trials.title(series), larger, points }
    };
    let trained = trials.trained().into_iter().filter(|(series, _)| compared(series.method));
    some(trials, trained.map(line).collect())
}

/// The lines that have points; an error when there is none.
pub fn some<'a>(trials: &Trials, lines: Vec<Line<'a>>) -> Result<Vec<Line<'a>>> {
    let lines: Vec<Line> = lines.into_iter().filter(|line| !line.points.is_empty()).collect();
    if lines.is_empty() {
        return Err(ResultsError::nothing(
            trials.path(),
            "trial of a compared method that ran to its end or diverged",
            "run the experiment, and see its failed trials' messages",
        ));
    }
    Ok(lines)
}

/// Whether any trial of `lines` has a score of its own.
pub fn has(lines: &[Line], score: &str) -> bool {
    let mut trials = lines.iter().flat_map(|line| &line.points).flat_map(|point| &point.trials);
    trials.any(|trial| trial.score(score).is_some_and(|(_, source)| source != Source::None))
}
