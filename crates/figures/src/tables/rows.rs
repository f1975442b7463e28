//! The rows and columns of a table, as far as the trials have them.

use std::collections::BTreeSet;

use results::glue::{self, SCORE};
use results::{Metric, REAL_IMAGES, Series, Trial, Trials, metric, share_of_answers, stats};

use super::{Cell, PaperTable, in_percent, mean_and_std};
use crate::error::{FiguresError, Result};
use crate::figure::Source;
use crate::paper::{Paper, Reported};
use crate::tables::ABSENT;

/// A table with the trials that it shows.
pub struct Table<'a> {
    pub table: &'static PaperTable,
    pub trials: &'a Trials,
    pub paper: &'a Paper,
    pub scale: &'a str,
    pub columns: Vec<Column>,
    pub rows: Vec<Row<'a>>,
}

/// A row with the trials that it is of.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub series: Series<'a>,
    /// The name of our row, where it is not the series' title.
    pub title: Option<&'a str>,
    /// The name of the paper's row, where it is not the title of ours.
    pub printed: Option<&'a str>,
}

/// A column with scores.
pub struct Column {
    /// In the CSV and in `paper.toml`.
    pub name: &'static str,
    pub title: &'static str,
    /// Heading and axis title in a figure.
    pub heading: &'static str,
    pub axis: String,
    pub metric: &'static Metric,
    /// A task of GLUE whose trials it is of.
    pub task: Option<&'static glue::Task>,
    pub reported: bool,
}

/// An average over the tasks of GLUE that the paper has; in percent.
#[derive(Default)]
pub struct Average {
    /// Mean of the tasks' means; absent where one of them is.
    pub mean: Option<f64>,
    /// The averages of the seeds that have a score on every task.
    pub of_seeds: Vec<f64>,
}

impl Column {
    /// The value of a finished trial, in the unit that is shown.
    pub fn value(&self, trials: &Trials, trial: &Trial) -> Option<f64> {
        trials.score(trial, self.metric.name).map(|score| self.metric.factor() * score)
    }

    fn holds(&self, trial: &Trial) -> bool {
        self.task.is_none_or(|task| task.name == trial.subject)
    }
}

impl<'a> Table<'a> {
    pub fn of(table: &'static PaperTable, source: &Source<'a>) -> Result<Self> {
        let Source { trials, paper, scale, .. } = *source;
        let columns = columns(table, trials)?;
        Ok(Self { table, trials, paper, scale, columns, rows: rows(table, trials) })
    }

    pub fn cell(&self, series: Series<'a>, column: &Column) -> Cell<'a> {
        let trials = self.trials.of(series).filter(|trial| column.holds(trial));
        Cell::of_values(trials, |trial| column.value(self.trials, trial))
    }

    pub fn title(&self, row: &Row) -> String {
        row.title.map_or_else(|| self.trials.title(row.series), str::to_owned)
    }

    /// The rows that were run.
    pub fn run(&self) -> Vec<Row<'a>> {
        let was_run = |row: &&Row<'a>| self.trials.of(row.series).next().is_some();
        self.rows.iter().filter(was_run).copied().collect()
    }

    /// The rows between the bounds.
    pub fn compared(&self) -> Vec<Row<'a>> {
        let is_bound = |row: &&Row| self.trials.task().reference(row.series.method).is_some();
        self.rows.iter().filter(|row| !is_bound(row)).copied().collect()
    }

    /// What the paper prints for a row. It has one row of real images, in its Table 3, which stands for every table.
    pub fn reported(&self, table: &str, row: &Row) -> Reported {
        let is_ours = row.series.method == REAL_IMAGES && table == self.table.key;
        self.paper.row(if is_ours { "table3" } else { table }, &row.series.key())
    }

    /// The columns that the average is of; none where there is no average.
    pub fn averaged(&self) -> Vec<&Column> {
        let in_paper = |column: &&Column| column.task.is_some_and(|task| task.in_paper);
        let averaged: Vec<&Column> = self.columns.iter().filter(in_paper).collect();
        if averaged.len() > 1 { averaged } else { Vec::new() }
    }

    /// Whether all of the paper's tasks were run.
    pub fn is_whole(&self) -> bool {
        self.averaged().len() == glue::TASKS.iter().filter(|task| task.in_paper).count()
    }

    pub fn average(&self, series: Series<'a>) -> Average {
        // One task alone is averaged too in the CSV.
        let in_paper = |column: &&Column| column.task.is_some_and(|task| task.in_paper);
        let cells: Vec<Cell> =
            self.columns.iter().filter(in_paper).map(|column| self.cell(series, column)).collect();
        let means: Option<Vec<f64>> = cells.iter().map(|cell| cell.spread.mean).collect();
        let (Some(means), Some(first)) = (means, cells.first()) else { return Average::default() };
        let seeds: BTreeSet<&str> = first.trials.iter().map(|trial| trial.seed.as_str()).collect();
        let of_seed = |seed: &&str| {
            let on_task = |cell: &Cell| {
                let mut of_seed = cell.trials.iter().filter(|trial| trial.seed == **seed);
                of_seed.find_map(|trial| in_percent(self.trials, trial, SCORE))
            };
            stats::mean(&cells.iter().map(on_task).collect::<Option<Vec<f64>>>()?)
        };
        Average { mean: stats::mean(&means), of_seeds: seeds.iter().filter_map(of_seed).collect() }
    }
}

