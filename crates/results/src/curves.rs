//! `curves.csv`: one metric of each trial against its training step.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Result, ResultsError};
use crate::frame::Frame;
use crate::trials::Trial;

/// One metric of each trial over its steps, of one layer.
pub struct Curves {
    /// The tracked layer; of several the file's first.
    pub layer: Option<String>,
    /// Points (step, value) by the trial's id.
    pub by_trial: BTreeMap<String, Vec<(f64, f64)>>,
}

impl Curves {
    /// Non-finite values are left out; an error when the file has no row of `metric`.
    pub fn read(results: &Path, metric: &str) -> Result<Self> {
        let frame = read(results)?;
        let rows: Vec<usize> = (0..frame.len()).filter(|row| frame.text(*row, "metric") == metric).collect();
        let Some(first) = rows.first() else {
            return Err(ResultsError::nothing(
                frame.path(),
                format!("row with metric `{metric}`"),
                "the workload must record it for this figure; scores along the way need `evaluate_at`",
            ));
        };
        let layer = frame.text(*first, "layer").to_owned();
        let mut by_trial: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for row in rows.into_iter().filter(|row| frame.text(*row, "layer") == layer) {
            if let (Some(step), Some(value)) = (frame.number(row, "step"), frame.number(row, "value")) {
                by_trial.entry(frame.text(row, "trial_id").to_owned()).or_default().push((step, value));
            }
        }
        by_trial.values_mut().for_each(|points| points.sort_by(|one, other| one.0.total_cmp(&other.0)));
        Ok(Self { layer: (!layer.is_empty()).then_some(layer), by_trial })
    }
}

/// A metric of a trial over its steps, of all layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Index into the trials.
    pub trial: usize,
    /// Name of the metric.
    pub metric: String,
    /// Step and value, in the order of the file.
    pub points: Vec<(f64, f64)>,
}

/// Every curve by trial and metric, in the order of the file; none where there is no `curves.csv`.
pub fn all_curves(results: &Path, trials: &[Trial]) -> Result<Vec<Curve>> {
    if !results.join("curves.csv").exists() {
        return Ok(Vec::new());
    }
    let frame = read(results)?;
    let places: BTreeMap<&str, usize> =
        trials.iter().enumerate().map(|(index, trial)| (trial.id.as_str(), index)).collect();
    let mut curves: Vec<Curve> = Vec::new();
    let mut known: BTreeMap<(usize, &str), usize> = BTreeMap::new();
    for row in 0..frame.len() {
        let Some(trial) = places.get(frame.text(row, "trial_id")) else { continue };
        let point = frame.number(row, "step").zip(frame.number(row, "value"));
        let metric = frame.text(row, "metric");
        let place = *known.entry((*trial, metric)).or_insert_with(|| {
            curves.push(Curve { trial: *trial, metric: metric.to_owned(), points: Vec::new() });
            curves.len() - 1
        });
        curves[place].points.extend(point);
    }
    curves.retain(|curve| !curve.points.is_empty());
    Ok(curves)
}

fn read(results: &Path) -> Result<Frame> {
    let frame = Frame::read(&results.join("curves.csv"))?;
    for column in ["trial_id", "step", "metric", "value"] {
        frame.one_of(&[column])?;
    }
    Ok(frame)
}

/// The value at each trial's last step.
pub fn last_values(results: &Path, metric: &str) -> Result<BTreeMap<String, f64>> {
    let curves = Curves::read(results, metric)?;
    let last = |(id, points): (String, Vec<(f64, f64)>)| Some((id, points.last()?.1));
    Ok(curves.by_trial.into_iter().filter_map(last).collect())
}

/// Centred moving average over `window` points, shorter at the ends.
pub fn smoothed(points: &[(f64, f64)], window: usize) -> Vec<(f64, f64)> {
    let half = window / 2;
    let average = |index: usize| {
        let near = &points[index.saturating_sub(half)..(index + half + 1).min(points.len())];
        near.iter().map(|(_, value)| value).sum::<f64>() / near.len() as f64
    };
    points.iter().enumerate().map(|(index, (step, _))| (*step, average(index))).collect()
}

