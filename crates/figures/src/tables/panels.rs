//! A table as panels of dots: one for each column, a row for each method, its seeds as points.

use results::{Spread, Trial, counted, stats};

use super::rows::Column;
use super::{Panels, Table};
use crate::drawing::Drawing;
use crate::plots::dot_panels::{DotPanel, draw_panels};
use crate::plots::dots;
use crate::style::{colour, marker};
use crate::tables::Row;

impl<'a> Table<'a> {
    /// `<key>.svg` and `<key>.png`; methods that were not run have no row.
    pub fn draw_panels(&self, text: &Panels) -> Drawing {
        let shown = self.run();
        let panel = |column: &Column| DotPanel {
            heading: column.heading.to_owned(),
            axis_title: column.axis.clone(),
            rows: shown.iter().map(|row| self.dots(row, column)).collect(),
        };
        let mut panels: Vec<DotPanel> = self.columns.iter().map(panel).collect();
        let extra = text.extra.as_ref().filter(|[metric, ..]| self.trials.has(metric));
        if let Some([metric, heading, axis]) = extra {
            let (heading, axis_title) = (heading.clone(), axis.clone());
            let rows = shown.iter().map(|row| self.extra_dots(row, metric)).collect();
            panels.push(DotPanel { heading, axis_title, rows });
        }
        let averaged = self.averaged().len();
        if averaged > 0 {
            panels.push(DotPanel {
                heading: format!("Average of {}", counted(averaged, "task")),
                axis_title: "score (%)".to_owned(),
                rows: shown.iter().map(|row| self.average_dots(row)).collect(),
            });
        }
        let names: Vec<String> = shown.iter().map(|row| self.title(row)).collect();
        let note = format!(
            "Scale {}. {}{}",
            self.scale,
            self.seeds_note(&text.over),
            self.lost_note(text.lost.as_deref())
        );
        let incomplete = match averaged {
            0 => "",
            _ => " An average is incomplete where a method has no score on one of the tasks.",
        };
        Drawing::shapes(&self.table.key, draw_panels(&names, &panels, &(note + incomplete)))
    }

    fn seeds_note(&self, over: &str) -> String {
        match self.trials.seeds().len() {
            1 => "One seed, so no spread.".to_owned(),
            seeds => format!("Large marks: mean ± std {over} {seeds} seeds; small dots: single seeds."),
        }
    }

    /// How many trials have no score in the last column, and why.
    fn lost_note(&self, why: Option<&str>) -> String {
        let scored = |trial: &Trial| self.columns.last()?.value(self.trials, trial);
        match self.trials.all().iter().filter(|trial| scored(trial).is_none()).count() {
            0 => String::new(),
            lost => why.map_or(String::new(), |why| {
                format!(" {} without a score, left out: {why}.", counted(lost, "trial"))
            }),
        }
    }

    fn dots(&self, row: &Row<'a>, column: &Column) -> dots::Row {
        let cell = self.cell(row.series, column);
        let value = |trial: &Trial| column.value(self.trials, trial);
        let method = row.series.method;
        let drawn = dots::Row::of_trials(&cell.trials, value, colour(method), marker(method));
        dots::Row { numbers: cell.numbers(self.table.decimals.unwrap_or(3)).unwrap_or_default(), ..drawn }
    }

    fn extra_dots(&self, row: &Row<'a>, metric: &str) -> dots::Row {
        let trials: Vec<&Trial> = self.trials.of(row.series).collect();
        let value = |trial: &Trial| self.trials.score(trial, metric);
        dots::Row::of_trials(&trials, value, colour(row.series.method), marker(row.series.method))
    }

    /// The averages of seeds as points.
    fn average_dots(&self, row: &Row<'a>) -> dots::Row {
        let average = self.average(row.series);
        let values = &average.of_seeds;
        let last = values.len().saturating_sub(1).max(1) as f64;
        let place = |(index, value): (usize, &f64)| {
            (if values.len() < 2 { 0.0 } else { 2.0 * index as f64 / last - 1.0 }, *value)
        };
        let std_trials = stats::std(values);
        dots::Row {
            colour: colour(row.series.method),
            marker: marker(row.series.method),
            numbers: average.text(),
            spread: Spread { n: values.len(), mean: average.mean, std_trials, std_seeds: None },
            dots: values.iter().enumerate().map(place).collect(),
            diverged: 0,
            absent: "incomplete",
        }
    }
}
