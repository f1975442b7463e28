//! The paper's tables: a file of data each, and one writer for all.
//!
//! A table is a constant of type [`PaperTable`] in a file of its own, with a [`Figure`](crate::Figure) that draws it.
//! `rows.rs` finds its rows and columns in the trials, `write.rs` makes Markdown and CSV of them, `panels.rs` and
//! `beside.rs` the two kinds of figures, `pairs.rs` the paired differences.

pub mod beside;
mod cell;
mod pairs;
mod panels;
mod rows;
pub mod table1;
pub mod table2;
pub mod table3;
pub mod table4;
pub mod table5;
pub mod table8;
mod write;

pub use cell::{Cell, in_percent, mean_and_std};
pub use pairs::with_sign;
pub use rows::{Table, rows_run};

use results::Series;

use crate::drawing::Drawing;
use crate::error::Result;
use crate::figure::Source;

/// Where a cell has nothing: not reported, not known, or not defined.
pub const ABSENT: &str = "–";
/// The scale at which model and data are the paper's.
pub const PAPER_SCALE: &str = "paper";

/// One of the paper's tables: what it shows of our trials, and what the paper prints beside it.
pub struct PaperTable {
    /// Name of its files, and of its table in `paper.toml`.
    pub key: &'static str,
    /// What the paper calls it.
    pub title: &'static str,
    pub columns: Columns,
    /// The paper's rows in its order, with the rows that bound them.
    pub rows: &'static [Row<'static>],
    pub others: Others,
    pub cells: Cells,
    /// What a row of each file consists of, in this order.
    pub markdown: &'static [Part],
    pub csv: &'static [Part],
    pub printed: Printed,
    /// Below the table, with `{seeds}`, `{extent}`, `{metrics}`, `{average}` and `{comparable}` filled in.
    pub note: &'static [&'static str],
    /// What `{comparable}` says at the paper's scale, and at others.
    pub comparable: [&'static str; 2],
    pub pairs: Option<PairsText>,
    pub figure: Picture,
}

/// What stands in the columns.
pub enum Columns {
    /// A metric each.
    Metrics(&'static [MetricColumn]),
    /// A task of GLUE each, by its score; with the average of those that the paper has.
    Subjects,
}

/// A column with a metric.
pub struct MetricColumn {
    pub metric: &'static str,
    /// The paper's heading, where it is not the metric's title.
    pub title: &'static str,
    /// The heading in the figure, where that is another.
    pub heading: &'static str,
    /// Whether the paper reports it; then the table needs it.
    pub reported: bool,
}

/// A column that the paper reports under the metric's title.
pub const fn reported(metric: &'static str) -> MetricColumn {
    MetricColumn { metric, title: "", heading: "", reported: true }
}

/// A column that the paper does not have.
pub const fn ours_alone(metric: &'static str) -> MetricColumn {
    MetricColumn { reported: false, ..reported(metric) }
}

/// One row of a table.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub series: Series<'a>,
    /// The name of our row, where it is not the series' title.
    pub title: Option<&'static str>,
    /// The name of the paper's row below ours, where it is not the title of ours.
    pub printed: Option<&'static str>,
    /// Whether it stands in the table only where it was run.
    pub if_run: bool,
}

impl<'a> Row<'a> {
    pub const fn of(method: &'a str) -> Self {
        Self::new(Series::of(method))
    }

    pub const fn with(method: &'a str, column: &'a str, value: &'a str) -> Self {
        Self::new(Series::with(method, column, value))
    }

    pub const fn new(series: Series<'a>) -> Self {
        Self { series, title: None, printed: None, if_run: false }
    }
}

/// Rows of methods that were run and are not the paper's.
pub enum Others {
    LeftOut,
    /// Above this many of the last rows; the method named stands first.
    Above(usize, &'static str),
}

/// What a cell says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cells {
    /// Mean and standard deviation over all trials, then over seeds of the mean over subjects; three decimals.
    OverSubjects,
    /// Mean and standard deviation over seeds with so many decimals, and how many trials have no score.
    OverSeeds(usize),
}

/// A part of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
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
    /// Other columns of `trials.csv`.
    Extra(&'static [&'static str]),
}

/// Where the paper's numbers stand in Markdown.
pub enum Printed {
    /// In columns of our rows.
    Columns(&'static [PrintedColumns]),
    /// In rows below ours.
    Rows(&'static [PrintedRows]),
}

/// Columns of the paper's numbers: what their headings and names end with, their table in `paper.toml`, and the
/// decimals that it prints.
pub struct PrintedColumns {
    pub heading: &'static str,
    pub name: &'static str,
    pub table: &'static str,
    pub decimals: usize,
}

/// Rows of the paper's numbers: what their titles end with, what their columns in the CSV begin with, and their tables
/// in `paper.toml`; without spreads the paper prints none.
pub struct PrintedRows {
    pub heading: &'static str,
    pub name: &'static str,
    pub means: &'static str,
    pub spreads: Option<&'static str>,
}

/// How paired differences from LoRA are told.
pub struct PairsText {
    pub decimals: usize,
    /// What the trials of a pair share.
    pub shared: &'static str,
    /// What else is to be said.
    pub note: &'static str,
}

/// The figure of a table.
pub enum Picture {
    /// For each reported metric ours beside the paper's, with this note below.
    Beside { note: &'static str },
    /// A panel for each column.
    Panels {
        /// How many seeds the means are over: "over", or "over up to" where rows may lack some.
        over: &'static str,
        /// What became of trials without a score; nothing where they are not counted.
        lost: &'static str,
        /// One more panel: metric, heading and axis title.
        extra: Option<[&'static str; 3]>,
    },
}

impl PaperTable {
    /// `<key>.md`, `<key>.csv`, the figure, and the paired differences.
    pub fn draw(&'static self, source: &Source) -> Result<Vec<Drawing>> {
        let table = Table::of(self, source)?;
        let mut drawings = table.write();
        drawings.extend(match &self.figure {
            Picture::Beside { note } => table.draw_beside(note),
            Picture::Panels { over, lost, extra } => vec![table.draw_panels(over, lost, *extra)],
        });
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
        let all = [table1::TABLE, table2::TABLE, table3::TABLE, table4::TABLE, table5::TABLE, table8::TABLE];
        for table in all {
            let keys: Vec<String> = table.rows.iter().map(|row| row.series.key()).collect();
            let printed: Vec<&str> = match table.printed {
                Printed::Columns(columns) => columns.iter().map(|columns| columns.table).collect(),
                Printed::Rows(rows) => {
                    rows.iter().flat_map(|rows| rows.spreads.into_iter().chain([rows.means])).collect()
                }
            };
            for printed in printed {
                assert!(paper.keys(printed).count() > 0, "{printed}");
                let stray: Vec<&String> = paper.keys(printed).filter(|key| !keys.contains(key)).collect();
                assert!(stray.is_empty(), "{printed}: {stray:?}");
            }
            let Columns::Metrics(columns) = table.columns else { continue };
            for key in paper.keys(table.key).filter(|_| ["table2", "table5"].contains(&table.key)) {
                let row = paper.row(table.key, key);
                assert!(columns.iter().all(|column| row.metric(column.metric).is_some()), "{key}");
            }
        }
        let rows = ["table2", "table4", "table5"].map(|table| paper.keys(table).count());
        assert_eq!(rows, [6, 9, 6]);
        assert_eq!(paper.row("table5", "delora").metric("average"), Some(41.42));
        assert_eq!(paper.row("table2", "delora").metric("miou"), Some(26.1));
    }
}