/// Mean and standard deviation over trials at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// The training step.
    pub step: f64,
    /// Mean over trials.
    pub mean: f64,
    /// Standard deviation over trials; 0 where there is one.
    pub std: f64,
}

/// Mean and standard deviation at each step that any trial has, over the trials that have a value there.
pub fn band(curves: &[Vec<(f64, f64)>]) -> Vec<Band> {
    let mut steps: BTreeMap<u64, (f64, Vec<f64>)> = BTreeMap::new();
    for (step, value) in curves.iter().flatten().filter(|(step, _)| *step >= 0.0) {
        // For numbers from zero up, the order of the bits is the order of the numbers.
        steps.entry(step.to_bits()).or_insert((*step, Vec::new())).1.push(*value);
    }
    let summary = |(step, values): (f64, Vec<f64>)| Band {
        step,
        mean: crate::stats::mean(&values).unwrap_or(f64::NAN),
        std: crate::stats::std(&values).unwrap_or(0.0),
    };
    steps.into_values().map(summary).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_layer_is_followed_points_are_in_order_and_gaps_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let rows = "trial_id,step,metric,layer,value\na,10,distance,out,0.5\na,2,distance,out,0.1\n\
            a,2,distance,to_q,9\na,20,distance,out,NaN\na,2,loss,,1\nb,2,distance,out,\n";
        std::fs::write(folder.path().join("curves.csv"), rows).unwrap();
        let curves = Curves::read(folder.path(), "distance").unwrap();
        assert_eq!(curves.layer.as_deref(), Some("out"));
        assert_eq!(curves.by_trial["a"], [(2.0, 0.1), (10.0, 0.5)]);
        assert_eq!(last_values(folder.path(), "loss").unwrap()["a"], 1.0);
        let message = Curves::read(folder.path(), "dino").err().unwrap().to_string();
        assert!(message.contains("curves.csv") && message.contains("`dino`"), "{message}");
    }

    #[test]
    fn curves_are_gathered_by_trial_and_metric_and_unknown_trials_are_left_out() {
        let folder = crate::testing::folder("trial_id,status,method,seed\na,done,lora,0\n");
        let trials = crate::trials::Trials::read(folder.path()).unwrap();
        assert!(all_curves(folder.path(), trials.all()).unwrap().is_empty(), "no curves.csv");
        let rows = "trial_id,step,metric,layer,value\na,0,loss,,0.5\na,0,distance,x,0\na,1,loss,,0.25\nz,0,loss,,1\n";
        std::fs::write(folder.path().join("curves.csv"), rows).unwrap();
        let curves = all_curves(folder.path(), trials.all()).unwrap();
        assert_eq!(curves.len(), 2);
        assert_eq!(curves[0].points, [(0.0, 0.5), (1.0, 0.25)]);
        assert_eq!((curves[1].metric.as_str(), curves[1].trial), ("distance", 0));
    }

    #[test]
    fn smoothing_keeps_constants_and_the_band_is_over_trials() {
        let flat: Vec<(f64, f64)> = (0..9).map(|step| (f64::from(step), 2.0)).collect();
        assert_eq!(smoothed(&flat, 5), flat);
        assert_eq!(smoothed(&[(0.0, 1.0), (1.0, 3.0)], 3)[0].1, 2.0);
        let bands = band(&[vec![(0.0, 1.0), (10.0, 5.0)], vec![(0.0, 3.0)]]);
        assert_eq!(bands[0], Band { step: 0.0, mean: 2.0, std: 2.0_f64.sqrt() });
        assert_eq!(bands[1], Band { step: 10.0, mean: 5.0, std: 0.0 });
    }
}
