//! What one more trial costs: a step of a bank by the number of its trials, as `delora bench` measures it.

use std::path::Path;

use results::Frame;

use crate::axis::{Axis, Range};
use crate::canvas::Canvas;
use crate::drawing::Drawing;
use crate::error::{FiguresError, Result};
use crate::plots::lines::{self, Below, Dot, Line, Look, Panel};
use crate::wrap::Notes;

const WIDTH: f64 = 560.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 288.0;
const LEFT: f64 = 70.0;
const BELOW: f64 = 64.0;

/// Rows of `steps.csv` that are drawn.
const TABLE: &str = "banks";
/// What banks of the table are called; others as the table names them.
const TITLES: [(&str, &str); 3] = [("lora", "LoRA"), ("delora", "DeLoRA"), ("mixed", "four methods")];

/// `cost.svg` and `cost.png`, from the table of steps at `csv`.
pub fn cost(csv: &Path) -> Result<Vec<Drawing>> {
    let frame = Frame::read(csv)?;
    for column in ["table", "method", "trials", "milliseconds", "least", "most"] {
        frame.one_of(&[column])?;
    }
    let rows: Vec<usize> = (0..frame.len()).filter(|&row| frame.text(row, "table") == TABLE).collect();
    let mut methods: Vec<&str> = rows.iter().map(|&row| frame.text(row, "method")).collect();
    methods.dedup();
    // Others stand there to be compared with, in banks of one trial.
    methods.retain(|method| rows.iter().filter(|&&row| frame.text(row, "method") == *method).count() > 1);
    let mut sizes: Vec<u64> =
        rows.iter().filter_map(|&row| Some(frame.number(row, "trials")? as u64)).collect();
    sizes.sort_unstable();
    sizes.dedup();
    if methods.is_empty() {
        return Err(FiguresError::nothing(
            frame.path(),
            "row whose `table` is `banks`",
            "`delora bench` measures banks of several sizes",
        ));
    }
    let line = |method: &&str| {
        let title = TITLES.iter().find(|(name, _)| name == method).map_or(*method, |(_, title)| title);
        let dot = |(place, size): (usize, &u64)| {
            let is_it = |row: &&usize| {
                frame.text(**row, "method") == *method && frame.number(**row, "trials") == Some(*size as f64)
            };
            let row = rows.iter().find(is_it);
            let number = |column| row.and_then(|&row| frame.number(row, column));
            let spread =
                number("most").zip(number("least")).map_or(0.0, |(most, least)| (most - least) / 2.0);
            Dot { x: place as f64, mean: number("milliseconds"), std: spread, hollow: false }
        };
        let dots = sizes.iter().enumerate().map(dot).collect();
        Line { look: Look::new(method, title.to_owned(), 0), dots, crosses: Vec::new() }
    };
    let drawn: Vec<Line> = methods.iter().map(line).collect();
    Ok(vec![Drawing::shapes("cost", figure(&drawn, &sizes))])
}

fn figure(drawn: &[Line], sizes: &[u64]) -> Canvas {
    let note = "A training step of the mini denoiser at one picture per trial, by the trials of the bank. Bands: half the way \
                from the fastest round to the slowest, on either side.";
    let notes = Notes::new(note, WIDTH);
    let mut canvas = Canvas::new(WIDTH, BOTTOM + BELOW + notes.height());
    let right = WIDTH - lines::names_width(drawn.iter().map(|line| &line.look));
    let across = Axis::linear(Range { low: -0.4, high: sizes.len() as f64 - 0.6 }, LEFT, right);
    let names: Vec<String> = sizes.iter().map(u64::to_string).collect();
    let panel = Panel {
        left: LEFT,
        right,
        top: TOP,
        bottom: BOTTOM,
        heading: "What one more trial costs",
        title: "milliseconds per trial and step",
        bounds: &[],
        from_zero: true,
        reaching: None,
    };
    let below = Below::Names { title: "trials of a bank", names: &names };
    let ends = panel.draw(&mut canvas, drawn, &across, false, &below);
    lines::draw_names(&mut canvas, drawn.iter().map(|line| &line.look), &ends, &panel);
    notes.draw(&mut canvas);
    canvas
}
