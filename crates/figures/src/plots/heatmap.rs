//! The score over two settings: learning-rate multiplier across, λ or rank up, a panel for each method.

use std::collections::BTreeMap;

use results::sweep::{self, DINO, Line, MULTIPLIED, MULTIPLIER, Point, Unchanged};
use results::{RANK, Series, Trial, Trials, stats};

use crate::axis::{Axis, Range, multiplier_label, signed};
use crate::canvas::{Align, Canvas, text_width};
use crate::colour_map;
use crate::drawing::{Drawing, full, listed};
use crate::error::Result;
use crate::figure::{Figure, Source};
use crate::style::{INK, LABEL_SIZE, MUTED, NOTE_SIZE, RULE, TICK_SIZE, TITLE_SIZE, WHITE};
use crate::wrap::Notes;

pub const FIGURE: Figure =
    Figure { name: "heatmap", caption: "Score over learning rate and a second setting", draw };

const LAMBDA: &str = "config.method.lambda";

const WIDTH: f64 = 760.0;
const TOP: f64 = 44.0;
const CELL: (f64, f64) = (34.0, 29.0);
/// Left of a panel's cells, for its second setting; below them, for the multipliers; above, for its heading.
const BESIDE: f64 = 62.0;
const BELOW: f64 = 62.0;
const ABOVE: f64 = 36.0;
const BAR: (f64, f64) = (220.0, 13.0);
const BAR_STEPS: usize = 110;
/// Between the strokes of a hatched cell.
const HATCH: f64 = 6.0;

/// A method, at one rank where λ is the second setting and it has several ranks.
struct Panel<'a> {
    method: &'a str,
    title: String,
    /// Column and title of the second setting.
    second: (&'static str, &'static str),
    /// Values of the second setting, smallest first, each with its points over the multiplier.
    rows: Vec<(String, Vec<Point<'a>>)>,
    multipliers: Vec<f64>,
}

/// `heatmap.svg`, `heatmap.png` and `heatmap.csv`.
fn draw(source: &Source) -> Result<Vec<Drawing>> {
    let trials = source.across(&[MULTIPLIER, MULTIPLIED, LAMBDA, RANK])?;
    let panels = panels(&trials)?;
    let csv = Drawing::csv("heatmap.csv", csv_header(), csv_rows(&panels));
    Ok(vec![Drawing::shapes(FIGURE.name, figure(&panels)), csv])
}

fn panels(trials: &Trials) -> Result<Vec<Panel<'_>>> {
    // The same trials as lines give the same errors.
    let lines: Vec<Line> = sweep::lines(trials, DINO, |_| true)?;
    let mut methods: Vec<&str> = lines.iter().map(|line| line.method).collect();
    methods.dedup();
    let unchanged = Unchanged::of(trials);
    let mut panels = Vec::new();
    for method in methods {
        let second = second(trials, method);
        // Ranks are rows where they are the second setting, else never averaged.
        let series = if second.0 == LAMBDA { trials.split(method) } else { vec![Series::of(method)] };
        panels.extend(series.into_iter().map(|series| Panel::of(trials, series, second, &unchanged)));
    }
    panels.retain(|panel| !panel.rows.is_empty());
    Ok(panels)
}

/// λ where the method has several, else its rank.
fn second(trials: &Trials, method: &str) -> (&'static str, &'static str) {
    let mut lambdas: Vec<&str> =
        trials.of(Series::of(method)).map(|trial| trials.text(trial, LAMBDA)).collect();
    lambdas.sort_unstable();
    lambdas.dedup();
    if lambdas.len() > 1 { (LAMBDA, "λ") } else { (RANK, "rank") }
}

impl<'a> Panel<'a> {
    fn of(
        trials: &'a Trials,
        series: Series<'a>,
        second: (&'static str, &'static str),
        unchanged: &Unchanged,
    ) -> Self {
        let mut of_value: BTreeMap<&str, Vec<&Trial>> = BTreeMap::new();
        for trial in trials.of(series).filter(|trial| sweep::multiplies_all(trials, trial)) {
            of_value.entry(trials.text(trial, second.0)).or_default().push(trial);
        }
        let row = |(value, of): (&str, Vec<&'a Trial>)| {
            (value.to_owned(), sweep::points(trials, unchanged, of.into_iter()))
        };
        let mut rows: Vec<(String, Vec<Point>)> = of_value.into_iter().map(row).collect();
        rows.retain(|(_, points)| !points.is_empty());
        let number = |value: &str| value.parse::<f64>().unwrap_or(f64::NEG_INFINITY);
        rows.sort_by(|(one, _), (other, _)| number(one).total_cmp(&number(other)));
        let mut multipliers: Vec<f64> =
            rows.iter().flat_map(|(_, points)| points.iter().map(|point| point.multiplier)).collect();
        multipliers.sort_by(f64::total_cmp);
        multipliers.dedup();
        Self { method: series.method, title: trials.title(series), second, rows, multipliers }
    }

