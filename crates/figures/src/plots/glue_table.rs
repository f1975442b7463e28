//! Table 4 as a figure: a panel for each task, a row for each method, its seeds as points.

use std::path::{Path, PathBuf};

use crate::canvas::Canvas;
use crate::error::Result;
use crate::glue_table::{GlueTable, KEY, percent};
use crate::output::write_figure;
use crate::plots::dots::{Area, Panel, Row, draw_names};
use crate::series::Series;
use crate::spread::Spread;
use crate::stats;
use crate::style::{TICK_SIZE, colour, marker};
use crate::trials::{Trial, counted};
use crate::wrap::Notes;

const WIDTH: f64 = 1000.0;
const ACROSS: usize = 3;
const NAMES: f64 = 142.0;
const TOP: f64 = 42.0;
const TO_HEADING: f64 = 22.0;
const ROW_HEIGHT: f64 = 32.0;
/// Right of a panel, for a row's numbers; between two panels beside that.
const NUMBERS: f64 = 96.0;
const BETWEEN: f64 = 14.0;
/// Below a panel: its axis, and the next one's heading.
const BELOW: f64 = 98.0;

impl GlueTable<'_> {
    /// `table4.svg` and `table4.png`; methods that were not run have no row.
    pub fn draw(&self, scale: &str, plots: &Path) -> Result<Vec<PathBuf>> {
        write_figure(plots, KEY, &self.figure(scale))
    }

    fn figure(&self, scale: &str) -> Canvas {
        let run = |series: &Series| self.trials.of(*series).next().is_some();
        let shown: Vec<Series> = self.rows.iter().copied().filter(run).collect();
        let mut panels: Vec<(String, &str, Vec<Row>)> = Vec::new();
        for task in &self.tasks {
            let row = |series: &Series| {
                let cell = self.cell(*series, task);
                let value = |trial: &Trial| percent(self.trials, trial);
                let look = (colour(series.method), marker(series.method));
                let row = Row::of_trials(&cell.trials, value, look.0, look.1);
                Row { numbers: cell.numbers().unwrap_or_default(), ..row }
            };
            panels.push((task.title.to_owned(), task.metric, shown.iter().map(row).collect()));
        }
        if self.has_average() {
            let rows = shown.iter().map(|series| self.average_row(*series)).collect();
            panels.push((format!("Average of {}", counted(self.averaged().len(), "task")), "score", rows));
        }
        let across = panels.len().min(ACROSS);
        let down = panels.len().div_ceil(ACROSS) as f64;
        let height = ROW_HEIGHT * shown.len() as f64;
        let notes = Notes::new(&self.figure_note(scale), WIDTH);
        let below = TOP + down * (height + BELOW) - BELOW + 58.0;
        let mut canvas = Canvas::new(WIDTH, below + notes.height());
        let step = (WIDTH - NAMES - 8.0) / across as f64;
        let names: Vec<String> = shown.iter().map(|series| self.trials.title(*series)).collect();
        for (index, (heading, metric, rows)) in panels.iter().enumerate() {
            let left = NAMES + 12.0 + (index % ACROSS) as f64 * step;
            let top = TOP + (index / ACROSS) as f64 * (height + BELOW);
            if index % ACROSS == 0 {
                draw_names(&mut canvas, &names, NAMES, top, ROW_HEIGHT, TICK_SIZE);
            }
            let area = Area {
                left,
                right: left + step - NUMBERS - BETWEEN,
                top,
                row_height: ROW_HEIGHT,
                to_heading: TO_HEADING,
            };
            let axis_title = format!("{metric} (%)");
            Panel { heading, axis_title: &axis_title, rows, bounds: &[] }.draw(&mut canvas, &area);
        }
        notes.draw(&mut canvas);
        canvas
    }

    /// The averages of seeds as points.
    fn average_row(&self, series: Series) -> Row {
        let average = self.average(series);
        let last = average.of_seeds.len().saturating_sub(1).max(1) as f64;
        let dots = average.of_seeds.iter().enumerate();
        let place = |(index, (_, value)): (usize, &(String, f64))| {
            (if average.of_seeds.len() < 2 { 0.0 } else { 2.0 * index as f64 / last - 1.0 }, *value)
        };
        let values: Vec<f64> = average.of_seeds.iter().map(|(_, value)| *value).collect();
        let spread =
            Spread { n: values.len(), mean: average.mean, std_trials: stats::std(&values), std_seeds: None };
        Row {
            colour: colour(series.method),
            marker: marker(series.method),
            numbers: average.text(),
            spread,
            dots: dots.map(place).collect(),
            diverged: 0,
            absent: "incomplete",
        }
    }

    fn figure_note(&self, scale: &str) -> String {
        let lost = self.trials.all().iter().filter(|trial| percent(self.trials, trial).is_none()).count();
        let lost = match lost {
            0 => String::new(),
            lost => format!(
                " {} without a score, left out: diverged, failed, or never above 0 on validation.",
                counted(lost, "trial")
            ),
        };
        let seeds = match self.seeds().len() {
            1 => "One seed, so no spread.".to_owned(),
            seeds => format!("Large marks: mean ± std over up to {seeds} seeds; small dots: single seeds."),
        };
        let incomplete = if self.has_average() {
            " An average is incomplete where a method has no score on one of the tasks."
        } else {
            ""
        };
        format!("Scale {scale}. {seeds}{lost}{incomplete}")
    }
}
