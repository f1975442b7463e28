//! Whether two results folders hold the same results, bit for bit, times aside.

use std::collections::{BTreeMap, BTreeSet};

use crate::identity::float;
use crate::ledger::folder::Folder;
use crate::ledger::records::{Entry, Ledger, Record};

/// One thing in which a trial differs between two runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    pub trial: String,
    /// Such as "metric dino" or "curve loss at step 3".
    pub what: String,
    pub left: String,
    pub right: String,
}

/// Every difference between the records and artifacts of `trials` in two folders.
pub(crate) fn differences(trials: &[String], left: &Folder, right: &Folder) -> Vec<Difference> {
    trials.iter().flat_map(|trial| Pair { trial, left, right }.differences()).collect()
}

struct Pair<'a> {
    trial: &'a str,
    left: &'a Folder,
    right: &'a Folder,
}

impl Pair<'_> {
    fn differences(&self) -> Vec<Difference> {
        let records = [self.left, self.right].map(|folder| Ledger::new(folder.trials()).read(self.trial));
        match &records {
            [Entry::Found(left), Entry::Found(right)] => self.of_records(left, right),
            [left, right] => {
                self.unless_equal("record", presence(left), presence(right)).into_iter().collect()
            }
        }
    }

    fn of_records(&self, left: &Record, right: &Record) -> Vec<Difference> {
        let (left, right) = (&left.outcome, &right.outcome);
        let status = |status| serde_json::to_string(status).expect("a status has a text");
        let mut found: Vec<Difference> =
            self.unless_equal("status", status(&left.status), status(&right.status)).into_iter().collect();
        let metrics: BTreeSet<&String> = left.metrics.keys().chain(right.metrics.keys()).collect();
        found.extend(metrics.into_iter().filter_map(|name| {
            let [left, right] = [left, right].map(|outcome| number(outcome.metrics.get(name).copied()));
            self.unless_equal(&format!("metric {name}"), left, right)
        }));
        let items: BTreeSet<&String> = left.items.keys().chain(right.items.keys()).collect();
        found.extend(items.into_iter().filter_map(|name| {
            let [left, right] = [left, right].map(|outcome| format!("{:?}", outcome.items.get(name)));
            self.unless_equal(&format!("items of {name}"), left, right)
        }));
        let points = |curves: &[crate::CurvePoint]| -> BTreeMap<(String, String, u64), f64> {
            let key = |point: &crate::CurvePoint| {
                (point.metric.clone(), point.layer.clone().unwrap_or_default(), point.step)
            };
            curves.iter().map(|point| (key(point), point.value)).collect()
        };
        let [left_points, right_points] = [points(&left.curves), points(&right.curves)];
        let keys: BTreeSet<_> = left_points.keys().chain(right_points.keys()).collect();
        // One line for each curve: where it parts first.
        let mut parted = BTreeSet::new();
        for key @ (metric, layer, step) in keys {
            let [left, right] = [&left_points, &right_points].map(|points| number(points.get(key).copied()));
            if left != right && parted.insert((metric, layer)) {
                let of = if layer.is_empty() { String::new() } else { format!(" of {layer}") };
                found.extend(self.unless_equal(
                    &format!("curve {metric}{of}, first at step {step}"),
                    left,
                    right,
                ));
            }
        }
        let artifacts: BTreeSet<&String> = left.artifacts.keys().chain(right.artifacts.keys()).collect();
        found.extend(artifacts.into_iter().filter_map(|name| {
            let left = digest(self.left, left.artifacts.get(name));
            self.unless_equal(
                &format!("artifact {name}"),
                left,
                digest(self.right, right.artifacts.get(name)),
            )
        }));
        found
    }

    fn unless_equal(&self, what: &str, left: String, right: String) -> Option<Difference> {
        let trial = self.trial.to_string();
        (left != right).then(|| Difference { trial, what: what.to_string(), left, right })
    }
}

fn presence(entry: &Entry) -> String {
    match entry {
        Entry::Missing => "missing".to_string(),
        Entry::Damaged { .. } => "damaged".to_string(),
        Entry::Found(_) => "there".to_string(),
    }
}

/// Text that two numbers share only when they are the same bits: a record holds no NaN.
fn number(value: Option<f64>) -> String {
    match value {
        None => "none".to_string(),
        Some(value) if value == 0.0 && value.is_sign_negative() => "-0".to_string(),
        Some(value) => float(value),
    }
}

fn digest(folder: &Folder, file: Option<&String>) -> String {
    let Some(file) = file else { return "none".to_string() };
    match std::fs::read(folder.artifacts().join(file)) {
        Ok(bytes) => format!("{} bytes, blake3 {}", bytes.len(), &blake3::hash(&bytes).to_hex()[..8]),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::records::tests::record;
    use crate::workload::Status;

    #[test]
    fn the_last_bit_of_a_metric_a_curve_or_a_picture_is_a_difference() {
        let roots = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [left, right] = [&roots[0], &roots[1]].map(|root| Folder { root: root.path().to_path_buf() });
        for folder in [&left, &right] {
            folder.prepare().unwrap();
        }
        let ids = ["a".to_string()];
        let mut outcome = record("a", Status::Done);
        outcome.outcome.artifacts.insert("pictures".to_string(), "a.png".to_string());
        let put = |folder: &Folder, record: &Record, picture: &str| {
            Ledger::new(folder.trials()).write(record).unwrap();
            std::fs::write(folder.artifacts().join("a.png"), picture).unwrap();
        };
        put(&left, &outcome, "same");
        assert_eq!(differences(&ids, &left, &right)[0].what, "record");
        let mut other_time = outcome.clone();
        other_time.stamp.finished = "1999".to_string();
        other_time.outcome.train_seconds = 7.0;
        put(&right, &other_time, "same");
        assert_eq!(differences(&ids, &left, &right), []);

        let next = |value: f64| f64::from_bits(value.to_bits() + 1);
        let mut changed = outcome.clone();
        changed.outcome.metrics.insert("dino".to_string(), next(0.1 + 0.2));
        changed.outcome.curves[0].value = next(1e-300);
        changed.outcome.status = Status::Diverged { step: 3, reason: None };
        put(&right, &changed, "other");
        let what: Vec<String> =
            differences(&ids, &left, &right).into_iter().map(|found| found.what).collect();
        let curve = "curve loss of mid, first at step 3";
        assert_eq!(what, ["status", "metric dino", curve, "artifact pictures"]);
        assert_ne!(number(Some(0.0)), number(Some(-0.0)));
    }
}