    fn size(&self) -> (f64, f64) {
        let (width, height) = CELL;
        let cells = (self.multipliers.len() as f64 * width, self.rows.len() as f64 * height);
        (BESIDE + cells.0, ABOVE + cells.1 + BELOW)
    }

    fn cells(&self) -> impl Iterator<Item = &Point<'a>> {
        self.rows.iter().flat_map(|(_, points)| points)
    }

    /// The largest mean score of trials that are not all lost.
    fn best(&self) -> Option<f64> {
        let kept = self.cells().filter(|point| point.diverged() < point.trials.len());
        kept.filter_map(|point| stats::mean(&point.scores(DINO))).max_by(f64::total_cmp)
    }

    /// With the upper left corner of what `size` gives at `at`.
    fn draw(&self, canvas: &mut Canvas, at: (f64, f64), range: Range) {
        let (width, height) = CELL;
        let (left, top) = (at.0 + BESIDE, at.1 + ABOVE);
        let bottom = top + self.rows.len() as f64 * height;
        let right = left + self.multipliers.len() as f64 * width;
        let (middle, best) = (f64::midpoint(left, right), self.best());
        canvas.text(&self.title, (middle, at.1 + 16.0), TITLE_SIZE - 2.0, INK, Align::Centre);
        for (row, (value, points)) in self.rows.iter().enumerate() {
            let y = bottom - (row + 1) as f64 * height;
            let value = if value.is_empty() && !self.is_unstated() { "–" } else { value };
            canvas.text(value, (left - 8.0, y + height / 2.0), TICK_SIZE, INK, Align::Right);
            for (column, multiplier) in self.multipliers.iter().enumerate() {
                let corner = (left + column as f64 * width, y);
                let point = points.iter().find(|point| point.multiplier == *multiplier);
                draw_cell(canvas, corner, point, range, best);
            }
        }
        for (column, multiplier) in self.multipliers.iter().enumerate() {
            let x = left + (column as f64 + 0.5) * width;
            canvas.text(&multiplier_label(*multiplier), (x, bottom + 14.0), TICK_SIZE, INK, Align::Centre);
        }
        let below = (middle, bottom + 36.0);
        canvas.text("learning-rate multiplier", below, LABEL_SIZE - 1.0, INK, Align::Centre);
        let at = (left - 46.0, f64::midpoint(top, bottom));
        match self.second.1 {
            _ if self.is_unstated() => (),
            "λ" => canvas.text("λ", at, LABEL_SIZE, INK, Align::Centre),
            title => canvas.text_upwards(title, at, LABEL_SIZE - 1.0, INK),
        }
    }

    /// Whether no trial has the second setting.
    fn is_unstated(&self) -> bool {
        self.rows.iter().all(|(value, _)| value.is_empty())
    }
}

/// The cell's mean on its colour; hatched where all trials diverged, with a cross where some did.
fn draw_cell(
    canvas: &mut Canvas,
    corner: (f64, f64),
    point: Option<&Point>,
    range: Range,
    best: Option<f64>,
) {
    let (width, height) = CELL;
    let ((left, top), (right, bottom)) = (corner, (corner.0 + width, corner.1 + height));
    let inset = |gap: f64| {
        let (left, right, top, bottom) = (left + gap, right - gap, top + gap, bottom - gap);
        [(left, top), (right, top), (right, bottom), (left, bottom)]
    };
    let Some(point) = point else { return };
    canvas.polygon(&inset(0.0), WHITE, 1.0);
    let mean = stats::mean(&point.scores(DINO));
    let (Some(mean), true) = (mean, point.diverged() < point.trials.len()) else {
        canvas.polygon(&inset(1.0), RULE, 1.0);
        if point.diverged() > 0 {
            return hatch(canvas, &inset(1.0));
        }
        let middle = (left + width / 2.0, top + height / 2.0);
        return canvas.text("–", middle, NOTE_SIZE, MUTED, Align::Centre);
    };
    let ground = colour_map::colour((mean - range.low) / (range.high - range.low));
    let edge = if best == Some(mean) {
        canvas.polygon(&inset(0.0), INK, 1.0);
        2.6
    } else {
        1.0
    };
    canvas.polygon(&inset(edge), ground, 1.0);
    let ink = colour_map::ink_on(ground);
    let some_lost = point.diverged() > 0;
    let y = f64::midpoint(top, bottom) + if some_lost { 4.0 } else { 0.0 };
    let label = signed(mean, 2);
    let room = right - left - 6.0;
    let size = NOTE_SIZE * (room / text_width(&label, NOTE_SIZE)).min(1.0);
    canvas.text(&label, (f64::midpoint(left, right), y), size, ink, Align::Centre);
    if some_lost {
        let (x, y, arm) = (right - 7.0, top + 6.5, 3.2);
        canvas.path(&[(x - arm, y - arm), (x + arm, y + arm)], ink, 1.0, 1.6);
        canvas.path(&[(x - arm, y + arm), (x + arm, y - arm)], ink, 1.0, 1.6);
    }
}

