//! The robustness width: how many octaves of learning rate keep nearly the best score.
//!
//! The score is DINO, or each trial's DINO × CLIP-T: the likeness to the subject alone stays high where a
//! method draws its training pictures whatever the prompt. On a task of GLUE it is the task's own.
//!
//! Of one line of a sweep over the learning-rate multiplier, let s(x) be the mean score over the replicates
//! (seed, subject) at the tested multiplier 2^x, and between neighbours the straight line in x. The best
//! multiplier is the tested one with the largest mean, the smallest of equal ones. The **robustness width**
//! is the length, in octaves (in x), of the range around the best multiplier in which s stays at or above
//! 95 % of the best mean, measured from a score of 0. It ends at the first crossing on each side. Where s has
//! not fallen so far at the last tested multiplier of a side, the range ends there and the width is
//! *censored*: it is at least that ("≥ 5.2"). A tested multiplier at which no trial has a score counts as a
//! failure: the range ends at its neighbour, without censoring. There is no width where the best mean is not
//! above the origin.
//!
//! The origin of a score is arbitrary, so the **gain width** is the same with the score measured from that of
//! no finetuning: it keeps at least 95 % of what finetuning gains.
//!
//! The **expected score** uses the whole curve: it is the score that a learning rate drawn evenly over the octaves of the sweep
//! can expect, the mean of the replicate's own curve by the trapezoid rule. It needs a score at every tested multiplier.
//!
//! A diverged trial counts with its last finite score, else with that of no finetuning; with neither it is
//! left out.
//!
//! Intervals of widths are 95 % percentile bootstrap intervals. Each resample draws replicates with repetition and
//! keeps all multipliers of a drawn one, so the widths of a resample are those of whole sweeps. The
//! difference to the baseline's width is over the replicates that both lines have, drawn jointly. The width of
//! a censored line is a lower bound in its resamples too. So a difference is a lower bound where only the
//! line is censored, an upper bound where only the baseline is, and unknown where both are.

use std::collections::{BTreeMap, BTreeSet};

use crate::sample::Sample;
use crate::stats;
use crate::sweep::{Line, Replicate, Unchanged};
use crate::units::unit_means;

/// The share of the best score that counts as kept.
pub const KEPT: f64 = 0.95;

/// A range of multipliers around the best one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Width {
    /// Multiplier with the best mean score.
    pub best: f64,
    /// Multiplier at the lower end of the range.
    pub from: f64,
    /// The upper one.
    pub to: f64,
    /// Whether the range reaches the smallest and the largest tested multiplier.
    pub censored: (bool, bool),
}

impl Width {
    /// Length of the range.
    pub fn octaves(&self) -> f64 {
        (self.to / self.from).log2()
    }

    /// Whether it reaches an end of the tested multipliers.
    pub fn is_censored(&self) -> bool {
        self.censored.0 || self.censored.1
    }

    /// The width of mean scores by multiplier, smallest multiplier first; absent is a multiplier without a score.
    pub fn of(means: &[(f64, Option<f64>)], origin: f64) -> Option<Self> {
        let scored = means.iter().enumerate().filter_map(|(index, (_, mean))| Some((index, (*mean)?)));
        let (best, top) = scored.fold(None, |best: Option<(usize, f64)>, (index, mean)| match best {
            Some((_, top)) if mean <= top => best,
            _ => Some((index, mean)),
        })?;
        let threshold = origin + KEPT * (top - origin);
        if top <= origin {
            return None;
        }
        let below = means[..=best].iter().rev().copied();
        let (from, from_censored) = reach(below, threshold);
        let (to, to_censored) = reach(means[best..].iter().copied(), threshold);
        Some(Self { best: means[best].0, from, to, censored: (from_censored, to_censored) })
    }
}

/// How far scores stay at `threshold` when one walks away from the best, and whether they do to the end.
fn reach(mut walk: impl Iterator<Item = (f64, Option<f64>)>, threshold: f64) -> (f64, bool) {
    let (mut at, mut score) = (1.0, threshold);
    if let Some((best, top)) = walk.next() {
        (at, score) = (best, top.unwrap_or(threshold));
    }
    for (next, mean) in walk {
        let Some(mean) = mean else { return (at, false) };
        if mean < threshold {
            let share = (score - threshold) / (score - mean);
            return ((at.log2() + share * (next / at).log2()).exp2(), false);
        }
        (at, score) = (next, mean);
    }
    (at, true)
}

/// One score of one line, by multiplier and replicate.
pub struct Scores<'a> {
    multipliers: Vec<f64>,
    /// For each multiplier, in their order; absent where the replicate has no score there.
    by_replicate: BTreeMap<Replicate<'a>, Vec<Option<f64>>>,
}

