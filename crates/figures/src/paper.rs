//! The paper's numbers, from `experiments/paper.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::Result;

const PAPER: &str = include_str!("../../../experiments/paper.toml");

/// What the paper prints for one row; absent is not reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reported {
    pub dino: Option<f64>,
    pub clip_i: Option<f64>,
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

    /// A row of a table. `real_images` is the same row of Table 3 in every subject-driven table.
    pub fn row(&self, table: &str, method: &str) -> Reported {
        let table = if method == "real_images" { "table3" } else { table };
        self.0.get(table).and_then(|rows| rows.get(method)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_the_printed_numbers() {
        let paper = Paper::load().unwrap();
        assert_eq!(paper.row("table1", "delora"), Reported { dino: Some(0.701), clip_i: Some(0.825) });
        assert_eq!(paper.row("table8", "dora_fixed_magnitude").dino, Some(0.681));
        assert_eq!(paper.row("table8", "real_images").metric("clip_i"), Some(0.864));
        assert_eq!(paper.row("table1", "none"), Reported::default());
    }
}
