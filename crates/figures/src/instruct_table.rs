//! The paper's Table 5 as Markdown and CSV: methods by benchmark, ours above what the paper prints.

use std::path::{Path, PathBuf};

use crate::axis::signed;
use crate::cell::{Cell, in_millions};
use crate::error::Result;
use crate::instruct::{BENCHMARKS, Benchmark};
use crate::layout::NONE;
use crate::output::{markdown, owned, write, write_csv};
use crate::pairs::{self, Column, Shown};
use crate::paper::Paper;
use crate::series::Series;
use crate::spread::Spread;
use crate::table::{ABSENT, full, num_parameters};
use crate::trials::Trials;

pub const KEY: &str = "table5";
/// The scale at which model and data are the paper's.
const PAPER_SCALE: &str = "paper";
/// The paper's rows with its names for them, in its order; they stand there whether they were run or not.
const METHODS: [(&str, &str); 6] = [
    (NONE, "LLaMA-2-7B"),
    ("ether", "ETHER n=32"),
    ("ether_plus", "ETHER+ n=32"),
    ("lora", "LoRA r=8"),
    ("dora", "DoRA r=8"),
    ("delora", "DeLoRA r=8"),
];
/// Stands before the other methods that the paper does not have.
const AFTER: &str = "full";
/// Decimals of the paper.
pub const DECIMALS: usize = 2;
/// What else is measured, for the CSV, in the unit of `trials.csv`.
const OTHERS: [&str; 3] = ["arc_norm", "train_loss", "test_loss"];

/// The trials of the table, and its rows.
pub struct InstructTable<'a> {
    pub trials: &'a Trials,
    /// Methods in the table's order, those of the paper whether they were run or not.
    pub rows: Vec<Series<'a>>,
}

impl<'a> InstructTable<'a> {
    pub fn of(trials: &'a Trials) -> Result<Self> {
        for benchmark in &BENCHMARKS {
            trials.column(&[benchmark.name])?;
        }
        Ok(Self { trials, rows: rows_of(trials) })
    }

    /// `table5.md`, `table5.csv`, and the paired differences.
    pub fn write(&self, paper: &Paper, scale: &str, plots: &Path) -> Result<Vec<PathBuf>> {
        let text = self.markdown(paper, scale);
        let rows: Vec<Vec<String>> = self.rows.iter().map(|series| self.csv_row(*series, paper)).collect();
        let mut written = vec![
            write(&plots.join(format!("{KEY}.md")), text.as_bytes())?,
            write_csv(&plots.join(format!("{KEY}.csv")), &self.csv_header(), &rows)?,
        ];
        written.extend(self.write_pairs(plots)?);
        Ok(written)
    }

