//! The paper's numbers, from `experiments/paper.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::Result;

const PAPER: &str = include_str!("../../../experiments/paper.toml");

/// What the paper prints for one row; absent is not reported.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Reported {
    /// As printed: "3.2M".
    pub parameters: Option<String>,
    /// By metric, by task of GLUE and `avg`, or by benchmark of instruction tuning.
    #[serde(flatten)]
    numbers: BTreeMap<String, f64>,
}

impl Reported {
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.numbers.get(name).copied()
    }

    pub fn has_numbers(&self) -> bool {
        !self.numbers.is_empty()
    }
}

#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Paper(BTreeMap<String, BTreeMap<String, Reported>>);

impl Paper {
    pub fn load() -> Result<Self> {
        Ok(toml::from_str(PAPER)?)
    }

    /// A row of a table by the key of its series.
    pub fn row(&self, table: &str, key: &str) -> Reported {
        self.0.get(table).and_then(|rows| rows.get(key)).cloned().unwrap_or_default()
    }

    #[cfg(test)]
    pub fn keys(&self, table: &str) -> impl Iterator<Item = &String> {
        self.0.get(table).into_iter().flat_map(BTreeMap::keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::glue::{TASKS, task};
    use results::{metric, stats};

    const BENCHMARKS: [&str; 5] = ["mmlu", "arc", "mc1", "mc2", "average"];

    #[test]
    fn the_file_holds_the_printed_numbers() {
        let paper = Paper::load().unwrap();
        let pair = |table: &str, key: &str| {
            let row = paper.row(table, key);
            (row.metric("dino"), row.metric("clip_i"))
        };
        assert_eq!(pair("table1", "delora"), (Some(0.701), Some(0.825)));
        assert_eq!(pair("table8", "dora_fixed_magnitude").0, Some(0.681));
        assert_eq!(pair("table3", "delora_r16"), (Some(0.686), Some(0.820)));
        assert_eq!(pair("table3_dagger", "delora_r16"), (Some(0.693), Some(0.820)));
        assert_eq!(pair("table6", "delora_r16"), (Some(0.0056), Some(0.0027)));
        assert_eq!(paper.row("table3", "full").parameters.as_deref(), Some("859.5M"));
        assert_eq!(paper.row("table1", "none"), Reported::default());
        let glue = |table: &str, key: &str| {
            ["mnli", "cola", "stsb", "avg"].map(|task| paper.row(table, key).metric(task))
        };
        assert_eq!(glue("table4", "delora"), [Some(86.9), Some(64.7), Some(90.6), Some(85.6)]);
        assert_eq!(glue("table7", "lora"), [Some(0.23), Some(4.36), Some(0.54), None]);
        assert_eq!(paper.row("table7", "ia3"), Reported::default(), "placeholders");
        let instruct = BENCHMARKS.map(|benchmark| paper.row("table5", "delora").metric(benchmark));
        assert_eq!(instruct, [44.21, 47.70, 29.62, 44.14, 41.42].map(Some));
    }

    #[test]
    fn every_number_has_a_known_name_and_averages_are_those_of_the_tasks() {
        let paper = Paper::load().unwrap();
        for (table, rows) in &paper.0 {
            for (row, reported) in rows {
                let is_known = |name: &str| task(name).is_some() || metric(name).is_some();
                let stray = reported.numbers.keys().find(|name| !is_known(name));
                assert_eq!(stray, None, "{table}, {row}");
                let tasks: Vec<f64> = TASKS.iter().filter_map(|task| reported.metric(task.name)).collect();
                let four = BENCHMARKS[..4].iter().filter_map(|benchmark| reported.metric(benchmark));
                let four: Vec<f64> = four.collect();
                for (name, of, count, rounding) in [("avg", tasks, 8, 0.051), ("average", four, 4, 0.0051)] {
                    let Some(printed) = reported.metric(name) else { continue };
                    let mean = stats::mean(&of).unwrap();
                    assert_eq!(of.len(), count, "{table}, {row}");
                    assert!((mean - printed).abs() < rounding, "{table}, {row}: {mean} and {printed}");
                }
            }
        }
    }
}
