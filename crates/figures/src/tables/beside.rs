//! A table as figures of ours on the left between its two bounds and the paper's numbers on the right.

use results::{NONE, REAL_IMAGES, Series, Spread, Trial, Trials, title};

use super::rows::Column;
use super::{Row, Table};
use crate::canvas::{Align, Canvas};
use crate::drawing::Drawing;
use crate::plots::dots::{self, ABOVE_BOUNDS, Area, Bound, Panel, caption, draw_names};
use crate::style::{LABEL_SIZE, MUTED, NOTE_SIZE, colour, marker};

const WIDTH: f64 = 1000.0;
const TOP: f64 = 92.0;
const ROW_HEIGHT: f64 = 46.0;
const BELOW: f64 = 116.0;

impl Table<'_> {
    /// `<key>-<metric>` for each metric that the paper reports.
    pub fn draw_beside(&self, note: &str) -> Vec<Drawing> {
        let reported = self.columns.iter().filter(|column| column.reported);
        let drawn = |column: &Column| {
            Drawing::shapes(format!("{}-{}", self.table.key, column.name), self.beside(column, note))
        };
        reported.map(drawn).collect()
    }

    fn beside(&self, column: &Column, figure_note: &str) -> Canvas {
        let (rows, metric, trials) = (self.compared(), column.name, self.trials);
        let height = TOP + ROW_HEIGHT * rows.len() as f64 + BELOW;
        let mut canvas = Canvas::new(WIDTH, height);
        let names: Vec<String> = rows.iter().map(|row| self.title(row)).collect();
        draw_names(&mut canvas, &names, 194.0, TOP, ROW_HEIGHT, LABEL_SIZE);
        let axis_title = column.axis.as_str();

        let ours: Vec<dots::Row> = rows.iter().map(|row| our_row(trials, row.series, metric)).collect();
        let heading = format!("Ours, {} scale", self.scale);
        let area =
            Area { left: 208.0, right: 532.0, top: TOP, row_height: ROW_HEIGHT, to_heading: ABOVE_BOUNDS };
        let bounds = our_bounds(trials, metric);
        Panel { heading: &heading, axis_title, rows: &ours, bounds: &bounds }.draw(&mut canvas, &area);

        let spreads = self.table.printed_columns.iter().find(|columns| columns.name == "_std");
        let spreads = spreads.map(|columns| columns.table.as_str());
        let theirs: Vec<dots::Row> = rows.iter().map(|row| self.their_row(row, metric, spreads)).collect();
        let real = self.paper.row("table3", REAL_IMAGES).metric(metric);
        let bounds: Vec<Bound> =
            real.map(|value| Bound { label: title(REAL_IMAGES), value }).into_iter().collect();
        // A number with its spread needs more room.
        let right = if spreads.is_some() { 866.0 } else { 918.0 };
        let area = Area { left: 690.0, right, top: TOP, row_height: ROW_HEIGHT, to_heading: ABOVE_BOUNDS };
        let heading = format!("The paper’s {}", self.table.title);
        Panel { heading: &heading, axis_title, rows: &theirs, bounds: &bounds }.draw(&mut canvas, &area);

        let series: Vec<Series> = rows.iter().map(|row| row.series).collect();
        let note = caption(&trials.extent(&series), &ours);
        canvas.text(&note, (16.0, height - 38.0), NOTE_SIZE, MUTED, Align::Left);
        canvas.text(figure_note, (16.0, height - 17.0), NOTE_SIZE, MUTED, Align::Left);
        canvas
    }

    fn their_row(&self, row: &Row, metric: &str, spreads: Option<&str>) -> dots::Row {
        let mean = self.reported(&self.table.key, row).metric(metric);
        let std = spreads.and_then(|table| self.reported(table, row).metric(metric));
        dots::Row::of_number(mean, std, colour(row.series.method), marker(row.series.method))
    }
}

fn our_row(trials: &Trials, series: Series, metric: &str) -> dots::Row {
    let row: Vec<&Trial> = trials.of(series).collect();
    let (colour, marker) = (colour(series.method), marker(series.method));
    dots::Row::of_trials(&row, |trial| trials.score(trial, metric), colour, marker)
}

/// The rows that bound every method, where they were run.
pub fn our_bounds(trials: &Trials, metric: &str) -> Vec<Bound> {
    let bound = |method: &'static str| {
        let value = Spread::of(trials, trials.of(Series::of(method)), metric).mean?;
        Some(Bound { label: title(method), value })
    };
    [NONE, REAL_IMAGES].into_iter().filter_map(bound).collect()
}
