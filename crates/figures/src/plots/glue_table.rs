//! Table 4 as a figure: a panel for each task, a row for each method, its seeds as points.

use std::path::{Path, PathBuf};

use crate::canvas::Canvas;
use crate::cell::percent;
use crate::error::Result;
use crate::glue::{SCORE, Task};
use crate::glue_table::{GlueTable, KEY};
use crate::output::write_figure;
use crate::plots::dot_panels::{DotPanel, draw_panels};
use crate::plots::dots::Row;
use crate::series::Series;
use crate::spread::Spread;
use crate::stats;
use crate::style::{colour, marker};
use crate::trials::{Trial, counted};

impl GlueTable<'_> {
    /// `table4.svg` and `table4.png`; methods that were not run have no row.
    pub fn draw(&self, scale: &str, plots: &Path) -> Result<Vec<PathBuf>> {
        write_figure(plots, KEY, &self.figure(scale))
    }

    fn figure(&self, scale: &str) -> Canvas {
        let run = |series: &Series| self.trials.of(*series).next().is_some();
        let shown: Vec<Series> = self.rows.iter().copied().filter(run).collect();
        let panel = |task: &&'static Task| DotPanel {
            heading: task.title.to_owned(),
            axis_title: format!("{} (%)", task.metric),
            rows: shown.iter().map(|series| self.row(*series, task)).collect(),
        };
        let mut panels: Vec<DotPanel> = self.tasks.iter().map(panel).collect();
        if self.has_average() {
            panels.push(DotPanel {
                heading: format!("Average of {}", counted(self.averaged().len(), "task")),
                axis_title: "score (%)".to_owned(),
                rows: shown.iter().map(|series| self.average_row(*series)).collect(),
            });
        }
        let names: Vec<String> = shown.iter().map(|series| self.trials.title(*series)).collect();
        draw_panels(&names, &panels, &self.figure_note(scale))
    }

    fn row(&self, series: Series, task: &Task) -> Row {
        let cell = self.cell(series, task);
        let value = |trial: &Trial| percent(self.trials, trial, SCORE);
        let row = Row::of_trials(&cell.trials, value, colour(series.method), marker(series.method));
        Row { numbers: cell.numbers(1).unwrap_or_default(), ..row }
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
        let lost =
            self.trials.all().iter().filter(|trial| percent(self.trials, trial, SCORE).is_none()).count();
        let lost = match lost {
            0 => String::new(),
            lost => format!(
                " {} without a score, left out: diverged, failed, or never above 0 on validation.",
                counted(lost, "trial")
            ),
        };
        let seeds = match self.trials.seeds().len() {
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
