//! Panels of dots in rows of three, with the names of their rows at the left: what tables of scores look like.

use crate::canvas::{Canvas, text_width};
use crate::plots::dots::{Area, Panel, Row, draw_names};
use crate::style::TICK_SIZE;
use crate::wrap::Notes;

const WIDTH: f64 = 1000.0;
const ACROSS: usize = 3;
/// Where the rows' names end, at least; left of the widest of them.
const NAMES: f64 = 142.0;
const BESIDE_NAMES: f64 = 8.0;
const TOP: f64 = 42.0;
const TO_HEADING: f64 = 22.0;
const ROW_HEIGHT: f64 = 32.0;
/// Right of a panel, for a row's numbers, at least; beside the widest of them; between two panels beside that.
const NUMBERS: f64 = 96.0;
const BESIDE_NUMBERS: f64 = 10.0;
const BETWEEN: f64 = 14.0;
/// Below a panel: its axis, and the next one's heading.
const BELOW: f64 = 98.0;

/// A score of everything compared.
pub struct DotPanel {
    pub heading: String,
    pub axis_title: String,
    /// In the order of the names.
    pub rows: Vec<Row>,
}

/// The figure of these panels; `names` are those of the rows of each.
pub fn draw_panels(names: &[String], panels: &[DotPanel], note: &str) -> Canvas {
    let across = panels.len().clamp(1, ACROSS);
    let down = panels.len().div_ceil(ACROSS) as f64;
    let height = ROW_HEIGHT * names.len() as f64;
    let notes = Notes::new(note, WIDTH);
    let below = TOP + down * (height + BELOW) - BELOW + 58.0;
    let mut canvas = Canvas::new(WIDTH, below + notes.height());
    let widths = names.iter().map(|name| text_width(name, TICK_SIZE));
    let names_end = widths.fold(NAMES - BESIDE_NAMES, f64::max) + BESIDE_NAMES;
    let step = (WIDTH - names_end - 8.0) / across as f64;
    let widths = panels.iter().flat_map(|panel| &panel.rows).map(|row| text_width(&row.numbers, TICK_SIZE));
    let room = widths.fold(NUMBERS - BESIDE_NUMBERS, f64::max) + BESIDE_NUMBERS;
    for (index, panel) in panels.iter().enumerate() {
        let left = names_end + 12.0 + (index % ACROSS) as f64 * step;
        let top = TOP + (index / ACROSS) as f64 * (height + BELOW);
        if index % ACROSS == 0 {
            draw_names(&mut canvas, names, names_end, top, ROW_HEIGHT, TICK_SIZE);
        }
        let area = Area {
            left,
            right: left + step - room - BETWEEN,
            top,
            row_height: ROW_HEIGHT,
            to_heading: TO_HEADING,
        };
        let (heading, axis_title) = (panel.heading.as_str(), panel.axis_title.as_str());
        Panel { heading, axis_title, rows: &panel.rows, bounds: &[] }.draw(&mut canvas, &area);
    }
    notes.draw(&mut canvas);
    canvas
}
