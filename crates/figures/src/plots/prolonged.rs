//! Figure 3 of the paper: how far training goes on moving the tracked layer, and what the scores do meanwhile.

use results::{Band, Curves, Series, Status, Trial, Trials, band, diverged};

use crate::axis::{Axis, Range};
use crate::canvas::Canvas;
use crate::drawing::{Drawing, full, listed};
use crate::error::Result;
use crate::figure::{Figure, Source};
use crate::plots::lines::{self, Below, Dot, Line, Look, Panel};
use crate::plots::prolonged_table::tables;
use crate::wrap::Notes;

pub const FIGURE: Figure =
    Figure { name: "prolonged", caption: "Long training: distance and scores over the steps", draw };

const WIDTH: f64 = 620.0;
const TOP: f64 = 42.0;
const LEFT: f64 = 84.0;
const HEIGHT: f64 = 176.0;
/// Between panels, for the lower one's heading.
const BETWEEN: f64 = 46.0;
const BELOW: f64 = 66.0;
/// Beyond this ratio of the lines' farthest distances their axis is logarithmic.
const LOG_RATIO: f64 = 100.0;

/// A metric of `curves.csv` with its heading and its axis title.
const PANELS: [(&str, &str, &str); 3] = [
    ("distance", "Distance from pretrained", "‖W′ − W‖ (Frobenius)"),
    ("dino", "Likeness to the subject", "DINO (mean cosine)"),
    ("clip_t", "Likeness to the prompt", "CLIP-T (mean cosine)"),
];

/// A series, and how its line looks in each panel.
type Row<'a> = (Series<'a>, Look);

/// `prolonged.{svg,png,csv,md}`, and `prolonged-points.csv` with what the figure shows.
fn draw(source: &Source) -> Result<Vec<Drawing>> {
    let Source { trials, results, .. } = *source;
    let mut curves = Vec::new();
    for (metric, ..) in PANELS {
        curves.push(Curves::read(results, metric)?);
    }
    let rows = rows(trials);
    let panels: Vec<Vec<Line>> = curves.iter().map(|curves| panel_lines(trials, &rows, curves)).collect();
    let header = listed("method, title, metric, step, mean, std, diverged");
    let mut drawings = vec![
        Drawing::shapes(FIGURE.name, figure(trials, &rows, &panels, &curves[0])),
        Drawing::csv("prolonged-points.csv", header, csv_rows(&rows, &panels)),
    ];
    let series: Vec<Series> = rows.iter().map(|(series, _)| *series).collect();
    drawings.extend(tables(trials, &series, &curves[0], &curves[1]));
    Ok(drawings)
}

fn rows(trials: &Trials) -> Vec<Row<'_>> {
    let look = |series: Series, larger| Look::new(series.method, trials.title(series), larger);
    trials.trained().into_iter().map(|(series, larger)| (series, look(series, larger))).collect()
}

/// Bands of the trials that ran to their end; each diverged one is a cross at its last finite value.
fn panel_lines(trials: &Trials, rows: &[Row], curves: &Curves) -> Vec<Line> {
    let points = |trial: &Trial| curves.by_trial.get(&trial.id).cloned();
    let line = |row: &Row| {
        let of = |status| trials.of(row.0).filter(move |trial| trial.status == status).filter_map(points);
        let dot = |band: Band| Dot { x: band.step, mean: Some(band.mean), std: band.std, hollow: false };
        let dots = band(&of(Status::Done).collect::<Vec<_>>()).into_iter().map(dot).collect();
        let last = |points: Vec<(f64, f64)>| points.last().map(|(step, value)| (*step, Some(*value)));
        Line { look: row.1.clone(), dots, crosses: of(Status::Diverged).filter_map(last).collect() }
    };
    rows.iter().map(line).collect()
}

fn figure(trials: &Trials, rows: &[Row], panels: &[Vec<Line>], distance: &Curves) -> Canvas {
    let series: Vec<Series> = rows.iter().map(|(series, _)| *series).collect();
    let lost: usize = series.iter().map(|series| diverged(trials.of(*series))).sum();
    let crosses = if lost > 0 { " ×: where a trial diverged; it is not in the mean." } else { "" };
    let layer = distance.layer.as_ref().map_or(String::new(), |layer| format!(" Distance of {layer}."));
    let note = format!("Lines: mean, bands: ± std over {}.{crosses}{layer}", trials.extent(&series));
    let notes = Notes::new(&note, WIDTH);
    let top = |index: usize| TOP + index as f64 * (HEIGHT + BETWEEN);
    let bottom = top(panels.len() - 1) + HEIGHT;
    let mut canvas = Canvas::new(WIDTH, bottom + BELOW + notes.height());
    let looks = || rows.iter().map(|(_, look)| look);
    let right = WIDTH - lines::names_width(looks());
    let drawn = || panels.iter().flatten();
    let steps = drawn().flat_map(|line| line.dots.iter().map(|dot| dot.x));
    let steps = steps.chain(drawn().flat_map(|line| line.crosses.iter().map(|(step, _)| *step)));
    let across = Axis::linear(Range::covering(steps.chain([0.0])), LEFT, right);
    for (index, (lines, (metric, heading, title))) in panels.iter().zip(PANELS).enumerate() {
        let below = if index + 1 == panels.len() {
            Below::Labels { title: "training step", ticks: 5 }
        } else {
            Below::Grid { ticks: 5 }
        };
        let top = top(index);
        let panel = Panel {
            left: LEFT,
            right,
            top,
            bottom: top + HEIGHT,
            heading,
            title,
            bounds: &[],
            from_zero: metric == "distance",
            reaching: None,
        };
        let log = metric == "distance" && lines::ends_apart(lines, LOG_RATIO);
        let ends = panel.draw(&mut canvas, lines, &across, log, &below);
        lines::draw_names(&mut canvas, looks(), &ends, &panel);
    }
    lines::draw_lost(&mut canvas, lost, TOP - 22.0);
    notes.draw(&mut canvas);
    canvas
}

/// Means, then the last finite values of diverged trials, which have no spread.
fn csv_rows(rows: &[Row], panels: &[Vec<Line>]) -> Vec<Vec<String>> {
    let mut cells = Vec::new();
    for (lines, (metric, _, _)) in panels.iter().zip(PANELS) {
        for (row, line) in rows.iter().zip(lines) {
            let mut push = |step: f64, value: Option<f64>, std: Option<f64>, diverged: bool| {
                let name = [row.0.method.to_owned(), row.1.title.clone(), metric.to_owned()];
                let numbers = [step.to_string(), full(value), full(std), diverged.to_string()];
                cells.push([name.as_slice(), numbers.as_slice()].concat());
            };
            line.dots.iter().for_each(|dot| push(dot.x, dot.mean, Some(dot.std), false));
            line.crosses.iter().for_each(|(step, value)| push(*step, *value, None, true));
        }
    }
    cells
}