    pub fn cell(&self, series: Series<'a>, benchmark: &Benchmark) -> Cell<'a> {
        Cell::of(self.trials, self.trials.of(series), benchmark.name)
    }

    fn markdown(&self, paper: &Paper, scale: &str) -> String {
        let mut header = owned(&["method", "#params"]);
        header.extend(BENCHMARKS.each_ref().map(|benchmark| benchmark.title.to_owned()));
        let mut rows = Vec::new();
        for (index, series) in self.rows.iter().enumerate() {
            rows.push(self.our_row(*series));
            let next = self.rows.get(index + 1).map(|next| next.method);
            if next != Some(series.method) {
                rows.extend(printed_row(series.method, paper));
            }
        }
        format!("{}\n{}\n", markdown(&header, &rows), self.note(scale))
    }

    fn our_row(&self, series: Series<'a>) -> Vec<String> {
        let count = num_parameters(self.trials, series);
        let count = count.map_or(ABSENT.to_owned(), |count| in_millions(count, DECIMALS));
        let mut row = vec![self.trials.title(series), count];
        row.extend(BENCHMARKS.iter().map(|benchmark| self.cell(series, benchmark).text(DECIMALS)));
        row
    }

    fn note(&self, scale: &str) -> String {
        let comparable = if scale == PAPER_SCALE {
            "Ours are of the same model and data."
        } else {
            "Ours are of another model and other data, at scale mini with tests of its own in the same form: not to be compared with them."
        };
        format!(
            "Ours, in percent: mean ± standard deviation (n − 1 below the line) over the seeds {}, in brackets how many of them. MMLU: accuracy, \
             plain mean over its subjects. ARC: accuracy on ARC-Challenge, by the likelihood of the answer. Tru-1, Tru-2: mc1 (accuracy) and \
             mc2 (share of the likelihood that true answers have) of TruthfulQA. Avg: mean of the four. All without an example in the \
             prompt. Trials that diverged or failed are counted and not averaged; “missing” was not run, {ABSENT} is not known. \
             #params: trained.\n\n\
             Rows “(paper)”: LLaMA-2-7B after an epoch of Alpaca, a single run each, so no spread, of the settings that were best on these \
             benchmarks. {comparable}",
            self.trials.seeds().join(", "),
        )
    }

    fn csv_header(&self) -> Vec<String> {
        let mut header = owned(&["method", "title", "num_parameters"]);
        for benchmark in &BENCHMARKS {
            let parts = ["mean", "std", "n", "diverged", "failed", "unscored"];
            header.extend(parts.map(|part| format!("{}_{part}", benchmark.name)));
        }
        header.push("paper_parameters".to_owned());
        header.extend(BENCHMARKS.each_ref().map(|benchmark| format!("paper_{}", benchmark.name)));
        for other in self.others() {
            header.extend(["mean", "std"].map(|part| format!("{other}_{part}")));
        }
        header
    }

    fn csv_row(&self, series: Series<'a>, paper: &Paper) -> Vec<String> {
        let count = num_parameters(self.trials, series).map_or(String::new(), |count| count.to_string());
        let mut row = vec![series.method.to_owned(), self.trials.title(series), count];
        for benchmark in &BENCHMARKS {
            let cell = self.cell(series, benchmark);
            row.extend([cell.spread.mean, cell.spread.std_trials].map(full));
            row.extend(cell.counts().map(|count| count.to_string()));
        }
        let reported = paper.row(KEY, series.method);
        row.push(reported.parameters.clone().unwrap_or_default());
        row.extend(BENCHMARKS.each_ref().map(|benchmark| full(reported.metric(benchmark.name))));
        for other in self.others() {
            let spread = Spread::of(self.trials, self.trials.of(series), other);
            row.extend([spread.mean, spread.std_trials].map(full));
        }
        row
    }

    fn others(&self) -> impl Iterator<Item = &'static str> {
        OTHERS.into_iter().filter(|other| self.trials.has(other))
    }

    /// Differences from LoRA on each benchmark and on their mean.
    fn write_pairs(&self, plots: &Path) -> Result<Vec<PathBuf>> {
        let column = |benchmark: &'static Benchmark| Column {
            trials: self.trials,
            metric: benchmark.name,
            name: benchmark.name,
            title: benchmark.title,
        };
        let shown = Shown {
            factor: 100.0,
            decimals: DECIMALS,
            shared: "seed",
            note: " In points of a hundred (the CSV has fractions). Five pairs cannot give a p below 0.06.",
        };
        pairs::write_pairs_of(self.trials, &BENCHMARKS.iter().map(column).collect::<Vec<_>>(), &shown, plots)
    }
}

/// The table's rows in its order, those of the paper whether they were run or not.
fn rows_of(trials: &Trials) -> Vec<Series<'_>> {
    let papers = METHODS.iter().flat_map(|(method, _)| trials.split(method));
    let mut rows: Vec<Series> = papers.collect();
    let is_listed = |series: &Series| METHODS.iter().any(|(method, _)| *method == series.method);
    let mut others = trials.series();
    others.retain(|series| !is_listed(series));
    others.sort_by_key(|series| series.method != AFTER);
    rows.extend(others);
    rows
}

/// Those that were run.
pub fn rows_run(trials: &Trials) -> Vec<Series<'_>> {
    let mut rows = rows_of(trials);
    rows.retain(|series| trials.of(*series).next().is_some());
    rows
}

/// A row of the paper, where it has the method.
fn printed_row(method: &str, paper: &Paper) -> Option<Vec<String>> {
    let (_, name) = METHODS.iter().find(|(known, _)| *known == method)?;
    let reported = paper.row(KEY, method);
    let cell = |benchmark: &Benchmark| {
        reported.metric(benchmark.name).map_or(ABSENT.to_owned(), |mean| signed(mean, DECIMALS))
    };
    let mut row = vec![format!("{name} (paper)"), reported.parameters.clone().unwrap_or(ABSENT.to_owned())];
    row.extend(BENCHMARKS.iter().map(cell));
    Some(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruct::AVERAGE;

    #[test]
    fn every_row_of_the_paper_is_in_the_table_with_all_its_numbers() {
        let paper = Paper::load().unwrap();
        assert_eq!(paper.keys(KEY).count(), METHODS.len());
        for (method, _) in METHODS {
            let reported = paper.row(KEY, method);
            assert!(BENCHMARKS.iter().all(|benchmark| reported.metric(benchmark.name).is_some()), "{method}");
        }
        assert_eq!(paper.row(KEY, "delora").metric(AVERAGE), Some(41.42));
    }
}