impl<'a> Scores<'a> {
    /// The scores of a line.
    pub fn of(line: &Line<'a>, score: &str) -> Self {
        let multipliers = line.points.iter().map(|point| point.multiplier).collect::<Vec<_>>();
        let mut by_replicate: BTreeMap<Replicate<'a>, Vec<Option<f64>>> = BTreeMap::new();
        for (index, point) in line.points.iter().enumerate() {
            for trial in &point.trials {
                let scores = by_replicate.entry(trial.replicate).or_insert(vec![None; multipliers.len()]);
                scores[index] = trial.score(score).map(|(value, _)| value);
            }
        }
        Self { multipliers, by_replicate }
    }

    /// Seeds and subjects that have any.
    pub fn replicates(&self) -> Vec<Replicate<'a>> {
        self.by_replicate.keys().copied().collect()
    }

    /// Octaves from the smallest to the largest multiplier.
    pub fn octaves(&self) -> f64 {
        let ends = self.multipliers.first().zip(self.multipliers.last());
        ends.map_or(0.0, |(first, last)| (last / first).log2())
    }

    /// The mean of a replicate's curve over the octaves; none where it has no score at one of several multipliers.
    pub fn expected(&self, replicate: Replicate) -> Option<f64> {
        let scores: Vec<f64> = self.by_replicate.get(&replicate)?.iter().copied().collect::<Option<_>>()?;
        let points: Vec<(f64, f64)> = self.multipliers.iter().map(|at| at.log2()).zip(scores).collect();
        let areas =
            points.windows(2).map(|pair| (pair[1].0 - pair[0].0) * f64::midpoint(pair[0].1, pair[1].1));
        (points.len() > 1).then(|| areas.sum::<f64>() / self.octaves())
    }

    /// The expected score of each replicate that has one.
    pub fn all_expected(&self) -> Vec<(Replicate<'a>, f64)> {
        let expected = |replicate| Some((replicate, self.expected(replicate)?));
        self.replicates().into_iter().filter_map(expected).collect()
    }

    /// How far they are above those of another line, of the replicates that have both.
    pub fn expected_above(&self, other: &Self) -> Vec<(Replicate<'a>, f64)> {
        let above = |(replicate, own)| Some((replicate, own - other.expected(replicate)?));
        self.all_expected().into_iter().filter_map(above).collect()
    }

    /// The width over the drawn replicates, one of them as often as it was drawn; `origin` gives where its score starts.
    pub fn width(&self, drawn: &[Replicate], origin: impl Fn(Replicate) -> f64) -> Option<Width> {
        let rows: Vec<&Vec<Option<f64>>> =
            drawn.iter().filter_map(|replicate| self.by_replicate.get(replicate)).collect();
        let mean = |(index, multiplier): (usize, &f64)| {
            let scores: Vec<f64> = rows.iter().filter_map(|row| row[index]).collect();
            (*multiplier, stats::mean(&scores))
        };
        let means: Vec<(f64, Option<f64>)> = self.multipliers.iter().enumerate().map(mean).collect();
        let origins: Vec<f64> = drawn.iter().map(|replicate| origin(*replicate)).collect();
        Width::of(&means, stats::mean(&origins)?)
    }
}

/// A width with its interval.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    /// Over all replicates.
    pub width: Width,
    /// In octaves.
    pub interval: Option<(f64, f64)>,
}

/// What the table says of one line.
pub struct Robustness {
    /// Number of replicates.
    pub n: usize,
    /// Absent where no score is above zero.
    pub width: Option<Estimate>,
    /// Measured from no finetuning; absent where that was not run or is not beaten.
    pub gain: Option<Estimate>,
    /// Expected scores by unit.
    pub expected: Sample,
}

impl Robustness {
    /// The widths of a line by one score.
    pub fn of(line: &Line, unchanged: &Unchanged, score: &str) -> Self {
        let scores = Scores::of(line, score);
        let replicates = scores.replicates();
        let start = |replicate: Replicate| unchanged.score(score, replicate).unwrap_or(0.0);
        Self {
            n: replicates.len(),
            width: estimate(&scores, &replicates, &|_| 0.0),
            gain: unchanged.is_known(score).then(|| estimate(&scores, &replicates, &start)).flatten(),
            expected: Sample::of(unit_means(&scores.all_expected())),
        }
    }
}

/// A resample without any score above the origin has width zero.
fn estimate(
    scores: &Scores,
    replicates: &[Replicate],
    origin: &dyn Fn(Replicate) -> f64,
) -> Option<Estimate> {
    let width = scores.width(replicates, origin)?;
    let resampled = |drawn: &[usize]| {
        let drawn: Vec<Replicate> = drawn.iter().map(|index| replicates[*index]).collect();
        Some(scores.width(&drawn, origin).map_or(0.0, |width| width.octaves()))
    };
    Some(Estimate { width, interval: stats::bootstrap(replicates.len(), resampled) })
}

