//! A table of the paper as figures: ours on the left between its two bounds, the paper's numbers on the right.

use std::path::{Path, PathBuf};

use crate::canvas::{Align, Canvas};
use crate::error::Result;
use crate::layout::{Layout, NONE, REAL_IMAGES, Row as TableRow, TABLE_3};
use crate::output::write_figure;
use crate::paper::Paper;
use crate::plots::dots::{ABOVE_BOUNDS, Area, Bound, Panel, Row, caption, draw_names};
use crate::series::Series;
use crate::spread::Spread;
use crate::style::{LABEL_SIZE, MUTED, NOTE_SIZE, colour, marker, title};
use crate::table::METRICS;
use crate::trials::{Trial, Trials};

const WIDTH: f64 = 1000.0;
const TOP: f64 = 92.0;
const ROW_HEIGHT: f64 = 46.0;
const BELOW: f64 = 116.0;

impl Layout {
    /// `<key>-dino` and `<key>-clip_i`, each as SVG and PNG.
    pub fn draw(&self, trials: &Trials, paper: &Paper, scale: &str, plots: &Path) -> Result<Vec<PathBuf>> {
        let mut written = Vec::new();
        for (metric, name) in &METRICS[..2] {
            trials.column(&[metric])?;
            let canvas = self.figure(trials, paper, scale, metric, name);
            written.extend(write_figure(plots, &format!("{}-{metric}", self.key), &canvas)?);
        }
        Ok(written)
    }

    fn figure(&self, trials: &Trials, paper: &Paper, scale: &str, metric: &str, name: &str) -> Canvas {
        let rows = self.compared(trials);
        let height = TOP + ROW_HEIGHT * rows.len() as f64 + BELOW;
        let mut canvas = Canvas::new(WIDTH, height);
        let names: Vec<String> = rows.iter().map(TableRow::title).collect();
        draw_names(&mut canvas, &names, 194.0, TOP, ROW_HEIGHT, LABEL_SIZE);
        let axis_title = format!("{name} score (mean cosine)");

        let ours: Vec<Row> = rows.iter().map(|row| our_row(trials, row.series, metric)).collect();
        let heading = format!("Ours, {scale} scale");
        let area =
            Area { left: 208.0, right: 532.0, top: TOP, row_height: ROW_HEIGHT, to_heading: ABOVE_BOUNDS };
        let bounds = our_bounds(trials, metric);
        let panel = Panel { heading: &heading, axis_title: &axis_title, rows: &ours, bounds: &bounds };
        panel.draw(&mut canvas, &area);

        let theirs: Vec<Row> = rows.iter().map(|row| self.their_row(paper, row, metric)).collect();
        let real = paper.row(TABLE_3.key, REAL_IMAGES).metric(metric);
        let bounds: Vec<Bound> =
            real.map(|value| Bound { label: "Real Images", value }).into_iter().collect();
        // A number with its spread needs more room.
        let right = if self.spreads.is_some() { 866.0 } else { 918.0 };
        let area = Area { left: 690.0, right, top: TOP, row_height: ROW_HEIGHT, to_heading: ABOVE_BOUNDS };
        let heading = format!("The paper’s {}", self.title);
        let panel = Panel { heading: &heading, axis_title: &axis_title, rows: &theirs, bounds: &bounds };
        panel.draw(&mut canvas, &area);

        let series: Vec<Series> = rows.iter().map(|row| row.series).collect();
        let note = caption(&trials.extent(&series), &ours);
        canvas.text(&note, (16.0, height - 38.0), NOTE_SIZE, MUTED, Align::Left);
        canvas.text(self.figure_note, (16.0, height - 17.0), NOTE_SIZE, MUTED, Align::Left);
        canvas
    }

    fn their_row(&self, paper: &Paper, row: &TableRow, metric: &str) -> Row {
        let method = row.series.method;
        let mean = self.reported(paper, row).metric(metric);
        let std = self.spreads.and_then(|table| paper.row(table, &row.series.key()).metric(metric));
        Row::of_number(mean, std, colour(method), marker(method))
    }
}

fn our_row(trials: &Trials, series: Series, metric: &str) -> Row {
    let row: Vec<&Trial> = trials.of(series).collect();
    let (colour, marker) = (colour(series.method), marker(series.method));
    Row::of_trials(&row, |trial| trials.score(trial, metric), colour, marker)
}

/// The rows that bound every method, where they were run.
pub fn our_bounds(trials: &Trials, metric: &str) -> Vec<Bound> {
    let bound = |method: &'static str| {
        let value = Spread::of(trials, trials.of(Series::of(method)), metric).mean?;
        Some(Bound { label: title(method), value })
    };
    [NONE, REAL_IMAGES].into_iter().filter_map(bound).collect()
}
