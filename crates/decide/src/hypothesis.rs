//! What a statement claims of a mean over units, and at which levels the units decide it.

use results::Sample;
use results::stats::{self, MeanTest};

use crate::verdict::Verdict;

/// How far apart two things may be and still count as alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Margin {
    Absolute(f64),
    /// A share of the mean that is compared with.
    Share(f64),
}

impl Margin {
    /// The margin beside a unit's reference.
    fn at(self, reference: f64) -> f64 {
        match self {
            Self::Absolute(margin) => margin,
            Self::Share(share) => share * reference.abs(),
        }
    }

    /// The margin beside the mean of references.
    pub fn mean(self, references: &[f64]) -> f64 {
        self.at(stats::mean(references).unwrap_or_default())
    }
}

/// What is claimed of the true mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It is above zero.
    Above,
    /// It lies within the margin of zero.
    Alike,
    /// It is above minus the margin.
    NotBelow,
}

/// A claim with the smallest difference that matters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hypothesis {
    pub claimed: Claimed,
    pub margin: Margin,
}

/// What an estimate can be besides exact, where what is measured ends too early.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The truth may be larger.
    pub is_lower: bool,
    /// The truth may be smaller.
    pub is_upper: bool,
}

/// The smallest two-sided level at which each answer is clear; 1 where it never is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levels {
    /// Above zero, and below it.
    above: f64,
    below: f64,
    /// Above minus the margin, and below that.
    kept: f64,
    under: f64,
    /// Above the margin, and between minus the margin and the margin.
    over: f64,
    inside: f64,
}

impl Hypothesis {
    /// From a sample and a reference of each of its units. An answer has half of its level, as each end of an interval has.
    pub fn levels(&self, sample: &Sample, references: &[f64], bounds: Bounds) -> Levels {
        // A margin that is a share of a mean is estimated as that mean is: each unit is moved by its own.
        let margin = |unit: usize| self.margin.at(references.get(unit).copied().unwrap_or_default());
        let test = |sign: f64| sample.moved(|unit| sign * margin(unit));
        let level = |test: Option<MeanTest>, one_sided: fn(&MeanTest, f64) -> f64, bound: bool| match test {
            Some(test) if !bound => (2.0 * one_sided(&test, 0.0)).min(1.0),
            _ => 1.0,
        };
        let up = |sign: f64| level(test(sign), MeanTest::p_above, bounds.is_upper);
        let down = |sign: f64| level(test(sign), MeanTest::p_below, bounds.is_lower);
        let (kept, over) = (up(1.0), up(-1.0));
        Levels {
            above: up(0.0),
            below: down(0.0),
            kept,
            under: down(1.0),
            over,
            inside: kept.max(down(-1.0)),
        }
    }

    /// The smallest level at which the units decide the claim, either way.
    pub fn p(&self, levels: &Levels) -> f64 {
        match self.claimed {
            Claimed::Above => levels.above.min(levels.below).min(levels.inside),
            Claimed::Alike => levels.inside.min(levels.over).min(levels.under),
            Claimed::NotBelow => levels.kept.min(levels.under),
        }
    }

    /// What the units decide at a level, and in what way.
    pub fn outcome(&self, levels: &Levels, level: f64) -> (Verdict, &'static str) {
        let holds = |at: f64| at <= level;
        match self.claimed {
            Claimed::Above if holds(levels.above) && holds(levels.inside) => {
                (Verdict::Alike, "above, but by less than what matters")
            }
            Claimed::Above if holds(levels.above) => (Verdict::Reproduced, ""),
            Claimed::Above if holds(levels.below) => {
                (Verdict::Refuted, "the difference is the other way round")
            }
            Claimed::Above if holds(levels.inside) => {
                (Verdict::Refuted, "alike, where a difference was claimed")
            }
            Claimed::Alike if holds(levels.inside) => (Verdict::Reproduced, ""),
            Claimed::Alike if holds(levels.over) || holds(levels.under) => {
                (Verdict::Refuted, "the difference is larger than what counts as alike")
            }
            Claimed::NotBelow if holds(levels.kept) => (Verdict::Reproduced, ""),
            Claimed::NotBelow if holds(levels.under) => {
                (Verdict::Refuted, "it is below by more than the margin")
            }
            _ => (Verdict::Undecided, ""),
        }
    }

