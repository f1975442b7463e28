//! The paper's Table 2 as Markdown and CSV: methods on semantic map to image, ours beside what the paper prints.

use std::path::{Path, PathBuf};

use crate::cell::{Cell, in_millions, percent};
use crate::error::Result;
use crate::layout::{NONE, REAL_IMAGES};
use crate::output::{markdown, owned, write, write_csv};
use crate::paper::Paper;
use crate::series::Series;
use crate::style;
use crate::table::{ABSENT, full, num_parameters};
use crate::trials::{Trial, Trials};

pub const KEY: &str = "table2";

/// A column of the table.
pub struct Metric {
    /// In `trials.csv` and in `paper.toml`.
    pub name: &'static str,
    pub title: &'static str,
    pub axis_title: &'static str,
    /// Whether `trials.csv` has a fraction of what is shown in percent.
    is_fraction: bool,
}

pub const METRICS: [Metric; 3] = [
    Metric { name: "miou", title: "mIoU", axis_title: "mIoU (%)", is_fraction: true },
    Metric { name: "accuracy", title: "Acc.", axis_title: "pixel accuracy (%)", is_fraction: true },
    Metric { name: "fid", title: "FID", axis_title: "FID (less is better)", is_fraction: false },
];

/// In the paper's order, between the bounds.
const ROWS: [&str; 9] = [
    REAL_IMAGES,
    "lora",
    "lora_normalized",
    "delora",
    "multiplicative_relaxed",
    "controllable_boundary",
    "ether_plus_one_sided",
    "encoder_only",
    NONE,
];

/// Decimals of the paper.
pub const DECIMALS: usize = 2;

impl Metric {
    /// Of a finished trial, in the unit that is shown.
    pub fn value(&self, trials: &Trials, trial: &Trial) -> Option<f64> {
        if self.is_fraction { percent(trials, trial, self.name) } else { trials.score(trial, self.name) }
    }
}

/// The trials of the table, and its rows.
pub struct SemanticTable<'a> {
    pub trials: &'a Trials,
    pub rows: Vec<Series<'a>>,
}

impl<'a> SemanticTable<'a> {
    pub fn of(trials: &'a Trials) -> Result<Self> {
        for metric in &METRICS {
            trials.column(&[metric.name])?;
        }
        let mut rows: Vec<Series> = ROWS.iter().flat_map(|method| trials.split(method)).collect();
        let mut others = trials.series();
        others.retain(|series| !ROWS.contains(&series.method));
        let last = rows.len() - 1;
        rows.splice(last..last, others);
        Ok(Self { trials, rows })
    }

    /// `table2.md` and `table2.csv`.
    pub fn write(&self, paper: &Paper, scale: &str, plots: &Path) -> Result<Vec<PathBuf>> {
        let mut header = owned(&["method", "formulation"]);
        header.extend(METRICS.each_ref().map(|metric| metric.title.to_owned()));
        header.push("#params".to_owned());
        header.extend(METRICS.each_ref().map(|metric| format!("{} (paper)", metric.title)));
        let rows: Vec<Vec<String>> = self.rows.iter().map(|series| self.row(*series, paper)).collect();
        let text = format!("{}\n{}\n", markdown(&header, &rows), self.note(scale));
        let csv_rows: Vec<Vec<String>> =
            self.rows.iter().map(|series| self.csv_row(*series, paper)).collect();
        Ok(vec![
            write(&plots.join(format!("{KEY}.md")), text.as_bytes())?,
            write_csv(&plots.join(format!("{KEY}.csv")), &csv_header(), &csv_rows)?,
        ])
    }

    pub fn cell(&self, series: Series<'a>, metric: &Metric) -> Cell<'a> {
        Cell::of_values(self.trials.of(series), |trial| metric.value(self.trials, trial))
    }

    fn row(&self, series: Series<'a>, paper: &Paper) -> Vec<String> {
        let formulation = style::method_style(series.method).map_or("", |style| style.formulation);
        let mut row = vec![self.trials.title(series), formulation.to_owned()];
        row.extend(METRICS.iter().map(|metric| self.cell(series, metric).text(DECIMALS)));
        let count = num_parameters(self.trials, series);
        row.push(count.map_or(ABSENT.to_owned(), |count| in_millions(count, DECIMALS)));
        let reported = paper.row(KEY, &series.key());
        let printed = |metric: &Metric| {
            reported.metric(metric.name).map_or(ABSENT.to_owned(), |value| format!("{value:.DECIMALS$}"))
        };
        row.extend(METRICS.iter().map(printed));
        row
    }

    fn csv_row(&self, series: Series<'a>, paper: &Paper) -> Vec<String> {
        let count = num_parameters(self.trials, series).map_or(String::new(), |count| count.to_string());
        let mut row = vec![series.method.to_owned(), self.trials.title(series), count];
        for metric in &METRICS {
            let cell = self.cell(series, metric);
            row.extend([cell.spread.mean, cell.spread.std_trials].map(full));
            row.extend(cell.counts().map(|count| count.to_string()));
        }
        let reported = paper.row(KEY, &series.key());
        row.extend(METRICS.each_ref().map(|metric| full(reported.metric(metric.name))));
        row
    }

    fn note(&self, scale: &str) -> String {
        let comparable = if scale == "paper" {
            "Ours are of the same model, data and evaluators."
        } else {
            "Ours are of another model, other data and other evaluators: not to be compared with them."
        };
        format!(
            "Ours: mean ± standard deviation over the seeds {}, in brackets how many of them; mIoU and Acc. in percent. They say how well a \
             segmenter finds the label map again in the picture drawn for it. FID: Fréchet distance of the drawn pictures from the \
             real ones of the same label maps, less is better. {}: the segmenter on the real pictures, and the distance of as many \
             training pictures. {}: the model as it is, which sees the caption and no label map. #params: of the method, without the \
             condition encoder that each trial trains beside it. “missing” was not run, {ABSENT} is not known.\n\n\
             Columns “(paper)”: Stable Diffusion 1.5 on ADE20K, a single run each, so no spread. {comparable}",
            self.trials.seeds().join(", "),
            style::title(REAL_IMAGES),
            style::title(NONE),
        )
    }
}

fn csv_header() -> Vec<String> {
    let mut header = owned(&["method", "title", "num_parameters"]);
    for metric in &METRICS {
        let parts = ["mean", "std", "n", "diverged", "failed", "unscored"];
        header.extend(parts.map(|part| format!("{}_{part}", metric.name)));
    }
    header.extend(METRICS.each_ref().map(|metric| format!("paper_{}", metric.name)));
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_paper_is_in_the_table_with_all_its_numbers() {
        let paper = Paper::load().unwrap();
        assert_eq!(paper.keys(KEY).count(), 6);
        for method in paper.keys(KEY) {
            assert!(ROWS.contains(&method.as_str()), "{method}");
            let reported = paper.row(KEY, method);
            assert!(METRICS.iter().all(|metric| reported.metric(metric.name).is_some()), "{method}");
        }
        assert_eq!(paper.row(KEY, "delora").metric("miou"), Some(26.1));
    }
}