impl Average {
    pub fn std(&self) -> Option<f64> {
        stats::std(&self.of_seeds)
    }

    /// "85.6 ± 0.31".
    pub fn text(&self) -> String {
        mean_and_std(self.mean, self.std(), [1, 2]).unwrap_or(ABSENT.to_owned())
    }
}

fn columns(table: &'static PaperTable, trials: &Trials) -> Result<Vec<Column>> {
    if table.columns.is_empty() {
        let tasks = glue::tasks_of(trials)?;
        trials.column(&[SCORE])?;
        let column = |task: &'static glue::Task| Column {
            name: task.name,
            title: task.title,
            heading: task.title,
            axis: format!("{} (%)", task.metric),
            metric: metric(SCORE).expect("the list has it"),
            task: Some(task),
            reported: true,
        };
        return Ok(tasks.into_iter().map(column).collect());
    }
    let mut found = if table.tests { tests(table, trials)? } else { Vec::new() };
    for column in &table.columns {
        if !column.ours_alone {
            trials.column(&[&column.metric])?;
        }
        let metric = metric(&column.metric).expect("tables have metrics of the list");
        let title = column.title.as_deref().unwrap_or(metric.title);
        found.push(Column {
            name: metric.name,
            title,
            heading: column.heading.as_deref().unwrap_or(title),
            axis: column.axis.clone().unwrap_or_else(|| metric.axis()),
            metric,
            task: None,
            reported: !column.ours_alone,
        });
    }
    Ok(found)
}

/// A column for each test that the trials sat and that the table does not list.
fn tests(table: &'static PaperTable, trials: &Trials) -> Result<Vec<Column>> {
    let mut names = trials.tested();
    names.retain(|name| table.columns.iter().all(|column| column.metric != *name));
    if names.iter().all(|name| metric(name).is_some()) {
        let remedy = "it is for exams of your own; `table5` has the paper's";
        return Err(FiguresError::nothing(trials.path(), "exam that the paper does not have", remedy));
    }
    let column = |name: &str| {
        let metric = share_of_answers(name);
        let (title, axis) = (metric.title, metric.axis());
        Column { name: metric.name, title, heading: title, axis, metric, task: None, reported: true }
    };
    Ok(names.into_iter().map(column).collect())
}

/// All rows; one without a setting becomes one for each rank where the trials have several.
fn rows<'a>(table: &'static PaperTable, trials: &'a Trials) -> Vec<Row<'a>> {
    let mut rows: Vec<Row> = Vec::new();
    for row in &table.rows {
        let (listed, split) = (row.series(), trials.split(&row.method));
        if row.if_run && trials.of(listed).next().is_none() {
            continue;
        }
        let printed = row.printed.as_deref();
        match listed.setting.is_some() || split.len() == 1 {
            true => rows.push(Row { series: listed, title: row.title.as_deref(), printed }),
            false => rows.extend(split.into_iter().map(|series| Row { series, title: None, printed })),
        }
    }
    if let Some(last) = table.others_above {
        let is_listed = |series: &Series| table.rows.iter().any(|row| row.method == series.method);
        let mut others = trials.series();
        others.retain(|series| !is_listed(series));
        others.sort_by_key(|series| series.method != table.others_first);
        let at = rows.len() - last;
        rows.splice(at..at, others.into_iter().map(|series| Row { series, title: None, printed: None }));
    }
    rows
}

/// The series of a table's rows that were run.
pub fn rows_run<'a>(table: &'static PaperTable, trials: &'a Trials) -> Vec<Series<'a>> {
    let series = rows(table, trials).into_iter().map(|row| row.series);
    series.filter(|series| trials.of(*series).next().is_some()).collect()
}