/// What censored widths make of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Neither width is censored.
    Exact,
    /// Only the line's is.
    Lower,
    /// Only the baseline's is.
    Upper,
    /// Both are.
    Unknown,
}

/// A line's width less the baseline's.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Replicates that both lines have.
    pub n: usize,
    /// The difference.
    pub octaves: f64,
    /// What it is where widths are censored.
    pub bound: Bound,
    /// In octaves.
    pub interval: Option<(f64, f64)>,
    /// Differences of expected scores by unit.
    pub expected: Sample,
}

impl Difference {
    /// Over the replicates that both lines have; none where either has no width.
    pub fn of(line: &Line, baseline: &Line, score: &str) -> Option<Self> {
        let (ours, theirs) = (Scores::of(line, score), Scores::of(baseline, score));
        let known: BTreeSet<Replicate> = theirs.replicates().into_iter().collect();
        let shared: Vec<Replicate> =
            ours.replicates().into_iter().filter(|replicate| known.contains(replicate)).collect();
        let width = |scores: &Scores, drawn: &[Replicate]| scores.width(drawn, |_| 0.0);
        let octaves =
            |scores: &Scores, drawn: &[Replicate]| width(scores, drawn).map_or(0.0, |width| width.octaves());
        let (one, other) = (width(&ours, &shared)?, width(&theirs, &shared)?);
        let bound = match (one.is_censored(), other.is_censored()) {
            (false, false) => Bound::Exact,
            (true, false) => Bound::Lower,
            (false, true) => Bound::Upper,
            (true, true) => Bound::Unknown,
        };
        let resampled = |drawn: &[usize]| {
            let drawn: Vec<Replicate> = drawn.iter().map(|index| shared[*index]).collect();
            Some(octaves(&ours, &drawn) - octaves(&theirs, &drawn))
        };
        let interval = stats::bootstrap(shared.len(), resampled);
        let expected = Sample::of(unit_means(&ours.expected_above(&theirs)));
        Some(Self { n: shared.len(), octaves: one.octaves() - other.octaves(), bound, interval, expected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::{DINO, Ended, Point, Source};

    /// A line of replicates, each with its scores at multipliers 1, 2, 4, 8.
    fn line(method: &'static str, replicates: &[(&'static str, [f64; 4])]) -> Line<'static> {
        let trial = |subject, score| {
            let scores = [(DINO, (score, Source::End))].into();
            Ended { replicate: ("0", subject), diverged: false, scores, distance: None }
        };
        let point = |index: usize| Point {
            multiplier: 2_f64.powi(index as i32),
            trials: replicates.iter().map(|(subject, scores)| trial(*subject, scores[index])).collect(),
        };
        Line { method, title: method.to_owned(), larger: 0, points: (0..4).map(point).collect() }
    }

    #[test]
    fn levels_of_replicates_do_not_widen_the_interval_and_different_shapes_do() {
        let unchanged = Unchanged::default();
        let scaled = |level: f64| [1.0, 0.98, 0.8, 0.1].map(|score| score * level);
        let alike = line("lora", &[("cat", scaled(0.3)), ("dog", scaled(0.6)), ("vase", scaled(0.9))]);
        let found = Robustness::of(&alike, &unchanged, DINO);
        let Estimate { width, interval } = found.width.unwrap();
        // From 0.98 to 0.8 the score crosses 0.95 at a sixth of the octave from 2 to 4.
        assert!((width.octaves() - (1.0 + 1.0 / 6.0)).abs() < 1e-9, "{width:?}");
        let (low, high) = interval.unwrap();
        assert!((high - low).abs() < 1e-9, "the same shape in every resample");
        assert_eq!((found.n, found.gain.is_none()), (3, true));

        let mixed = line("delora", &[("cat", [1.0, 0.5, 0.5, 0.5]), ("dog", [1.0, 1.0, 1.0, 1.0])]);
        let (low, high) = Robustness::of(&mixed, &unchanged, DINO).width.unwrap().interval.unwrap();
        assert!((low - 0.1).abs() < 1e-9 && (high - 3.0).abs() < 1e-9, "{low} {high}");
    }

