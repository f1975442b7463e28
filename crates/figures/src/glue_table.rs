//! The paper's Tables 4 and 7 as Markdown and CSV: methods by task, ours above what the paper prints.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::axis::signed;
use crate::cell::{Cell, in_millions, percent, rounded};
use crate::error::Result;
use crate::glue::{self, SCORE, TASKS, Task};
use crate::layout::NONE;
use crate::output::{markdown, owned, write, write_csv};
use crate::pairs::{self, Column, Shown};
use crate::paper::Paper;
use crate::series::Series;
use crate::stats;
use crate::table::{ABSENT, full, num_parameters};
use crate::trials::Trials;

pub const KEY: &str = "table4";
/// The scale at which model and data are the paper's.
const PAPER_SCALE: &str = "paper";
/// What is trained least stands first.
const BEFORE: [&str; 1] = [NONE];
/// The paper's rows, in its order; they stand there whether they were run or not.
const METHODS: [&str; 9] =
    ["full", "bitfit", "ia3", "loreft", "red", "lora", "adapter_pfeiffer", "adapter_houlsby", "delora"];
/// What the paper prints for a method: a heading, and the tables of `paper.toml` with means and spreads.
const PRINTED: [(&str, &str, &str); 2] =
    [("(paper)", KEY, "table7"), ("(paper, camera-ready)", "table4_camera_ready", "table7_camera_ready")];
const AVERAGE: &str = "Avg";

/// The trials of the table, its columns and its rows.
pub struct GlueTable<'a> {
    pub trials: &'a Trials,
    pub tasks: Vec<&'static Task>,
    /// Methods in the table's order, those of the paper whether they were run or not.
    pub rows: Vec<Series<'a>>,
}

/// Over the tasks that the paper has; in percent.
#[derive(Default)]
pub struct Average {
    /// Of the tasks' means; absent where one of them is.
    pub mean: Option<f64>,
    /// The averages of the seeds that have a score on every task.
    pub of_seeds: Vec<(String, f64)>,
}

impl<'a> GlueTable<'a> {
    pub fn of(trials: &'a Trials) -> Result<Self> {
        let tasks = glue::tasks_of(trials)?;
        trials.column(&[SCORE])?;
        let was_run = |method: &str| trials.of(Series::of(method)).next().is_some();
        let mut rows: Vec<Series> = Vec::new();
        for method in BEFORE.into_iter().filter(|method| was_run(method)).chain(METHODS) {
            rows.extend(trials.split(method));
        }
        let listed = |series: &Series| BEFORE.iter().chain(&METHODS).any(|method| *method == series.method);
        rows.extend(trials.series().into_iter().filter(|series| !listed(series)));
        Ok(Self { trials, tasks, rows })
    }

    /// `table4.md`, `table4.csv`, and the paired differences.
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

    pub fn cell(&self, series: Series<'a>, task: &Task) -> Cell<'a> {
        Cell::of(self.trials, self.trials.of(series).filter(|trial| trial.subject == task.name), SCORE)
    }

    /// The tasks of the average.
    pub fn averaged(&self) -> Vec<&'static Task> {
        self.tasks.iter().copied().filter(|task| task.in_paper).collect()
    }

    pub fn has_average(&self) -> bool {
        self.averaged().len() > 1
    }

    pub fn average(&self, series: Series<'a>) -> Average {
        let cells: Vec<Cell> = self.averaged().iter().map(|task| self.cell(series, task)).collect();
        let means: Option<Vec<f64>> = cells.iter().map(|cell| cell.spread.mean).collect();
        let Some(means) = means else { return Average::default() };
        let seeds: BTreeSet<&str> = cells[0].trials.iter().map(|trial| trial.seed.as_str()).collect();
        let of_seed = |seed: &&str| {
            let on_task = |cell: &Cell| {
                let mut of_seed = cell.trials.iter().filter(|trial| trial.seed == **seed);
                of_seed.find_map(|trial| percent(self.trials, trial, SCORE))
            };
            let scores: Option<Vec<f64>> = cells.iter().map(on_task).collect();
            Some(((*seed).to_owned(), stats::mean(&scores?)?))
        };
        Average { mean: stats::mean(&means), of_seeds: seeds.iter().filter_map(of_seed).collect() }
    }

