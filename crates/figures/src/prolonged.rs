//! What prolonged training does, in numbers: does the distance still grow, and what does the score lose?
//!
//! The slope is that of the least-squares line through a trial's distances over the last third of its steps,
//! per 100 steps. The verdict is "still growing" where the bootstrap interval of the mean slope over trials
//! lies above zero, "shrinking" where it lies below, "flat" where it holds zero. A method that nears its
//! bound ever more slowly still grows: the slope relative to the distance at the end says how much that
//! matters.
//!
//! The best step is the one with the largest mean score, the first of equal ones; the loss since then is paired
//! trial by trial. As the best step is chosen by the same trials, that loss is zero at least and tends to be
//! too large.

use std::path::{Path, PathBuf};

use crate::axis::signed;
use crate::curves::{Curves, band};
use crate::error::Result;
use crate::output::{markdown, owned, write, write_csv};
use crate::pairs::with_sign;
use crate::series::Series;
use crate::spread::diverged;
use crate::stats;
use crate::table::{ABSENT, full};
use crate::trials::{Status, Trials};

const LAST_SHARE: f64 = 1.0 / 3.0;
const SLOPE_STEPS: f64 = 100.0;

type Points = Vec<(f64, f64)>;

/// One line of the table, of the trials that ran to their end.
struct Row {
    method: String,
    title: String,
    diverged: usize,
    /// Per 100 steps, a value a trial.
    slopes: Vec<f64>,
    distances: Vec<f64>,
    score: Option<Score>,
}

/// A value a trial of the mean's best step, the last step, and their difference.
struct Score {
    best_step: f64,
    end_step: f64,
    best: Vec<f64>,
    end: Vec<f64>,
    losses: Vec<f64>,
}

/// `prolonged.md` and `prolonged.csv`.
pub fn write_tables(
    trials: &Trials,
    series: &[Series],
    distance: &Curves,
    score: &Curves,
    plots: &Path,
) -> Result<Vec<PathBuf>> {
    let row = |series: &Series| Row::of(trials, *series, distance, score);
    let rows: Vec<Row> = series.iter().map(row).collect();
    let cells: Vec<Vec<String>> = rows.iter().map(Row::csv).collect();
    let csv = write_csv(&plots.join("prolonged.csv"), &csv_header(), &cells)?;
    let header = [
        "method",
        "n",
        "diverged",
        "slope per 100 steps",
        "95 % interval",
        "of the distance",
        "verdict",
        "distance at the end",
        "DINO at its best",
        "best step",
        "DINO at the end",
        "lost since",
        "95 % interval",
    ];
    let cells: Vec<Vec<String>> = rows.iter().map(Row::markdown).collect();
    let text = format!(
        "{}\nSlope: of the distance of the tracked layer over the last third of training, least squares for each trial. “Still \
         growing” where the percentile bootstrap interval of the mean over trials lies above zero, “flat” where it holds zero; the share beside it is of the distance at the end. \
         Lost since: DINO at the step with the best mean less DINO at the end, paired by trial; the best step is chosen by the \
         same trials, which makes the loss look larger than it is.\n",
        markdown(&owned(&header), &cells)
    );
    Ok(vec![write(&plots.join("prolonged.md"), text.as_bytes())?, csv])
}

impl Row {
    fn of(trials: &Trials, series: Series, distance: &Curves, score: &Curves) -> Self {
        let of = |curves: &Curves| -> Vec<Points> {
            let done = trials.of(series).filter(|trial| trial.status == Status::Done);
            done.filter_map(|trial| curves.by_trial.get(&trial.id).cloned()).collect()
        };
        let distances = of(distance);
        Self {
            method: series.method.to_owned(),
            title: series.title(),
            diverged: diverged(trials.of(series)),
            slopes: distances.iter().filter_map(|points| late_slope(points)).collect(),
            distances: distances.iter().filter_map(|points| Some(points.last()?.1)).collect(),
            score: Score::of(&of(score)),
        }
    }

