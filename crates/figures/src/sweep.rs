//! Trials over the learning-rate multiplier: lines of points, their scores, and what a diverged trial counts
//! as.

use std::collections::BTreeMap;

use crate::error::{FiguresError, Result};
use crate::glue;
use crate::instruct;
use crate::layout::NONE;
use crate::plots::lines::Look;
use crate::series::Series;
use crate::stats;
use crate::trials::{Status, Trial, Trials};

pub const MULTIPLIER: &str = "config.learning_rate_multiplier";
/// Which of a method's rates the multiplier multiplies; empty or `all` is all of them.
pub const MULTIPLIED: &str = "config.multiplied";
/// Of the tracked layer; where none is tracked, the mean over layers.
const DISTANCES: [&str; 2] = ["distance", "mean_distance"];

/// Seed and subject: what trials of different multipliers and methods share.
pub type Replicate<'a> = (&'a str, &'a str);

/// What a trial is scored by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// Fidelity to the subject.
    Dino,
    /// Fidelity to the prompt.
    ClipT,
    /// DINO × CLIP-T, a negative factor as 0: high only where a picture shows the subject as the prompt asks.
    Product,
    /// A task's own metric. A finished trial without one never got above 0 on the validation half, and counts as 0.
    Task,
    /// The benchmarks of instruction tuning, and their mean.
    Mmlu,
    Arc,
    Mc1,
    Mc2,
    Average,
}

impl Score {
    pub const ALL: [Self; 9] = [
        Self::Dino,
        Self::ClipT,
        Self::Product,
        Self::Task,
        Self::Mmlu,
        Self::Arc,
        Self::Mc1,
        Self::Mc2,
        Self::Average,
    ];

    /// As in the names of columns.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dino => "dino",
            Self::ClipT => "clip_t",
            Self::Product => "dino_x_clip_t",
            Self::Task => glue::SCORE,
            Self::Mmlu => instruct::MMLU,
            Self::Arc => instruct::ARC,
            Self::Mc1 => instruct::MC1,
            Self::Mc2 => instruct::MC2,
            Self::Average => instruct::AVERAGE,
        }
    }

    /// Of a trial whatever its status.
    fn of(self, trials: &Trials, trial: &Trial) -> Option<f64> {
        let factor = |score: Self| Some(score.of(trials, trial)?.max(0.0));
        match self {
            Self::Product => Some(factor(Self::Dino)? * factor(Self::ClipT)?),
            Self::Task if trial.status == Status::Done && trials.has(self.name()) => {
                Some(trials.number(trial, self.name()).unwrap_or(0.0))
            }
            _ => trials.number(trial, self.name()),
        }
    }
}

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
    /// In the order of `Score::ALL`; absent where nothing stands for it.
    pub scores: [Option<(f64, Source)>; Score::ALL.len()],
    /// From the pretrained weight, at the end or the last finite one.
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

impl Ended<'_> {
    pub fn score(&self, score: Score) -> Option<(f64, Source)> {
        self.scores[score as usize]
    }
}

impl Point<'_> {
    pub fn diverged(&self) -> usize {
        self.trials.iter().filter(|trial| trial.diverged).count()
    }

    pub fn scores(&self, score: Score) -> Vec<f64> {
        self.trials.iter().filter_map(|trial| Some(trial.score(score)?.0)).collect()
    }

    /// Of the trials that ran to their end: a diverged one is on its way to infinity.
    pub fn distances(&self) -> Vec<f64> {
        let done = self.trials.iter().filter(|trial| !trial.diverged);
        done.filter_map(|trial| trial.distance).collect()
    }

    /// Trials whose score was found so.
    pub fn counted(&self, score: Score, source: Source) -> usize {
        let sources = self.trials.iter().filter_map(|trial| Some(trial.score(score)?.1));
        sources.filter(|known| *known == source).count()
    }

    /// Diverged trials that nothing stands for.
    pub fn left_out(&self, score: Score) -> usize {
        self.trials.iter().filter(|trial| trial.diverged && trial.score(score).is_none()).count()
    }
}

/// Scores of no finetuning, which stand for those of trials that diverged without one.
pub struct Unchanged<'a> {
    /// In the order of `Score::ALL`.
    scores: [Vec<(Replicate<'a>, f64)>; Score::ALL.len()],
}

impl<'a> Unchanged<'a> {
    pub fn of(trials: &'a Trials) -> Self {
        let done = || trials.of(Series::of(NONE)).filter(|trial| trial.status == Status::Done);
        let scores = Score::ALL.map(|score| {
            done().filter_map(|trial| Some((replicate(trial), score.of(trials, trial)?))).collect()
        });
        Self { scores }
    }

    /// As where no finetuning was not run.
    #[cfg(test)]
    pub fn none() -> Self {
        Self { scores: Score::ALL.map(|_| Vec::new()) }
    }

    /// That of the same seed and subject; else the mean of the same subject; else of all.
    pub fn score(&self, score: Score, (seed, subject): Replicate) -> Option<f64> {
        let scores = &self.scores[score as usize];
        let mean = |keep: &dyn Fn(Replicate) -> bool| {
            let kept = scores.iter().filter(|(of, _)| keep(*of)).map(|(_, score)| *score);
            stats::mean(&kept.collect::<Vec<_>>())
        };
        mean(&|of| of == (seed, subject)).or_else(|| mean(&|of| of.1 == subject)).or_else(|| mean(&|_| true))
    }

    pub fn is_known(&self, score: Score) -> bool {
        !self.scores[score as usize].is_empty()
    }
}

pub fn replicate(trial: &Trial) -> Replicate<'_> {
    (trial.seed.as_str(), trial.subject.as_str())
}

/// An error where the trials have no score or nothing that tells their learning rates apart.
pub fn require_columns(trials: &Trials, score: Score) -> Result<()> {
    trials.column(&[score.name()])?;
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
    let scores = Score::ALL.map(|score| {
        let value = score.of(trials, trial);
        if !diverged {
            return value.map(|value| (value, Source::End));
        }
        let last = value.map(|value| (value, Source::LastFinite));
        last.or_else(|| Some((unchanged.score(score, replicate(trial))?, Source::None)))
    });
    let column = DISTANCES.into_iter().find(|column| trials.has(column));
    let distance = column.and_then(|column| trials.number(trial, column));
    let distance = distance.filter(|distance| *distance >= 0.0);
    (trial.status != Status::Failed).then_some(Ended {
        replicate: replicate(trial),
        diverged,
        scores,
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
pub fn lines<'a>(trials: &'a Trials, score: Score, compared: impl Fn(&str) -> bool) -> Result<Vec<Line<'a>>> {
    require_columns(trials, score)?;
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

/// Whether any trial of `lines` has a score of its own.
pub fn has(lines: &[Line], score: Score) -> bool {
    let mut trials = lines.iter().flat_map(|line| &line.points).flat_map(|point| &point.trials);
    trials.any(|trial| trial.score(score).is_some_and(|(_, source)| source != Source::None))
}