    fn markdown(&self, paper: &Paper, scale: &str) -> String {
        let mut header = owned(&["method", "#params"]);
        header.extend(self.tasks.iter().map(|task| task.title.to_owned()));
        header.extend(self.has_average().then(|| AVERAGE.to_owned()));
        let mut rows = Vec::new();
        for (index, series) in self.rows.iter().enumerate() {
            rows.push(self.our_row(*series));
            let next = self.rows.get(index + 1).map(|next| next.method);
            if next != Some(series.method) {
                rows.extend(self.printed_rows(series.method, paper));
            }
        }
        format!("{}\n{}\n", markdown(&header, &rows), self.note(scale))
    }

    fn our_row(&self, series: Series<'a>) -> Vec<String> {
        let count =
            num_parameters(self.trials, series).map_or(ABSENT.to_owned(), |count| in_millions(count, 1));
        let mut row = vec![self.trials.title(series), count];
        row.extend(self.tasks.iter().map(|task| self.cell(series, task).text(1)));
        row.extend(self.has_average().then(|| self.average(series).text()));
        row
    }

    /// A row for each time that the paper prints the method.
    fn printed_rows(&self, method: &str, paper: &Paper) -> Vec<Vec<String>> {
        let title = self.trials.title(Series::of(method));
        let mut rows = Vec::new();
        for (heading, means, spreads) in PRINTED {
            let (reported, spread) = (paper.row(means, method), paper.row(spreads, method));
            if !reported.has_numbers() {
                continue;
            }
            let cell = |task: &&Task| {
                let mean = reported.metric(task.name).map(|mean| signed(mean, 1));
                let std = spread.metric(task.name).map_or(String::new(), |std| format!(" ± {std:.2}"));
                mean.map_or(ABSENT.to_owned(), |mean| mean + &std)
            };
            let mut row = vec![format!("{title} {heading}")];
            row.push(reported.parameters.clone().unwrap_or(ABSENT.to_owned()));
            row.extend(self.tasks.iter().map(cell));
            let average = self.printed_average(&|task| reported.metric(task));
            row.extend(self.has_average().then(|| average.map_or(ABSENT.to_owned(), |mean| signed(mean, 1))));
            rows.push(row);
        }
        rows
    }

    /// The paper's average, of the tasks that were run here.
    fn printed_average(&self, reported: &dyn Fn(&str) -> Option<f64>) -> Option<f64> {
        if self.is_whole() {
            return reported("avg");
        }
        let means: Option<Vec<f64>> = self.averaged().iter().map(|task| reported(task.name)).collect();
        stats::mean(&means?)
    }

    /// Whether all of the paper's tasks were run.
    fn is_whole(&self) -> bool {
        self.averaged().len() == TASKS.iter().filter(|task| task.in_paper).count()
    }

    fn note(&self, scale: &str) -> String {
        let others = self.tasks.iter().filter(|task| task.metric != glue::ACCURACY);
        let others: String = others.map(|task| format!(", of {} {}", task.title, task.metric)).collect();
        let comparable = if scale == PAPER_SCALE {
            "Ours are of the same model and data."
        } else {
            "Ours are of another model and other data: not to be compared with them."
        };
        let average = if self.has_average() {
            let (tasks, theirs) = if self.is_whole() {
                ("the paper's eight tasks".to_owned(), "")
            } else {
                (
                    format!("the {} of the paper's tasks that were run", self.averaged().len()),
                    ", the paper's too",
                )
            };
            format!(
                " {AVERAGE}: mean of the means on {tasks}{theirs}, only where a method has a score on each; ± over the seeds that have one on each."
            )
        } else {
            String::new()
        };
        format!(
            "Ours, in percent: mean ± standard deviation (n − 1 below the line) over the seeds {}, in brackets how many of them. The score is accuracy{others}; \
             on the test half of the validation set, at the epoch that is best on the other half. Trials that diverged, that failed, or that \
             never got above 0 on validation and so have no score, are counted and not averaged; “missing” was not run, \
             {ABSENT} is not known.{average} #params: trained, without the head.\n\n\
             Rows “(paper)”: RoBERTa-base on all of GLUE, five seeds, spreads of its Table 7, where it prints any; “camera-ready” is the same \
             row run again. All but DeLoRA's are taken over by the paper from Wu et al. 2024 (RED, LoReFT). {comparable}",
            self.trials.seeds().join(", "),
        )
    }

