//! Trials over the learning-rate multiplier: lines of points, and what a diverged trial counts as.

use std::collections::BTreeMap;

use crate::error::{FiguresError, Result};
use crate::layout::NONE;
use crate::plots::lines::Look;
use crate::series::Series;
use crate::stats;
use crate::trials::{Status, Trial, Trials};

pub const MULTIPLIER: &str = "config.learning_rate_multiplier";
/// Which of a method's rates the multiplier multiplies; empty or `all` is all of them.
pub const MULTIPLIED: &str = "config.multiplied";
pub const SCORE: &str = "dino";
const DISTANCE: &str = "distance";

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
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    pub replicate: Replicate<'a>,
    pub diverged: bool,
    /// Absent where a trial diverged and nothing stands for its score.
    pub score: Option<(f64, Source)>,
    /// Of the tracked layer, at the end or the last finite one.
    pub distance: Option<f64>,
}

/// All trials of a line at one multiplier.
#[derive(Clone, Debug)]
pub struct Point<'a> {
    pub multiplier: f64,
    pub trials: Vec<Ended<'a>>,
}

/// One line of the figure.
pub struct Line<'a> {
    pub method: &'a str,
    pub look: Look,
    /// In the order of the multipliers.
    pub points: Vec<Point<'a>>,
}

impl Point<'_> {
    pub fn diverged(&self) -> usize {
        self.trials.iter().filter(|trial| trial.diverged).count()
    }

    pub fn scores(&self) -> Vec<f64> {
        self.trials.iter().filter_map(|trial| Some(trial.score?.0)).collect()
    }

    /// Of the trials that ran to their end: a diverged one is on its way to infinity.
    pub fn distances(&self) -> Vec<f64> {
        let done = self.trials.iter().filter(|trial| !trial.diverged);
        done.filter_map(|trial| trial.distance).collect()
    }

    pub fn counted(&self, source: Source) -> usize {
        self.trials.iter().filter(|trial| trial.score.is_some_and(|(_, known)| known == source)).count()
    }

    /// Diverged trials that nothing stands for.
    pub fn left_out(&self) -> usize {
        self.trials.iter().filter(|trial| trial.diverged && trial.score.is_none()).count()
    }
}

/// Scores of no finetuning, which stand for those of trials that diverged without one.
pub struct Unchanged<'a> {
    scores: Vec<(Replicate<'a>, f64)>,
}

impl<'a> Unchanged<'a> {
    pub fn of(trials: &'a Trials) -> Self {
        let scored = |trial: &'a Trial| Some((replicate(trial), trials.score(trial, SCORE)?));
        Self { scores: trials.of(Series::of(NONE)).filter_map(scored).collect() }
    }

    /// As where no finetuning was not run.
    #[cfg(test)]
    pub fn none() -> Self {
        Self { scores: Vec::new() }
    }

    /// That of the same seed and subject; else the mean of the same subject; else of all.
    pub fn score(&self, (seed, subject): Replicate) -> Option<f64> {
        let mean = |keep: &dyn Fn(Replicate) -> bool| {
            let kept = self.scores.iter().filter(|(of, _)| keep(*of)).map(|(_, score)| *score);
            stats::mean(&kept.collect::<Vec<_>>())
        };
        mean(&|of| of == (seed, subject)).or_else(|| mean(&|of| of.1 == subject)).or_else(|| mean(&|_| true))
    }

    pub fn is_known(&self) -> bool {
        !self.scores.is_empty()
    }
}

pub fn replicate(trial: &Trial) -> Replicate<'_> {
    (trial.seed.as_str(), trial.subject.as_str())
}

/// An error where the trials have no score or nothing that tells their learning rates apart.
pub fn require_columns(trials: &Trials) -> Result<()> {
    trials.column(&[SCORE])?;
    trials.column(&[MULTIPLIER])?;
    Ok(())
}

/// Whether the multiplier of a trial acts on all of its learning rates.
pub fn multiplies_all(trials: &Trials, trial: &Trial) -> bool {
    ["", "all"].contains(&trials.setting(trial, MULTIPLIED))
}

/// What a trial ended with; `None` for one that failed.
pub fn ended<'a>(trials: &Trials, unchanged: &Unchanged, trial: &'a Trial) -> Option<Ended<'a>> {
    let diverged = trial.status == Status::Diverged;
    let score = trials.number(trial, SCORE);
    let score = if diverged {
        let last = score.map(|score| (score, Source::LastFinite));
        last.or_else(|| Some((unchanged.score(replicate(trial))?, Source::None)))
    } else {
        score.map(|score| (score, Source::End))
    };
    let distance = trials.number(trial, DISTANCE).filter(|distance| *distance >= 0.0);
    (trial.status != Status::Failed).then_some(Ended {
        replicate: replicate(trial),
        diverged,
        score,
        distance,
    })
}

/// Points of `of`, smallest multiplier first; a trial that states none has 1, its base rate.
pub fn points<'a>(
    trials: &Trials,
    unchanged: &Unchanged,
    of: impl Iterator<Item = &'a Trial>,
) -> Vec<Point<'a>> {
    let mut points: BTreeMap<u64, Point<'a>> = BTreeMap::new();
    for trial in of {
        let multiplier = match trials.setting(trial, MULTIPLIER) {
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
pub fn lines<'a>(trials: &'a Trials, compared: impl Fn(&str) -> bool) -> Result<Vec<Line<'a>>> {
    require_columns(trials)?;
    let unchanged = Unchanged::of(trials);
    let line = |(series, larger): (Series<'a>, usize)| {
        let of = trials.of(series).filter(|trial| multiplies_all(trials, trial));
        let points = points(trials, &unchanged, of);
        Line { method: series.method, look: Look::of_series(series, larger), points }
    };
    let trained = trials.trained().into_iter().filter(|(series, _)| compared(series.method));
    some(trials, trained.map(line).collect())
}

/// The lines that have points; an error when there is none.
pub fn some<'a>(trials: &Trials, lines: Vec<Line<'a>>) -> Result<Vec<Line<'a>>> {
    let lines: Vec<Line> = lines.into_iter().filter(|line| !line.points.is_empty()).collect();
    if lines.is_empty() {
        return Err(FiguresError::Nothing {
            path: trials.path().to_path_buf(),
            what: "trial of a compared method that ran to its end or diverged".to_owned(),
            remedy: "run the experiment, and see its failed trials' messages".to_owned(),
        });
    }
    Ok(lines)
}
