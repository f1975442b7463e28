//! `items.csv`: what each item of a test (a question, an example) adds to a score, by trial and metric.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::error::{Result, ResultsError};
use crate::frame::Frame;

/// By trial and metric, a number for each item; their mean is the metric.
#[derive(Debug, Default)]
pub(crate) struct Items(BTreeMap<String, BTreeMap<String, Vec<f64>>>);

impl Items {
    /// Those of the folder `results`; none where no test left any.
    pub fn read(results: &Path) -> Result<Self> {
        let path = results.join("items.csv");
        let mut items = Self::default();
        if !path.exists() {
            return Ok(items);
        }
        let frame = Frame::read(&path)?;
        let [id, metric, values] =
            ["trial_id", "metric", "values"].map(|column| frame.one_of(std::slice::from_ref(&column)));
        let (id, metric, values) = (id?, metric?, values?);
        for row in 0..frame.len() {
            let number = |text: &str| {
                text.parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(|| ResultsError::Csv {
                    path: path.clone(),
                    message: format!("row {}: `values` has {text:?}, which is no number", row + 1),
                })
            };
            let own = frame.text(row, values).split(' ').map(number).collect::<Result<_>>()?;
            let of_trial = items.0.entry(frame.text(row, id).to_owned()).or_default();
            of_trial.insert(frame.text(row, metric).to_owned(), own);
        }
        Ok(items)
    }

    /// Metrics of which any trial has items.
    pub fn metrics(&self) -> BTreeSet<&str> {
        self.0.values().flat_map(BTreeMap::keys).map(String::as_str).collect()
    }

    pub fn of(&self, trial: &str, metric: &str) -> Option<&[f64]> {
        Some(self.0.get(trial)?.get(metric)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read_by_trial_and_metric_and_a_bad_number_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |rows: &str| {
            std::fs::write(folder.path().join("items.csv"), format!("trial_id,metric,values\n{rows}"))
                .unwrap();
            Items::read(folder.path())
        };
        let items = write("a,arc,0 1 0.5\nb,arc,1 1 1\n").unwrap();
        assert_eq!(items.metrics().into_iter().collect::<Vec<_>>(), ["arc"]);
        assert_eq!((items.of("a", "arc"), items.of("a", "mc1")), (Some([0.0, 1.0, 0.5].as_slice()), None));
        let said = write("a,arc,0 1\nb,arc,1 one\n").unwrap_err().to_string();
        assert!(said.contains("items.csv") && said.contains("row 2") && said.contains("\"one\""), "{said}");
    }
}
