//! The paper's numbers, from `experiments/paper.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::Result;

const PAPER: &str = include_str!("../../../experiments/paper.toml");

/// What the paper prints for one row; absent is not reported.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reported {
    pub dino: Option<f64>,
    pub clip_i: Option<f64>,
    /// As printed: "3.2M".
    pub parameters: Option<String>,
}

impl Reported {
    pub fn metric(&self, name: &str) -> Option<f64> {
        match name {
            "dino" => self.dino,
            "clip_i" => self.clip_i,
            _ => None,
        }
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

    #[test]
    fn the_file_holds_the_printed_numbers() {
        let paper = Paper::load().unwrap();
        let pair = |table: &str, key: &str| {
            let row = paper.row(table, key);
            (row.metric("dino"), row.metric("clip_i"))
        };
        assert_eq!(pair("table1", "delora"), (Some(0.701), Some(0.825)));
        assert_eq!(paper.row("table8", "dora_fixed_magnitude").dino, Some(0.681));
        assert_eq!(pair("table3", "delora_r16"), (Some(0.686), Some(0.820)));
        assert_eq!(pair("table3_dagger", "delora_r16"), (Some(0.693), Some(0.820)));
        assert_eq!(pair("table6", "delora_r16"), (Some(0.0056), Some(0.0027)));
        assert_eq!(paper.row("table3", "full").parameters.as_deref(), Some("859.5M"));
        assert_eq!(paper.row("table1", "none"), Reported::default());
    }
}
