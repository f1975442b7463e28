//! MMLU by category and subject as a figure: a row for each, a column for each method, coloured by accuracy.

use results::mmlu::category;

use crate::axis::signed;
use crate::canvas::{Align, Canvas, text_width};
use crate::colour_map;
use crate::drawing::Drawing;
use crate::error::Result;
use crate::figure::{Figure, Source};
use crate::plots::mmlu_table::{Group, Kind, Mean, Subjects};
use crate::style::{INK, LABEL_SIZE, MUTED, NOTE_SIZE, TICK_SIZE, WHITE};
use crate::wrap::{Notes, wrapped};

pub const FIGURE: Figure =
    Figure { name: "mmlu_categories", caption: "MMLU by category and by subject", draw };

const WIDTH: f64 = 1000.0;
/// Left of the cells, for the names of rows; those of subjects are shifted.
const NAMES: f64 = 262.0;
const SHIFT: f64 = 20.0;
const RIGHT: f64 = 12.0;
const WIDEST: f64 = 150.0;
const HEADING: f64 = 52.0;
const HEADING_LINE: f64 = 18.0;
const MEAN_HEIGHT: f64 = 30.0;
const SUBJECT_HEIGHT: f64 = 23.0;
/// Above the first row of a group.
const BETWEEN: f64 = 12.0;
/// Narrower cells have no spread.
const WITH_SPREAD: f64 = 84.0;

/// A row of cells.
struct Row {
    title: String,
    is_mean: bool,
    /// Whether it stands apart from the row above.
    is_apart: bool,
    /// Mean and spread, in percent.
    cells: Vec<(Option<f64>, Option<f64>)>,
}

/// `mmlu_categories.{md,csv,svg,png}`.
fn draw(source: &Source) -> Result<Vec<Drawing>> {
    let subjects = Subjects::of(source.trials)?;
    let mut drawings: Vec<Drawing> = subjects.write(FIGURE.name).into();
    drawings.push(Drawing::shapes(FIGURE.name, subjects.figure()));
    Ok(drawings)
}

impl Subjects<'_> {
    fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        let mut last = None;
        for group in &self.groups {
            // A category stands with its subjects; those without one stand together.
            let section = category(group.subjects[0]);
            let is_apart = last.is_some_and(|last| last != (group.kind == Kind::All, section));
            last = Some((group.kind == Kind::All, section));
            let is_mean = group.kind != Kind::Subject;
            let title = if group.kind == Kind::All { "MMLU".to_owned() } else { group.title.clone() };
            rows.push(Row { title, is_mean, is_apart, cells: self.cells(group, Mean::Plain) });
            if group.kind == Kind::All && self.has_questions() {
                let (title, cells) = ("MMLU, by questions".to_owned(), self.cells(group, Mean::ByQuestions));
                rows.push(Row { title, is_mean, is_apart: false, cells });
            }
        }
        rows
    }

    fn cells(&self, group: &Group, mean: Mean) -> Vec<(Option<f64>, Option<f64>)> {
        let spreads = self.series.iter().map(|series| self.cell(*series, group, mean).spread);
        spreads.map(|spread| (spread.mean, spread.std_trials)).collect()
    }

    fn figure(&self) -> Canvas {
        let rows = self.rows();
        let values = || rows.iter().flat_map(|row| row.cells.iter().filter_map(|(mean, _)| *mean));
        let range = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        let width = ((WIDTH - NAMES - RIGHT) / self.series.len().max(1) as f64).min(WIDEST);
        let notes = Notes::new(&self.figure_note(range, width), WIDTH);
        let gaps = rows.iter().filter(|row| row.is_apart).count();
        let height: f64 = rows.iter().map(Row::height).sum();
        let height = HEADING + height + gaps as f64 * BETWEEN + 14.0;
        let mut canvas = Canvas::new(WIDTH, height + notes.height());
        for (index, series) in self.series.iter().enumerate() {
            let middle = NAMES + (index as f64 + 0.5) * width;
            let lines = wrapped(&self.trials.title(*series), width - 6.0, TICK_SIZE, 2);
            for (place, line) in lines.iter().rev().enumerate() {
                let y = HEADING - 14.0 - place as f64 * HEADING_LINE;
                canvas.text(line, (middle, y), TICK_SIZE, INK, Align::Centre);
            }
        }
        let mut top = HEADING;
        for row in &rows {
            top += if row.is_apart { BETWEEN } else { 0.0 };
            row.draw(&mut canvas, top, width, range);
            top += row.height();
        }
        notes.draw(&mut canvas);
        canvas
    }

    fn figure_note(&self, (low, high): (f64, f64), width: f64) -> String {
        let seeds = self.trials.seeds().len();
        let spread = match (seeds, width < WITH_SPREAD) {
            (1, _) => "One seed, so no spread.".to_owned(),
            (_, true) => format!("Means over up to {seeds} seeds; the table has their spread."),
            (_, false) => format!("Mean ± std over up to {seeds} seeds."),
        };
        let colours = if low < high {
            format!(" Colours from {} % (dark) to {} % (light).", signed(low, 1), signed(high, 1))
        } else {
            String::new()
        };
        format!(
            "Accuracy in percent. {spread} MMLU and categories: plain mean over subjects; by questions: each subject weighted by their number.{colours}"
        )
    }
}

impl Row {
    fn height(&self) -> f64 {
        if self.is_mean { MEAN_HEIGHT } else { SUBJECT_HEIGHT }
    }

    fn draw(&self, canvas: &mut Canvas, top: f64, width: f64, (low, high): (f64, f64)) {
        let middle = top + self.height() / 2.0;
        let (shift, size, ink) =
            if self.is_mean { (0.0, LABEL_SIZE, INK) } else { (SHIFT, TICK_SIZE, MUTED) };
        let room = NAMES - shift - 22.0;
        let size = size * (room / text_width(&self.title, size)).min(1.0);
        canvas.text(&self.title, (12.0 + shift, middle), size, ink, Align::Left);
        for (index, (mean, std)) in self.cells.iter().enumerate() {
            let left = NAMES + index as f64 * width;
            let (right, bottom) = (left + width - 1.5, top + self.height() - 1.5);
            let share = mean.map(|mean| if high > low { (mean - low) / (high - low) } else { 0.5 });
            let ground = share.map_or(WHITE, colour_map::colour);
            canvas.polygon(&[(left, top), (right, top), (right, bottom), (left, bottom)], ground, 1.0);
            let std = std.filter(|_| width >= WITH_SPREAD).map(|std| format!(" ± {}", signed(std, 1)));
            let text = mean.map_or("–".to_owned(), |mean| signed(mean, 1) + &std.unwrap_or_default());
            let size = if self.is_mean { TICK_SIZE } else { NOTE_SIZE };
            let size = size * ((width - 5.0) / text_width(&text, size)).min(1.0);
            let ink = if share.is_some() { colour_map::ink_on(ground) } else { MUTED };
            canvas.text(&text, (f64::midpoint(left, right), middle), size, ink, Align::Centre);
        }
    }
}
