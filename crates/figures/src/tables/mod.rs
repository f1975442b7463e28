//! The paper's tables: a file of data each, `crates/figures/tables/<key>.toml`, and one writer for all.
//!
//! [`PaperTable`] says what such a file holds. `rows.rs` finds its rows and columns in the trials, `write.rs` makes
//! Markdown and CSV of them, `panels.rs` and `beside.rs` the two kinds of figures, `pairs.rs` the paired differences.

pub mod beside;
mod cell;
mod pairs;
mod panels;
mod rows;
mod write;

use results::Series;
use serde::Deserialize;

use crate::drawing::Drawing;
use crate::error::Result;
use crate::figure::Source;

pub use cell::{Cell, in_percent, mean_and_std};
pub use pairs::with_sign;
pub use rows::{Row, Table, rows_run};

/// Where a cell has nothing: not reported, not known, or not defined.
pub const ABSENT: &str = "–";
/// The scale at which model and data are the paper's.
pub const PAPER_SCALE: &str = "paper";

/// The table of the file `crates/figures/tables/<key>.toml`, read once.
macro_rules! paper_table {
    ($key:literal) => {{
        use std::sync::LazyLock;
        use $crate::tables::PaperTable;
        const TEXT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tables/", $key, ".toml"));
        static TABLE: LazyLock<PaperTable> = LazyLock::new(|| PaperTable::read(TEXT));
        &*TABLE
    }};
}
pub(crate) use paper_table;

/// One of the paper's tables: what it shows of our trials, and what the paper prints beside it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperTable {
    /// Name of its files, and of its table in `paper.toml`.
    pub key: String,
    /// What the paper calls it.
    pub title: String,
    /// What stands in the columns; without any, each task of GLUE has one by its score.
    #[serde(default)]
    pub columns: Vec<MetricColumn>,
    /// Each test that the trials sat has a column in front of these, where one of them at least is not the paper's.
    #[serde(default)]
    pub tests: bool,
    /// The paper's rows in its order, with the rows that bound them.
    pub rows: Vec<PaperRow>,
    /// Methods that the paper does not have stand above this many of the last rows; absent leaves them out.
    pub others_above: Option<usize>,
    /// The first of them.
    #[serde(default)]
    pub others_first: String,
    /// Decimals of a mean over seeds, with how many trials have no score. Absent is the mean over seeds and subjects with
    /// three decimals, its deviation over trials and that over seeds.
    pub decimals: Option<usize>,
    /// What a row of each file consists of, in this order.
    pub markdown: Vec<Part>,
    pub csv: Vec<Part>,
    /// Columns of `trials.csv` for the part `extra`.
    #[serde(default)]
    pub extra: Vec<String>,
    /// The paper's numbers in columns of our rows.
    #[serde(default)]
    pub printed_columns: Vec<PrintedColumns>,
    /// The paper's numbers in rows below ours.
    #[serde(default)]
    pub printed_rows: Vec<PrintedRows>,
    /// Below the table, with `{seeds}`, `{extent}`, `{metrics}`, `{average}` and `{comparable}` filled in.
    pub note: String,
    /// What `{comparable}` says at the paper's scale, and at others.
    #[serde(default)]
    pub comparable: [String; 2],
    pub pairs: Option<PairsText>,
    pub beside: Option<Beside>,
    pub panels: Option<Panels>,
}

/// A column with a metric.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricColumn {
    pub metric: String,
    /// The paper's heading, where it is not the metric's title.
    pub title: Option<String>,
    /// The heading in the figure, where that is another.
    pub heading: Option<String>,
    /// What its axis says, where that is not what the metric is elsewhere.
    pub axis: Option<String>,
    /// Whether the paper does not report it; else the table needs it.
    #[serde(default)]
    pub ours_alone: bool,
}

/// One row of a table: a method, or its trials with a value of a setting.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperRow {
    pub method: String,
    setting: Option<String>,
    value: Option<String>,
    /// The name of our row, where it is not the series' title.
    pub title: Option<String>,
    /// The name of the paper's row below ours, where it is not the title of ours.
    pub printed: Option<String>,
    /// Whether it stands in the table only where it was run.
    #[serde(default)]
    pub if_run: bool,
}