    fn csv_header(&self) -> Vec<String> {
        let mut header = owned(&["method", "title", "num_parameters"]);
        for task in &self.tasks {
            let parts = ["mean", "std", "n", "diverged", "failed", "unscored"];
            header.extend(parts.map(|part| format!("{}_{part}", task.name)));
        }
        header.extend(owned(&["avg_mean", "avg_std", "avg_n", "paper_parameters"]));
        for printed in ["paper", "camera_ready"] {
            for task in &self.tasks {
                header.extend(["", "_std"].map(|part| format!("{printed}_{}{part}", task.name)));
            }
            header.push(format!("{printed}_avg"));
        }
        header
    }

    fn csv_row(&self, series: Series<'a>, paper: &Paper) -> Vec<String> {
        let count = num_parameters(self.trials, series).map_or(String::new(), |count| count.to_string());
        let mut row = vec![series.method.to_owned(), self.trials.title(series), count];
        for task in &self.tasks {
            let cell = self.cell(series, task);
            row.extend([cell.spread.mean, cell.spread.std_trials].map(full));
            row.extend(cell.counts().map(|count| count.to_string()));
        }
        let average = self.average(series);
        row.extend([average.mean, average.std()].map(full));
        row.push(average.of_seeds.len().to_string());
        row.push(paper.row(KEY, series.method).parameters.unwrap_or_default());
        for (_, means, spreads) in PRINTED {
            let (reported, spread) = (paper.row(means, series.method), paper.row(spreads, series.method));
            for task in &self.tasks {
                row.extend([reported.metric(task.name), spread.metric(task.name)].map(full));
            }
            row.push(full(self.printed_average(&|task| reported.metric(task))));
        }
        row
    }

    /// Differences from LoRA on each task, and on those of the average together.
    fn write_pairs(&self, plots: &Path) -> Result<Vec<PathBuf>> {
        let parts: Vec<Trials> = self.tasks.iter().map(|task| glue::of_task(self.trials, task)).collect();
        let column = |(task, trials): (&&'static Task, _)| Column {
            trials,
            metric: SCORE,
            name: task.name,
            title: task.title,
        };
        let mut columns: Vec<Column> = self.tasks.iter().zip(&parts).map(column).collect();
        let averaged = self.averaged();
        let all = self.trials.only(|trial| averaged.iter().any(|task| task.name == trial.subject));
        if self.has_average() {
            columns.push(Column { trials: &all, metric: SCORE, name: "avg", title: AVERAGE });
        }
        let shown = Shown {
            factor: 100.0,
            decimals: 1,
            shared: "seed and task",
            note: " In points of a hundred (the CSV has fractions). “Avg” has a pair for each seed and task that both \
                   methods finished, and weighs them alike. On one task five seeds cannot give a p below 0.06.",
        };
        pairs::write_pairs_of(self.trials, &columns, &shown, plots)
    }
}

impl Average {
    pub fn std(&self) -> Option<f64> {
        stats::std(&self.of_seeds.iter().map(|(_, average)| *average).collect::<Vec<_>>())
    }

    /// "85.6 ± 0.31".
    pub fn text(&self) -> String {
        rounded(self.mean, self.std(), 1).unwrap_or(ABSENT.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_paper_is_in_the_table() {
        let paper = Paper::load().unwrap();
        for (_, means, spreads) in PRINTED {
            for table in [means, spreads] {
                assert!(paper.keys(table).count() > 0, "{table}");
                assert!(paper.keys(table).all(|key| METHODS.contains(&key.as_str())), "{table}");
            }
        }
        assert_eq!(paper.keys(KEY).count(), METHODS.len());
    }
}
