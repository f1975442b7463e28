//! What training leaves in a trial's outcome: curves, and a file with every adapted layer.

use std::fmt::Write;

use runner::{CurvePoint, Outcome};

use crate::training::Record;

/// Puts a slot's curves into its outcome; `tracked` is the layer whose distance is a curve of its own.
pub(crate) fn add_curves(record: &Record, slot: usize, tracked: Option<&str>, outcome: &mut Outcome) {
    let mut add = |step, metric: &str, layer: Option<&str>, value| {
        let (metric, layer) = (metric.to_owned(), layer.map(str::to_owned));
        outcome.curves.push(CurvePoint { step, metric, layer, value });
    };
    for (step, losses) in record.losses.iter().enumerate() {
        add(step as u64, "loss", None, f64::from(losses[slot]));
    }
    for (&step, scores) in &record.tuning {
        for (metric, value) in &scores[slot] {
            add(step, metric, None, *value);
        }
    }
    for (&step, layers) in &record.telemetry {
        let distances = || layers.iter().filter_map(|layer| Some((&layer.layer, layer.values[slot][0]?)));
        if let Some((layer, distance)) = distances().find(|(layer, _)| Some(layer.as_str()) == tracked) {
            add(step, "distance", Some(layer), distance);
        }
        let count = distances().count() as f64;
        if count > 0.0 {
            add(step, "mean_distance", None, distances().map(|(_, distance)| distance).sum::<f64>() / count);
        }
    }
    for (&step, distances) in record.distances.iter().filter(|(step, _)| !record.telemetry.contains_key(step))
    {
        if let Some(distance) = distances[slot] {
            add(step, "mean_distance", None, distance);
        }
    }
    for (&step, scores) in &record.scores {
        for (metric, value) in &scores[slot] {
            add(step, metric, None, *value);
        }
    }
}

/// `step,layer,distance,strength,bound` of every layer that the trial adapts; `None` where it adapts none.
pub(crate) fn csv(record: &Record, slot: usize) -> Option<String> {
    let mut text = "step,layer,distance,strength,bound\n".to_owned();
    let header = text.len();
    for (step, layers) in &record.telemetry {
        for layer in layers {
            let [Some(distance), strength, bound] = layer.values[slot] else { continue };
            let cell = |value: Option<f64>| value.map(|value| format!("{value:.6e}")).unwrap_or_default();
            let (strength, bound) = (cell(strength), cell(bound));
            writeln!(text, "{step},{},{distance:.6e},{strength},{bound}", layer.layer)
                .expect("a string takes all");
        }
    }
    (text.len() > header).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use runner::Status;

    use super::*;
    use crate::training::LayerReading;

    #[test]
    fn each_slot_gets_its_own_curves_distances_and_layers() {
        let layer = |layer: &str, values: [[Option<f64>; 3]; 2]| LayerReading {
            layer: layer.to_owned(),
            values: values.to_vec(),
        };
        let layers = vec![
            layer("a", [[Some(1.0), Some(2.0), Some(4.0)], [None, None, None]]),
            layer("b", [[Some(3.0), None, None], [Some(5.0), None, None]]),
        ];
        let scores =
            vec![BTreeMap::from([("dino".to_owned(), 0.1)]), BTreeMap::from([("dino".to_owned(), 0.2)])];
        let record = Record {
            losses: vec![vec![0.5, 0.7]],
            telemetry: BTreeMap::from([(1, layers)]),
            scores: BTreeMap::from([(0, scores)]),
            seconds: 1.0,
            ..Record::default()
        };
        let outcomes = [0, 1].map(|slot| {
            let mut outcome = Outcome::new("x", Status::Done);
            add_curves(&record, slot, Some("a"), &mut outcome);
            outcome
        });
        let value = |slot: usize, metric: &str| {
            let points = outcomes[slot].curves.iter().filter(|point| point.metric == metric);
            points.map(|point| (point.step, point.value)).collect::<Vec<_>>()
        };
        assert_eq!((value(0, "loss"), value(1, "dino")), (vec![(0, 0.5)], vec![(0, 0.2)]));
        assert_eq!((value(0, "distance"), value(1, "distance")), (vec![(1, 1.0)], vec![]));
        assert_eq!((value(0, "mean_distance"), value(1, "mean_distance")), (vec![(1, 2.0)], vec![(1, 5.0)]));
        let text = csv(&record, 0).unwrap();
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows[1..], ["1,a,1.000000e0,2.000000e0,4.000000e0", "1,b,3.000000e0,,"]);
        assert_eq!(csv(&Record::default(), 0), None);
    }
}
