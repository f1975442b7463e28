//! A panel with a row for each thing compared: its mean, its spread and its single trials along one axis.

use std::collections::BTreeSet;

use results::{Spread, Trial, counted, diverged};

use crate::axis::{Axis, Range, outlier_limit, signed};
use crate::canvas::{Align, Canvas, text_width};
use crate::clipped::{self, Clipped};
use crate::style::{ALARM, Colour, INK, MUTED, Marker, NOTE_SIZE, RULE, TICK_SIZE, TITLE_SIZE};
use crate::tables::mean_and_std;

/// Room for two lines of names of bounds below a heading.
pub const ABOVE_BOUNDS: f64 = 56.0;
const BOUND_WIDTH: f64 = 1.6;
/// From a panel to the end of the note on what its axis clips.
const NOTE_WIDTH: f64 = 150.0;

/// What a panel shows of one row.
pub struct Row {
    pub colour: Colour,
    pub marker: Marker,
    pub spread: Spread,
    /// Mean and spread as text.
    pub numbers: String,
    /// Single trials: place between −1 and 1 across the row, and value.
    pub dots: Vec<(f64, f64)>,
    pub diverged: usize,
    /// Instead of a mean that is not there.
    pub absent: &'static str,
}

/// A labelled line across a panel, at a value of its axis.
pub struct Bound {
    pub label: &'static str,
    pub value: f64,
}

/// Where a panel lies; a row's numbers stand to the right of it.
pub struct Area {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub row_height: f64,
    /// From the panel up to its heading; the names of bounds stand between.
    pub to_heading: f64,
}

pub struct Panel<'a> {
    pub heading: &'a str,
    pub axis_title: &'a str,
    pub rows: &'a [Row],
    pub bounds: &'a [Bound],
}

impl Row {
    /// The trials of one row; dots of one seed lie at the same height.
    pub fn of_trials(
        row: &[&Trial],
        value: impl Fn(&Trial) -> Option<f64>,
        colour: Colour,
        marker: Marker,
    ) -> Self {
        let seeds: BTreeSet<&str> = row.iter().map(|trial| trial.seed.as_str()).collect();
        let place = |trial: &Trial| {
            let index = seeds.iter().position(|seed| *seed == trial.seed).unwrap_or(0);
            if seeds.len() < 2 { 0.0 } else { 2.0 * index as f64 / (seeds.len() - 1) as f64 - 1.0 }
        };
        let dots = row.iter().filter_map(|trial| Some((place(trial), value(trial)?)));
        let spread = Spread::of_values(row, &value);
        Self {
            colour,
            marker,
            dots: dots.collect(),
            numbers: mean_and_std(spread.mean, spread.std_trials, [3, 3]).unwrap_or_default(),
            spread,
            diverged: diverged(row.iter().copied()),
            absent: if row.is_empty() { "not run" } else { "no score" },
        }
    }

    /// One printed number, with its spread where that is printed too.
    pub fn of_number(value: Option<f64>, std: Option<f64>, colour: Colour, marker: Marker) -> Self {
        let n = usize::from(value.is_some());
        let spread = Spread { n, mean: value, std_trials: std, ..Spread::default() };
        let mean = value.map_or(String::new(), |value| signed(value, 3));
        // The paper prints its spreads with one decimal more.
        let numbers = std.map_or(mean.clone(), |std| format!("{mean} ± {std:.4}"));
        Self { colour, marker, spread, numbers, dots: Vec::new(), diverged: 0, absent: "not reported" }
    }

    /// Mean and single trials.
    fn points(&self) -> impl Iterator<Item = f64> + '_ {
        self.spread.mean.into_iter().chain(self.dots.iter().map(|(_, value)| *value))
    }

    fn extent(&self) -> impl Iterator<Item = f64> + '_ {
        let std = self.spread.std_trials.unwrap_or(0.0);
        let whisker = self.spread.mean.into_iter().flat_map(move |mean| [mean - std, mean + std]);
        whisker.chain(self.dots.iter().map(|(_, value)| *value))
    }
}

