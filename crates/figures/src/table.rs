//! A table of the paper as Markdown and CSV: ours beside what the paper prints.

use std::path::{Path, PathBuf};

use crate::axis::signed;
use crate::error::Result;
use crate::layout::{Layout, Row};
use crate::output::{markdown, owned, write, write_csv};
use crate::paper::Paper;
use crate::series::Series;
use crate::spread::{Spread, diverged};
use crate::style;
use crate::trials::Trials;

/// Columns of `trials.csv` with their titles; the paper reports the first two.
pub const METRICS: [(&str, &str); 4] =
    [("dino", "DINO"), ("clip_i", "CLIP-I"), ("clip_t", "CLIP-T"), ("diversity", "diversity")];

pub const ABSENT: &str = "–";

/// A column with numbers of the paper.
struct Printed {
    /// In Markdown and in CSV.
    heading: String,
    name: String,
    /// Cells in both, `None` where the paper prints nothing.
    rounded: Vec<Option<String>>,
    full: Vec<Option<String>>,
}

impl Layout {
    /// `<key>.md` and `<key>.csv`.
    pub fn write(&self, trials: &Trials, paper: &Paper, plots: &Path) -> Result<Vec<PathBuf>> {
        for (metric, _) in &METRICS[..2] {
            trials.column(&[metric])?;
        }
        let rows = self.rows(trials);
        let printed = self.printed(paper, &rows);
        let mut header = csv_header();
        header.extend(printed.iter().map(|column| column.name.clone()));
        let cells = |(index, row): (usize, &Row)| {
            let cell = |column: &Printed| column.full[index].clone().unwrap_or_default();
            [csv_row(trials, row), printed.iter().map(cell).collect()].concat()
        };
        let csv_rows: Vec<Vec<String>> = rows.iter().enumerate().map(cells).collect();
        let csv = write_csv(&plots.join(format!("{}.csv", self.key)), &header, &csv_rows)?;
        let text = self.markdown(trials, &rows, &printed);
        Ok(vec![write(&plots.join(format!("{}.md", self.key)), text.as_bytes())?, csv])
    }

    fn markdown(&self, trials: &Trials, rows: &[Row], printed: &[Printed]) -> String {
        let mut header =
            owned(&["method", "formulation", "DINO", "CLIP-I", "CLIP-T", "diversity", "n", "diverged"]);
        header.push("parameters".to_owned());
        header.extend(printed.iter().map(|column| column.heading.clone()));
        let cells = |(index, row): (usize, &Row)| {
            let cell = |column: &Printed| column.rounded[index].clone().unwrap_or(ABSENT.to_owned());
            [markdown_row(trials, row), printed.iter().map(cell).collect()].concat()
        };
        let cells: Vec<Vec<String>> = rows.iter().enumerate().map(cells).collect();
        format!(
            "{}\nOurs: mean ± standard deviation over trials (`_std_trials` in the CSV) / standard deviation over seeds of \
             the mean over subjects (`_std_seeds`); {}. Diverged trials are counted, not averaged; “missing” was not run, {ABSENT} is not \
             reported or not defined. {}\n",
            markdown(&header, &cells),
            trials.extent(&self.compared(trials).iter().map(|row| row.series).collect::<Vec<_>>()),
            self.note,
        )
    }

    /// The paper's columns: scores, then what else it prints for this table.
    fn printed(&self, paper: &Paper, rows: &[Row]) -> Vec<Printed> {
        let reported: Vec<_> = rows.iter().map(|row| self.reported(paper, row)).collect();
        let beside = |table: &str| rows.iter().map(|row| paper.row(table, &row.series.key())).collect();
        let mut tables = vec![("", "", 3, reported.clone())];
        tables.extend(self.spreads.map(|table| (" std", "_std", 4, beside(table))));
        tables.extend(self.daggers.map(|table| (" †", "_dagger", 3, beside(table))));
        let mut printed = Vec::new();
        for (heading, name, decimals, reported) in &tables {
            for (metric, title) in &METRICS[..2] {
                let values = || reported.iter().map(|row| row.metric(metric));
                printed.push(Printed {
                    heading: format!("{title}{heading} (paper)"),
                    name: format!("paper_{metric}{name}"),
                    rounded: values().map(|value| Some(format!("{:.*}", decimals, value?))).collect(),
                    full: values().map(|value| Some(value?.to_string())).collect(),
                });
            }
        }
        let counts: Vec<Option<String>> = reported.into_iter().map(|row| row.parameters).collect();
        if counts.iter().any(Option::is_some) {
            printed.push(Printed {
                heading: "parameters (paper)".to_owned(),
                name: "paper_parameters".to_owned(),
                rounded: counts.clone(),
                full: counts,
            });
        }
        printed
    }
}

fn csv_row(trials: &Trials, row: &Row) -> Vec<String> {
    let series = row.series;
    let mut cells = vec![
        series.method.to_owned(),
        row.title(),
        formulation(series).to_owned(),
        Spread::of(trials, trials.of(series), METRICS[0].0).n.to_string(),
        diverged(trials.of(series)).to_string(),
    ];
    for (metric, _) in METRICS {
        let spread = Spread::of(trials, trials.of(series), metric);
        cells.extend([spread.mean, spread.std_trials, spread.std_seeds].map(full));
    }
    cells.push(num_parameters(trials, series).map_or(String::new(), |count| count.to_string()));
    cells
}

fn markdown_row(trials: &Trials, row: &Row) -> Vec<String> {
    let series = row.series;
    let mut cells = vec![row.title(), formulation(series).to_owned()];
    let run = trials.of(series).next().is_some();
    for (metric, _) in METRICS {
        let spread = Spread::of(trials, trials.of(series), metric);
        let seeds = spread.std_seeds.map_or(String::new(), |std| format!(" / {}", signed(std, 3)));
        let empty = if run { ABSENT } else { "missing" };
        cells.push(spread.rounded().map_or(empty.to_owned(), |text| text + &seeds));
    }
    cells.push(Spread::of(trials, trials.of(series), METRICS[0].0).n.to_string());
    cells.push(diverged(trials.of(series)).to_string());
    cells.push(num_parameters(trials, series).map_or(ABSENT.to_owned(), grouped));
    cells
}

fn formulation(series: Series) -> &'static str {
    style::method_style(series.method).map_or("", |style| style.formulation)
}

fn csv_header() -> Vec<String> {
    let mut header = owned(&["method", "title", "formulation", "n", "diverged"]);
    for (metric, _) in METRICS {
        header.extend(["mean", "std_trials", "std_seeds"].map(|what| format!("{metric}_{what}")));
    }
    header.push("num_parameters".to_owned());
    header
}

/// The trials of a series all have the same number of parameters; the reference rows have none.
pub fn num_parameters(trials: &Trials, series: Series) -> Option<u64> {
    trials.of(series).find_map(|trial| trials.number(trial, "num_parameters")).map(|count| count as u64)
}

pub fn full(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// 1234567 as "1,234,567".
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let separated = |(index, digit): (usize, char)| {
        let comma = index > 0 && (digits.len() - index).is_multiple_of(3);
        [comma.then_some(','), Some(digit)].into_iter().flatten()
    };
    digits.chars().enumerate().flat_map(separated).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