    /// The fewest units that decide the claim with power 0.8 at a level, if the truth is what the sample shows: either the
    /// difference or its absence is found. None where no number would, or where the units have no spread.
    pub fn units_needed(&self, sample: &Sample, references: &[f64], level: f64) -> Option<usize> {
        let mean = sample.mean()?;
        let margin = self.margin.mean(references);
        let distances = match self.claimed {
            Claimed::Above => vec![mean.abs(), margin - mean.abs()],
            Claimed::Alike => vec![(margin - mean.abs()).abs()],
            Claimed::NotBelow => vec![(margin + mean).abs()],
        };
        distances.into_iter().filter_map(|distance| sample.units_needed(distance, level)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOVE: Hypothesis = Hypothesis { claimed: Claimed::Above, margin: Margin::Absolute(0.1) };
    const ALIKE: Hypothesis = Hypothesis { claimed: Claimed::Alike, ..ABOVE };
    const NOT_BELOW: Hypothesis = Hypothesis { claimed: Claimed::NotBelow, ..ABOVE };

    /// Ten units around `mean`, with a standard deviation of `spread`.
    fn around(mean: f64, spread: f64) -> Sample {
        let scale = spread / (82.5_f64 / 9.0).sqrt();
        Sample::of((0..10).map(|unit| mean + scale * (f64::from(unit) - 4.5)).collect())
    }

    fn outcome(hypothesis: Hypothesis, sample: &Sample, level: f64) -> Verdict {
        let levels = hypothesis.levels(sample, &[], Bounds::default());
        let (verdict, _) = hypothesis.outcome(&levels, level);
        assert_eq!(hypothesis.p(&levels) <= level, verdict != Verdict::Undecided, "{sample:?}");
        verdict
    }

    #[test]
    fn an_answer_is_given_where_the_interval_of_its_level_gives_it() {
        for (mean, spread) in
            [(0.3, 0.2), (0.3, 1.0), (-0.3, 0.2), (0.05, 0.02), (0.0, 0.05), (0.12, 0.01), (-0.05, 0.02)]
        {
            let values = around(mean, spread);
            for level in [0.05, 0.01, 0.2] {
                let (low, high) = values.test().unwrap().interval(level);
                let (is_inside, is_outside) = (low >= -0.1 && high <= 0.1, low > 0.1 || high < -0.1);
                let above = match (low > 0.0, high < 0.0, is_inside) {
                    (true, _, true) => Verdict::Alike,
                    (true, ..) => Verdict::Reproduced,
                    (_, true, _) | (.., true) => Verdict::Refuted,
                    _ => Verdict::Undecided,
                };
                assert_eq!(outcome(ABOVE, &values, level), above, "{mean} {spread} {level}");
                let alike = match (is_inside, is_outside) {
                    (true, _) => Verdict::Reproduced,
                    (_, true) => Verdict::Refuted,
                    _ => Verdict::Undecided,
                };
                assert_eq!(outcome(ALIKE, &values, level), alike, "{mean} {spread} {level}");
                let not_below = match (low > -0.1, high < -0.1) {
                    (true, _) => Verdict::Reproduced,
                    (_, true) => Verdict::Refuted,
                    _ => Verdict::Undecided,
                };
                assert_eq!(outcome(NOT_BELOW, &values, level), not_below, "{mean} {spread} {level}");
            }
        }
        assert_eq!(
            outcome(ABOVE, &Sample::of(vec![0.3; 5]), 0.05),
            Verdict::Undecided,
            "no spread says nothing"
        );
        assert_eq!(outcome(ABOVE, &Sample::of(vec![0.3]), 0.05), Verdict::Undecided);
    }

    #[test]
    fn a_share_of_the_reference_is_a_margin_of_each_unit() {
        let hypothesis = Hypothesis { margin: Margin::Share(0.05), ..NOT_BELOW };
        // 4 % below everywhere, beside references that differ by far more than that.
        let references: Vec<f64> = (1..=10).map(f64::from).collect();
        let lost = |share: f64| {
            let lost = references.iter().map(|reference| reference * (-share + 1e-3 * reference.cos()));
            Sample::of(lost.collect())
        };
        let outcome = |sample: &Sample| {
            hypothesis.outcome(&hypothesis.levels(sample, &references, Bounds::default()), 0.05).0
        };
        assert_eq!(outcome(&lost(0.04)), Verdict::Reproduced);
        assert_eq!(outcome(&lost(0.06)), Verdict::Refuted);
    }

    #[test]
    fn what_the_sweep_cuts_off_is_a_bound_and_no_more() {
        let levels = |mean, bounds| ABOVE.levels(&around(mean, 0.05), &[], bounds);
        let lower = Bounds { is_lower: true, is_upper: false };
        assert_eq!(ABOVE.outcome(&levels(0.3, lower), 0.05).0, Verdict::Reproduced);
        assert_eq!(ABOVE.outcome(&levels(-0.3, lower), 0.05).0, Verdict::Undecided);
        assert_eq!(ABOVE.outcome(&levels(0.0, lower), 0.05).0, Verdict::Undecided);
        let upper = Bounds { is_lower: false, is_upper: true };
        assert_eq!(ABOVE.outcome(&levels(0.3, upper), 0.05).0, Verdict::Undecided);
        assert_eq!(ABOVE.outcome(&levels(-0.3, upper), 0.05).0, Verdict::Refuted);
    }

    #[test]
    fn the_units_needed_are_those_of_the_answer_that_comes_first() {
        let needed = |hypothesis: Hypothesis, mean| hypothesis.units_needed(&around(mean, 0.2), &[], 0.05);
        assert_eq!(needed(ABOVE, 0.0), around(0.0, 0.2).units_needed(0.1, 0.05), "its absence");
        assert_eq!(needed(ABOVE, 0.3), around(0.3, 0.2).units_needed(0.3, 0.05), "a difference");
        assert_eq!(needed(ABOVE, -0.08), around(0.0, 0.2).units_needed(0.08, 0.05));
        assert!(needed(ALIKE, 0.1).is_none_or(|count| count > 100_000), "on the margin");
        assert_eq!(needed(NOT_BELOW, 0.1), around(0.0, 0.2).units_needed(0.2, 0.05));
        assert_eq!(ABOVE.units_needed(&Sample::of(vec![1.0]), &[], 0.05), None);
    }
}
