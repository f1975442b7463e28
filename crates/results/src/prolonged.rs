//! What prolonged training does, in numbers: does the distance still grow, and what does the score lose?
//!
//! The slope is that of the least-squares line through a trial's distances over the last third of its steps,
//! per 100 steps. The verdict is "still growing" where the interval of the mean slope over units (subjects, or seeds of one)
//! lies above zero, "shrinking" where it lies below, "flat" where it holds zero. A method that nears its
//! bound ever more slowly still grows: the slope relative to the distance at the end says how much that
//! matters.
//!
//! The best step is the one with the largest mean score, the first of equal ones; the loss since then is paired
//! trial by trial. As the best step is chosen by the same trials, that loss is zero at least and tends to be
//! too large.

use crate::curves::band;
use crate::stats;
use crate::sweep::Replicate;
use crate::units::unit_means;

const LAST_SHARE: f64 = 1.0 / 3.0;
const SLOPE_STEPS: f64 = 100.0;

/// Step and value.
pub type Points = Vec<(f64, f64)>;

/// What the distances of some trials do at the end.
pub struct Growth<'a> {
    /// Slope over the last third of the steps, per 100 steps, of each trial.
    pub slopes: Vec<(Replicate<'a>, f64)>,
    /// Distance at the last step.
    pub distances: Vec<(Replicate<'a>, f64)>,
}

impl<'a> Growth<'a> {
    /// From the distances of trials that ran to their end.
    pub fn of(curves: &[(Replicate<'a>, Points)]) -> Self {
        let each = |value: fn(&Points) -> Option<f64>| {
            curves.iter().filter_map(|(replicate, points)| Some((*replicate, value(points)?))).collect()
        };
        Self { slopes: each(|points| late_slope(points)), distances: each(|points| Some(points.last()?.1)) }
    }

    /// What the interval of the mean slope says.
    pub fn verdict(&self) -> &'static str {
        match stats::interval(&unit_means(&self.slopes)) {
            Some((low, _)) if low > 0.0 => "still growing",
            Some((_, high)) if high < 0.0 => "shrinking",
            Some(_) => "flat",
            None => "too few units",
        }
    }

    /// Mean slope over mean distance at the end.
    pub fn relative_slope(&self) -> Option<f64> {
        let distance = stats::mean(&unit_means(&self.distances)).filter(|distance| *distance > 0.0)?;
        Some(stats::mean(&unit_means(&self.slopes))? / distance)
    }
}

/// Scores at the step with the best mean and at the last one, a value a trial.
pub struct Loss<'a> {
    /// The step with the largest mean score.
    pub best_step: f64,
    /// The last step.
    pub end_step: f64,
    /// Scores at the best step.
    pub best: Vec<f64>,
    /// Scores at the last step.
    pub end: Vec<f64>,
    /// Best less last, of the trials that have both.
    pub losses: Vec<(Replicate<'a>, f64)>,
}

impl<'a> Loss<'a> {
    /// From the scores of trials over their steps; none where no trial has any.
    pub fn of(curves: &[(Replicate<'a>, Points)]) -> Option<Self> {
        let (replicates, curves): (Vec<_>, Vec<Points>) = curves.iter().cloned().unzip();
        let bands = band(&curves);
        let (first, end_step) = (*bands.first()?, bands.last()?.step);
        let best_step =
            bands.iter().fold(first, |best, band| if band.mean > best.mean { *band } else { best }).step;
        let at =
            |points: &Points, step: f64| points.iter().find(|(at, _)| *at == step).map(|(_, value)| *value);
        let values = |step| curves.iter().filter_map(|points| at(points, step)).collect();
        let lost = |(replicate, points)| Some((replicate, at(points, best_step)? - at(points, end_step)?));
        let losses = replicates.into_iter().zip(&curves).filter_map(lost).collect();
        Some(Self { best_step, end_step, best: values(best_step), end: values(end_step), losses })
    }
}

/// Per `SLOPE_STEPS`, over the last third of a trial's steps.
fn late_slope(points: &[(f64, f64)]) -> Option<f64> {
    let (last, _) = points.last()?;
    let late: Points =
        points.iter().copied().filter(|(step, _)| *step >= last * (1.0 - LAST_SHARE)).collect();
    stats::slope(&late).map(|slope| slope * SLOPE_STEPS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_late_slope_sees_only_the_last_third() {
        let points: Points = (0..=300).map(|step| (f64::from(step), f64::from(step.min(200)))).collect();
        assert_eq!(late_slope(&points), Some(0.0));
        let rising: Points = (0..=300).map(|step| (f64::from(step), 0.02 * f64::from(step))).collect();
        assert!((late_slope(&rising).unwrap() - 2.0).abs() < 1e-9);
        assert_eq!((late_slope(&points[..1]), late_slope(&[])), (None, None));
    }

    #[test]
    fn the_loss_is_paired_by_trial_since_the_best_mean() {
        let curves = [
            (("0", "cat"), vec![(0.0, 0.1), (50.0, 0.6), (100.0, 0.5)]),
            (("1", "cat"), vec![(0.0, 0.1), (50.0, 0.4), (100.0, 0.45)]),
        ];
        let score = Loss::of(&curves).unwrap();
        assert_eq!((score.best_step, score.end_step), (50.0, 100.0));
        assert!((score.losses[0].1 - 0.1).abs() < 1e-12 && (score.losses[1].1 + 0.05).abs() < 1e-12);
        assert!(Loss::of(&[]).is_none());
    }
}