impl Panel<'_> {
    pub fn draw(&self, canvas: &mut Canvas, area: &Area) {
        let bottom = area.top + area.row_height * self.rows.len() as f64;
        let values =
            self.rows.iter().flat_map(Row::extent).chain(self.bounds.iter().map(|bound| bound.value));
        let limit = outlier_limit(self.rows.iter().flat_map(Row::points));
        let shown = values.filter(|value| value.abs() <= limit);
        let axis = Axis::linear(Range::covering(shown).padded(0.06), area.left, area.right);
        let ticks = ((area.right - area.left) / 52.0) as usize;
        axis.draw_below(canvas, area.top, bottom, self.axis_title, ticks);
        let middle = f64::midpoint(area.left, area.right);
        canvas.text(self.heading, (middle, area.top - area.to_heading), TITLE_SIZE, INK, Align::Centre);
        self.draw_bounds(canvas, area, &axis, bottom);
        for (index, row) in self.rows.iter().enumerate() {
            let y = area.top + area.row_height * (index as f64 + 0.5);
            canvas.path(&[(area.left, y), (area.right, y)], RULE, 1.0, 1.0);
            draw_row(canvas, row, &axis, y, area);
        }
        if self.rows.iter().flat_map(Row::points).any(|value| axis.side_of(value).is_some()) {
            let right = (area.right + NOTE_WIDTH).min(canvas.width - 6.0);
            canvas.text(clipped::NOTE, (right, bottom + 30.0), NOTE_SIZE, MUTED, Align::Right);
        }
    }

    /// Dashed lines with their names above; names that would touch stand one above the other.
    fn draw_bounds(&self, canvas: &mut Canvas, area: &Area, axis: &Axis, bottom: f64) {
        let mut taken: Option<(f64, f64)> = None;
        for bound in self.bounds {
            let x = axis.at(bound.value);
            let label = format!("{} {}", bound.label, signed(bound.value, 2));
            let half = text_width(&label, NOTE_SIZE) / 2.0;
            let centre =
                x.clamp(area.left + half - 30.0, (area.right - half + 30.0).max(area.left + half - 30.0));
            let (from, to) = (centre - half - 6.0, centre + half + 6.0);
            let raised = taken.is_some_and(|(left, right)| from < right && to > left);
            let y = area.top - if raised { 34.0 } else { 16.0 };
            canvas.dashes((x, area.top - 6.0), (x, bottom), MUTED, BOUND_WIDTH);
            canvas.text(&label, (centre, y), NOTE_SIZE, MUTED, Align::Centre);
            taken = Some((from, to));
        }
    }
}

fn draw_row(canvas: &mut Canvas, row: &Row, axis: &Axis, y: f64, area: &Area) {
    let lane = area.row_height * 0.22;
    let dots_y = y + lane * 0.9;
    let mut clipped = Clipped::new(row.colour);
    for (place, value) in &row.dots {
        let at = (axis.at(*value), dots_y + place * lane * 0.42);
        if !clipped.take(axis, at.1, *value) {
            canvas.circle(at, 3.6, row.colour, 0.5);
        }
    }
    let numbers = area.right + 12.0;
    let noted = row.diverged > 0;
    let mean_y = if row.dots.is_empty() { y } else { y - lane * 0.9 };
    match row.spread.mean {
        Some(mean) => {
            if let Some(std) = row.spread.std_trials {
                let (from, to) = (axis.at(mean - std), axis.at(mean + std));
                canvas.path(&[(from, mean_y), (to, mean_y)], row.colour, 1.0, 2.4);
                for end in [from, to] {
                    canvas.path(&[(end, mean_y - 4.5), (end, mean_y + 4.5)], row.colour, 1.0, 2.4);
                }
            }
            if !clipped.take(axis, mean_y, mean) {
                canvas.marker(row.marker, (axis.at(mean), mean_y), 6.0, row.colour);
            }
            let text_y = if noted { y - 9.0 } else { y };
            canvas.text(&row.numbers, (numbers, text_y), TICK_SIZE, INK, Align::Left);
        }
        None => {
            let text_y = if noted { y - 9.0 } else { y };
            canvas.text(row.absent, (numbers, text_y), TICK_SIZE, MUTED, Align::Left);
        }
    }
    clipped.draw_across(canvas, axis);
    if noted {
        let text = format!("{} diverged", row.diverged);
        canvas.text(&text, (numbers, y + 9.0), NOTE_SIZE, ALARM, Align::Left);
    }
}

/// Row names, right-aligned at `right`.
pub fn draw_names(canvas: &mut Canvas, names: &[String], right: f64, top: f64, row_height: f64, size: f64) {
    for (index, name) in names.iter().enumerate() {
        let y = top + row_height * (index as f64 + 0.5);
        canvas.text(name, (right, y), size, INK, Align::Right);
    }
}

/// The line under a figure of dots that says what its marks are.
pub fn caption(extent: &str, rows: &[Row]) -> String {
    let lost: usize = rows.iter().map(|row| row.diverged).sum();
    let lost =
        if lost > 0 { format!("; {} diverged, not averaged", counted(lost, "trial")) } else { String::new() };
    format!("Large marks: mean ± std over {extent}; small dots: single trials{lost}.")
}