impl PaperRow {
    pub fn series(&self) -> Series<'_> {
        Series { method: &self.method, setting: self.setting.as_deref().zip(self.value.as_deref()) }
    }
}

/// A part of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The method's name in experiment files.
    Method,
    Title,
    Formulation,
    Scores,
    /// The average over tasks.
    Average,
    /// Number of trials with a score.
    Number,
    Diverged,
    /// Number of trained parameters.
    Parameters,
    /// The paper's numbers.
    Printed,
    /// Each reported score as one flat mean over all pairs of pictures, where trials say how many they have.
    Flat,
    /// Other columns of `trials.csv`.
    Extra,
}

/// Columns of the paper's numbers: what their headings and names end with, their table in `paper.toml`, and the
/// decimals that it prints.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrintedColumns {
    pub heading: String,
    pub name: String,
    pub table: String,
    pub decimals: usize,
}

/// Rows of the paper's numbers: what their titles end with, what their columns in the CSV begin with, and their tables
/// in `paper.toml`; without spreads the paper prints none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrintedRows {
    pub heading: String,
    pub name: String,
    pub means: String,
    pub spreads: Option<String>,
}

/// How paired differences from LoRA are told: decimals, what the trials of a pair share, and what else is to be said.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairsText {
    pub decimals: usize,
    pub shared: String,
    pub note: String,
}

/// Figures of ours beside the paper's, one for each reported metric, with a note below.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beside {
    pub note: String,
}

/// A figure with a panel for each column.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panels {
    /// How many seeds the means are over: "over", or "over up to" where rows may lack some.
    pub over: String,
    /// What became of trials without a score; absent where they are not counted.
    pub lost: Option<String>,
    /// One more panel: metric, heading and axis title.
    pub extra: Option<[String; 3]>,
}

impl PaperTable {
    /// The table of a file in `crates/figures/tables/`, all of which the tests read.
    pub fn read(text: &str) -> Self {
        toml::from_str(text).expect("the tests read every file")
    }

    /// `<key>.md`, `<key>.csv`, the figure, and the paired differences.
    pub fn draw(&'static self, source: &Source) -> Result<Vec<Drawing>> {
        let table = Table::of(self, source)?;
        let mut drawings = table.write();
        drawings.extend(self.beside.iter().flat_map(|beside| table.draw_beside(&beside.note)));
        drawings.extend(self.panels.iter().map(|panels| table.draw_panels(panels)));
        drawings.extend(self.pairs.iter().flat_map(|text| table.pairs(text)));
        Ok(drawings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paper::Paper;

    #[test]
    fn every_number_of_the_paper_belongs_to_a_row() {
        let paper = Paper::load().unwrap();
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tables")).unwrap();
        for file in files {
            let path = file.unwrap().path();
            let table = PaperTable::read(&std::fs::read_to_string(&path).unwrap());
            assert_eq!(path.file_stem().unwrap(), table.key.as_str());
            assert!(
                crate::caption(&table.key).is_some(),
                "{} is in no line of the list of figures",
                table.key
            );
            let keys: Vec<String> = table.rows.iter().map(|row| row.series().key()).collect();
            let below = table.printed_rows.iter().flat_map(|rows| rows.spreads.iter().chain([&rows.means]));
            let beside = table.printed_columns.iter().map(|columns| &columns.table);
            for printed in beside.chain(below) {
                assert!(paper.keys(printed).count() > 0, "{printed}");
                let stray: Vec<&String> = paper.keys(printed).filter(|key| !keys.contains(key)).collect();
                assert!(stray.is_empty(), "{printed}: {stray:?}");
            }
            for key in paper.keys(&table.key).filter(|_| ["table2", "table5"].contains(&table.key.as_str())) {
                let row = paper.row(&table.key, key);
                assert!(table.columns.iter().all(|column| row.metric(&column.metric).is_some()), "{key}");
            }
        }
        let rows = ["table2", "table4", "table5"].map(|table| paper.keys(table).count());
        assert_eq!(rows, [6, 9, 6]);
        assert_eq!(paper.row("table5", "delora").metric("average"), Some(41.42));
        assert_eq!(paper.row("table2", "delora").metric("miou"), Some(26.1));
    }
}