/// Strokes from lower left to upper right, cut at the edges of a rectangle.
fn hatch(canvas: &mut Canvas, corners: &[(f64, f64); 4]) {
    let ((left, top), (right, bottom)) = (corners[0], corners[2]);
    let (width, height) = (right - left, bottom - top);
    let mut offset = HATCH;
    while offset < width + height {
        let from = (left + (offset - height).max(0.0), (top + offset).min(bottom));
        let to = (left + offset.min(width), top + (offset - width).max(0.0));
        canvas.path(&[from, to], MUTED, 1.0, 1.2);
        offset += HATCH;
    }
}

fn figure(panels: &[Panel]) -> Canvas {
    let widest = panels.iter().map(|panel| panel.size().0).fold(0.0, f64::max);
    let across = ((WIDTH - 20.0) / widest).floor().max(1.0) as usize;
    let width = WIDTH.max(widest + 20.0);
    let means = panels.iter().flat_map(Panel::cells).filter(|point| point.diverged() < point.trials.len());
    let range = Range::covering(means.filter_map(|point| stats::mean(&point.scores(DINO))));
    let lost: usize = panels.iter().flat_map(Panel::cells).map(Point::diverged).sum();
    let all: usize = panels.iter().flat_map(Panel::cells).map(|point| point.trials.len()).sum();
    let most = panels.iter().flat_map(Panel::cells).map(|point| point.trials.len()).max().unwrap_or(0);
    let trials = if most == 1 { "One trial".to_owned() } else { format!("Mean over up to {most} trials") };
    let mut note = format!("{trials} a cell; the best of each panel is framed.");
    if lost > 0 {
        note += &format!(
            " ×: some of a cell's trials diverged, hatched: all did ({lost} of {all} trials). A diverged trial counts with its last \
             finite score, else with that of no finetuning; with neither it is left out."
        );
    }
    let notes = Notes::new(&note, width);
    let heights: Vec<f64> =
        panels.chunks(across).map(|row| row.iter().map(|panel| panel.size().1).fold(0.0, f64::max)).collect();
    let below = TOP + heights.iter().sum::<f64>();
    let mut canvas = Canvas::new(width, below + notes.height() + 8.0);
    draw_bar(&mut canvas, range);
    let mut top = TOP;
    for (row, height) in panels.chunks(across).zip(heights) {
        for (column, panel) in row.iter().enumerate() {
            panel.draw(&mut canvas, (8.0 + column as f64 * (width - 20.0) / across as f64, top), range);
        }
        top += height;
    }
    notes.draw(&mut canvas);
    canvas
}

/// The colours with their values, in the upper right corner.
fn draw_bar(canvas: &mut Canvas, range: Range) {
    let ((length, thickness), top) = (BAR, 10.0);
    let left = canvas.width - length - 24.0;
    let step = length / BAR_STEPS as f64;
    for index in 0..BAR_STEPS {
        let from = left + index as f64 * step;
        let colour = colour_map::colour((index as f64 + 0.5) / BAR_STEPS as f64);
        let corners =
            [(from, top), (from + step, top), (from + step, top + thickness), (from, top + thickness)];
        canvas.polygon(&corners, colour, 1.0);
    }
    let axis = Axis::linear(range, left, left + length);
    let bottom = top + thickness;
    for (value, label) in axis.ticks(4) {
        let x = axis.at(value);
        canvas.path(&[(x, bottom), (x, bottom + 4.0)], MUTED, 1.0, 1.0);
        canvas.text(&label, (x, bottom + 14.0), NOTE_SIZE, INK, Align::Centre);
    }
    let at = (left - 12.0, top + thickness / 2.0);
    canvas.text("DINO score (mean cosine)", at, TICK_SIZE, INK, Align::Right);
}

fn csv_header() -> Vec<String> {
    listed(
        "method, title, multiplier, second_setting, second_value, trials, diverged, left_out, dino_n, dino_mean, dino_std",
    )
}

fn csv_rows(panels: &[Panel]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for panel in panels {
        for (value, points) in &panel.rows {
            for point in points {
                let scores = point.scores(DINO);
                let mut row =
                    vec![panel.method.to_owned(), panel.title.clone(), point.multiplier.to_string()];
                row.extend([panel.second.0.to_owned(), value.clone()]);
                let counts = [point.trials.len(), point.diverged(), point.left_out(DINO), scores.len()];
                row.extend(counts.map(|count| count.to_string()));
                row.extend([stats::mean(&scores), stats::std(&scores)].map(full));
                rows.push(row);
            }
        }
    }
    rows
}