    #[test]
    fn a_difference_is_paired_over_the_replicates_that_both_have() {
        let shapes = [("cat", [1.0, 0.5, 0.5, 0.5]), ("dog", [1.0, 1.0, 1.0, 1.0])];
        let (ours, theirs) = (line("delora", &shapes), line("lora", &shapes));
        let same = Difference::of(&ours, &theirs, DINO).unwrap();
        assert_eq!((same.n, same.octaves, same.interval), (2, 0.0, Some((0.0, 0.0))), "drawn jointly");
        let more = line("lora", &[shapes[1], ("vase", [1.0, 0.1, 0.1, 0.1])]);
        let shared = Difference::of(&ours, &more, DINO).unwrap();
        assert_eq!((shared.n, shared.octaves, shared.interval), (1, 0.0, None), "only the dog");
        assert_eq!(shared.bound, Bound::Unknown, "both reach both ends");
        let narrow = line("lora", &[("dog", [0.1, 1.0, 0.1, 0.1])]);
        assert_eq!(Difference::of(&ours, &narrow, DINO).unwrap().bound, Bound::Lower);
        assert_eq!(Difference::of(&narrow, &ours, DINO).unwrap().bound, Bound::Upper);
        assert_eq!(Difference::of(&narrow, &narrow, DINO).unwrap().bound, Bound::Exact);
        let other = line("lora", &[("vase", [1.0; 4])]);
        assert!(Difference::of(&ours, &other, DINO).is_none());
    }

    #[test]
    fn the_expected_score_is_the_mean_over_octaves_and_needs_all_of_them() {
        let mut line = line("lora", &[("cat", [1.0, 0.5, 0.5, 0.0]), ("dog", [1.0; 4])]);
        let expected = |line: &Line, subject| Scores::of(line, DINO).expected(("0", subject));
        assert!((expected(&line, "cat").unwrap() - (0.75 + 0.5 + 0.25) / 3.0).abs() < 1e-12);
        assert_eq!((expected(&line, "dog"), Scores::of(&line, DINO).octaves()), (Some(1.0), 3.0));
        let flat = Scores::of(&line, DINO);
        assert_eq!(flat.expected_above(&flat), [(("0", "cat"), 0.0), (("0", "dog"), 0.0)]);
        line.points[1].trials[1].scores.clear();
        assert_eq!(expected(&line, "dog"), None);
        assert_eq!(Scores::of(&line, DINO).all_expected(), [(("0", "cat"), 0.5)]);
        line.points.truncate(1);
        assert_eq!(expected(&line, "cat"), None);
    }

    fn width(scores: &[(f64, f64)], origin: f64) -> Option<Width> {
        let means: Vec<(f64, Option<f64>)> = scores.iter().map(|(at, score)| (*at, Some(*score))).collect();
        Width::of(&means, origin)
    }

    #[test]
    fn the_width_is_measured_between_interpolated_crossings() {
        // 0.95 lies halfway from 1 to 0.9 on the left, a quarter of the way from 1 to 0.8 on the right.
        let found = width(&[(0.5, 0.9), (1.0, 1.0), (2.0, 0.8), (4.0, 1.0)], 0.0).unwrap();
        assert_eq!(found.best, 1.0);
        assert!((found.octaves() - 0.75).abs() < 1e-9, "{found:?}");
        assert!((found.from.log2() + 0.5).abs() < 1e-9 && (found.to.log2() - 0.25).abs() < 1e-9);
        assert!(!found.is_censored());
    }

    #[test]
    fn a_plateau_that_reaches_an_end_is_censored_there() {
        let found = width(&[(0.25, 0.2), (0.5, 0.98), (1.0, 1.0), (8.0, 0.97)], 0.0).unwrap();
        assert_eq!(found.censored, (false, true));
        assert_eq!(found.to, 8.0);
        let one = width(&[(1.0, 0.5)], 0.0).unwrap();
        assert_eq!((one.octaves(), one.censored), (0.0, (true, true)));
    }

    #[test]
    fn measured_from_no_finetuning_the_same_scores_are_narrower() {
        let scores = [(0.5, 0.94), (1.0, 1.0), (2.0, 0.96)];
        let (whole, gain) = (width(&scores, 0.0).unwrap(), width(&scores, 0.8).unwrap());
        // From 0.8 the gain is 0.2 and may fall by 0.01: a sixth of the way to 0.94, a quarter of that to 0.96.
        assert!((gain.octaves() - (1.0 / 6.0 + 0.25)).abs() < 1e-9, "{gain:?}");
        assert!(whole.octaves() > gain.octaves());
        assert_eq!(width(&scores, 1.0), None);
        assert_eq!(width(&[], 0.0), None);
        assert_eq!(width(&[(1.0, 0.0), (2.0, -0.1)], 0.0), None);
    }

    #[test]
    fn a_multiplier_without_a_score_ends_the_range_and_is_no_censoring() {
        let means = [(1.0, Some(1.0)), (2.0, Some(0.99)), (4.0, None), (8.0, Some(1.0))];
        let found = Width::of(&means, 0.0).unwrap();
        assert_eq!((found.best, found.to, found.censored), (1.0, 2.0, (true, false)));
        assert_eq!(Width::of(&[(1.0, None)], 0.0), None);
    }
}