    fn verdict(&self) -> &'static str {
        match stats::bootstrap_interval(&self.slopes) {
            Some((low, _)) if low > 0.0 => "still growing",
            Some((_, high)) if high < 0.0 => "shrinking",
            Some(_) => "flat",
            None => "too few trials",
        }
    }

    /// Mean slope over mean distance at the end.
    fn relative_slope(&self) -> Option<f64> {
        let distance = stats::mean(&self.distances).filter(|distance| *distance > 0.0)?;
        Some(stats::mean(&self.slopes)? / distance)
    }

    fn csv(&self) -> Vec<String> {
        let mut cells = vec![self.method.clone(), self.title.clone()];
        cells.extend([self.distances.len(), self.diverged].map(|count| count.to_string()));
        cells.extend(with_interval(&self.slopes));
        cells.push(full(self.relative_slope()));
        cells.push(self.verdict().to_owned());
        cells.extend([stats::mean(&self.distances), stats::std(&self.distances)].map(full));
        let score = self.score.as_ref();
        cells.extend(
            [score.map(|score| score.best_step), score.and_then(|score| stats::mean(&score.best))].map(full),
        );
        cells.extend(
            [score.map(|score| score.end_step), score.and_then(|score| stats::mean(&score.end))].map(full),
        );
        cells.push(score.map_or(String::new(), |score| score.losses.len().to_string()));
        cells.extend(with_interval(score.map_or(&[], |score| &score.losses)));
        cells
    }

    fn markdown(&self) -> Vec<String> {
        let number =
            |value: Option<f64>, decimals| value.map_or(ABSENT.to_owned(), |value| signed(value, decimals));
        let interval = |values: &[f64]| {
            let text = |(low, high)| format!("{} to {}", with_sign(low, 4), with_sign(high, 4));
            stats::bootstrap_interval(values).map_or(ABSENT.to_owned(), text)
        };
        let signed_mean =
            |values: &[f64]| stats::mean(values).map_or(ABSENT.to_owned(), |mean| with_sign(mean, 4));
        let mut cells = vec![self.title.clone()];
        cells.extend([self.distances.len(), self.diverged].map(|count| count.to_string()));
        let relative = self
            .relative_slope()
            .map_or(ABSENT.to_owned(), |share| format!("{} %", with_sign(share * 100.0, 1)));
        cells.extend([
            signed_mean(&self.slopes),
            interval(&self.slopes),
            relative,
            self.verdict().to_owned(),
        ]);
        cells.push(number(stats::mean(&self.distances), 3));
        let Some(score) = &self.score else {
            cells.extend([ABSENT; 5].map(str::to_owned));
            return cells;
        };
        cells.extend([number(stats::mean(&score.best), 3), number(Some(score.best_step), 0)]);
        cells.extend([number(stats::mean(&score.end), 3), number(stats::mean(&score.losses), 3)]);
        cells.push(interval(&score.losses));
        cells
    }
}

impl Score {
    fn of(curves: &[Points]) -> Option<Self> {
        let bands = band(curves);
        let (first, end_step) = (*bands.first()?, bands.last()?.step);
        let best_step =
            bands.iter().fold(first, |best, band| if band.mean > best.mean { *band } else { best }).step;
        let at =
            |points: &Points, step: f64| points.iter().find(|(at, _)| *at == step).map(|(_, value)| *value);
        let values = |step| curves.iter().filter_map(|points| at(points, step)).collect();
        let losses = curves.iter().filter_map(|points| Some(at(points, best_step)? - at(points, end_step)?));
        Some(Self {
            best_step,
            end_step,
            best: values(best_step),
            end: values(end_step),
            losses: losses.collect(),
        })
    }
}

/// Per `SLOPE_STEPS`, over the last third of a trial's steps.
fn late_slope(points: &[(f64, f64)]) -> Option<f64> {
    let (last, _) = points.last()?;
    let late: Points =
        points.iter().copied().filter(|(step, _)| *step >= last * (1.0 - LAST_SHARE)).collect();
    stats::slope(&late).map(|slope| slope * SLOPE_STEPS)
}

fn csv_header() -> Vec<String> {
    let mut header = owned(&["method", "title", "n", "diverged"]);
    header.extend(owned(&[
        "slope_per_100_steps",
        "slope_lo",
        "slope_hi",
        "slope_of_distance",
        "verdict",
        "distance_mean",
        "distance_std",
    ]));
    header.extend(owned(&["dino_best_step", "dino_best", "dino_end_step", "dino_end"]));
    header.extend(owned(&["n_pairs", "dino_lost", "dino_lost_lo", "dino_lost_hi"]));
    header
}

/// Mean and the ends of its interval.
fn with_interval(values: &[f64]) -> [String; 3] {
    let interval = stats::bootstrap_interval(values);
    [stats::mean(values), interval.map(|(low, _)| low), interval.map(|(_, high)| high)].map(full)
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
        let curves =
            [vec![(0.0, 0.1), (50.0, 0.6), (100.0, 0.5)], vec![(0.0, 0.1), (50.0, 0.4), (100.0, 0.45)]];
        let score = Score::of(&curves).unwrap();
        assert_eq!((score.best_step, score.end_step), (50.0, 100.0));
        assert!((score.losses[0] - 0.1).abs() < 1e-12 && (score.losses[1] + 0.05).abs() < 1e-12);
        assert!(Score::of(&[]).is_none());
    }
}
