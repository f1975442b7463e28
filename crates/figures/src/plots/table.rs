//! Tables 1 and 8 as figures: ours on the left between its two bounds, the paper's numbers on the right.

use std::path::{Path, PathBuf};

use crate::canvas::{Align, Canvas};
use crate::error::Result;
use crate::output::write_figure;
use crate::paper::Paper;
use crate::plots::dots::{Area, Bound, Panel, Row, caption, draw_names};
use crate::spread::Spread;
use crate::style::{MUTED, NOTE_SIZE, colour, marker, title};
use crate::table::{Layout, METRICS};
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
        let height = TOP + ROW_HEIGHT * self.methods.len() as f64 + BELOW;
        let mut canvas = Canvas::new(WIDTH, height);
        let names: Vec<String> = self.methods.iter().map(|method| title(method).to_owned()).collect();
        draw_names(&mut canvas, &names, 194.0, TOP, ROW_HEIGHT);
        let axis_title = format!("{name} score (mean cosine)");

        let ours: Vec<Row> = self.methods.iter().map(|method| our_row(trials, method, metric)).collect();
        let heading = format!("Ours, {scale} scale");
        let area = Area { left: 208.0, right: 532.0, top: TOP, row_height: ROW_HEIGHT };
        let bounds = our_bounds(trials, metric);
        let panel = Panel { heading: &heading, axis_title: &axis_title, rows: &ours, bounds: &bounds };
        panel.draw(&mut canvas, &area);

        let printed = |method: &&str| paper.row(self.key, method).metric(metric);
        let row = |method| Row::of_number(printed(method), colour(method), marker(method));
        let theirs: Vec<Row> = self.methods.iter().map(row).collect();
        let real = paper.row(self.key, "real_images").metric(metric);
        let bounds: Vec<Bound> =
            real.map(|value| Bound { label: "Real Images", value }).into_iter().collect();
        let area = Area { left: 690.0, right: 918.0, top: TOP, row_height: ROW_HEIGHT };
        let heading = format!("The paper’s {}", self.title);
        let panel = Panel { heading: &heading, axis_title: &axis_title, rows: &theirs, bounds: &bounds };
        panel.draw(&mut canvas, &area);

        let note = caption(&trials.extent(self.methods), &ours);
        canvas.text(&note, (16.0, height - 38.0), NOTE_SIZE, MUTED, Align::Left);
        let note = "The paper’s Real Images is of 30 subjects, its methods are of 3; it gives no spread.";
        canvas.text(note, (16.0, height - 17.0), NOTE_SIZE, MUTED, Align::Left);
        canvas
    }
}

fn our_row(trials: &Trials, method: &str, metric: &str) -> Row {
    let row: Vec<&Trial> = trials.of(method).collect();
    Row::of_trials(&row, |trial| trials.score(trial, metric), colour(method), marker(method))
}

/// The rows that bound every method, where they were run.
pub fn our_bounds(trials: &Trials, metric: &str) -> Vec<Bound> {
    let bound = |method: &'static str| {
        let value = Spread::of(trials, trials.of(method), metric).mean?;
        Some(Bound { label: title(method), value })
    };
    ["none", "real_images"].into_iter().filter_map(bound).collect()
}
