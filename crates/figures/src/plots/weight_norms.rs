//! Figure 4 of the paper: how large the columns of the pretrained attention projections are, block by block.

use std::collections::BTreeMap;
use std::path::Path;

use results::Frame;

use crate::axis::{Axis, Range};
use crate::canvas::Canvas;
use crate::drawing::{Drawing, listed};
use crate::error::{FiguresError, Result};
use crate::plots::lines::{self, Below, Dot, Line, Look, Panel};
use crate::stroke::Stroke;
use crate::style::{Colour, Marker};
use crate::wrap::Notes;

const WIDTH: f64 = 700.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 268.0;
const LEFT: f64 = 70.0;
const BETWEEN: f64 = 66.0;
const BELOW: f64 = 64.0;

/// Values of `projection` with their look.
const PROJECTIONS: [(&str, &str, Colour, Marker); 4] = [
    ("to_q", "Q", Colour(0x00, 0x72, 0xB2), Marker::Circle),
    ("to_k", "K", Colour(0xD5, 0x5E, 0x00), Marker::Diamond),
    ("to_v", "V", Colour(0x00, 0x9E, 0x73), Marker::Square),
    ("to_out", "Out", Colour(0x88, 0x22, 0x55), Marker::TriangleUp),
];
/// Values of `attention` with their headings; one panel each.
const ATTENTIONS: [(&str, &str); 2] = [("attn1", "Self-attention"), ("attn2", "Cross-attention")];

/// All columns of one kind of layer in one block.
#[derive(Clone, Copy, Default)]
struct Norms {
    columns: f64,
    sum: f64,
    squares: f64,
}

impl Norms {
    fn add(&mut self, mean: f64, std: f64, columns: f64) {
        self.columns += columns;
        self.sum += columns * mean;
        self.squares += columns * (std * std + mean * mean);
    }

    fn mean(&self) -> f64 {
        self.sum / self.columns
    }

    fn std(&self) -> f64 {
        (self.squares / self.columns - self.mean().powi(2)).max(0.0).sqrt()
    }
}

/// Norms by attention, projection and block.
type Table = BTreeMap<(&'static str, &'static str), BTreeMap<String, Norms>>;

/// `weight_norms.svg`, `weight_norms.png` and `weight_norms.csv`, from the table of norms at `csv`.
pub fn weight_norms(csv: &Path) -> Result<Vec<Drawing>> {
    let frame = Frame::read(csv)?;
    let (table, blocks) = read(&frame)?;
    let header = listed("block, attention, projection, mean_column_norm, std, columns");
    let mut rows = Vec::new();
    for ((attention, projection), norms) in &table {
        for block in blocks.iter().filter(|block| norms.contains_key(*block)) {
            let norms = norms[block];
            let names = [block.clone(), (*attention).to_owned(), (*projection).to_owned()];
            let numbers = [norms.mean(), norms.std(), norms.columns].map(|value| value.to_string());
            rows.push([names, numbers].concat());
        }
    }
    Ok(vec![
        Drawing::shapes("weight_norms", figure(&table, &blocks)),
        Drawing::csv("weight_norms.csv", header, rows),
    ])
}

/// The norms, and the blocks in the order in which the UNet has them.
fn read(frame: &Frame) -> Result<(Table, Vec<String>)> {
    for column in ["block", "attention", "projection", "mean_column_norm"] {
        frame.one_of(&[column])?;
    }
    let mut table = Table::new();
    let mut blocks = Vec::new();
    for row in 0..frame.len() {
        let attention = ATTENTIONS.iter().find(|(name, _)| *name == frame.text(row, "attention"));
        let projection = frame.text(row, "projection");
        // A layer's name in the UNet is `to_out.0`.
        let projection = projection.strip_suffix(".0").unwrap_or(projection);
        let projection = PROJECTIONS.iter().find(|(name, ..)| *name == projection);
        let (Some((attention, _)), Some((projection, ..)), Some(mean)) =
            (attention, projection, frame.number(row, "mean_column_norm"))
        else {
            continue;
        };
        let std = frame.number(row, "std").unwrap_or(0.0);
        let columns = frame.number(row, "columns").filter(|columns| *columns > 0.0).unwrap_or(1.0);
        let block = frame.text(row, "block").to_owned();
        let norms = table.entry((*attention, *projection)).or_default().entry(block.clone()).or_default();
        norms.add(mean, std, columns);
        blocks.push(block);
    }
    if table.is_empty() {
        return Err(FiguresError::nothing(
            frame.path(),
            "row with a known `attention` and `projection` and a number as `mean_column_norm`",
            "`attention` is attn1 or attn2, `projection` to_q, to_k, to_v or to_out",
        ));
    }
    blocks.sort_by_key(|block| place(block));
    blocks.dedup();
    Ok((table, blocks))
}

/// Downwards, the middle, upwards; numbers as numbers.
fn place(block: &str) -> (usize, u64, String) {
    let part = ["down", "mid", "up"].iter().position(|part| block.starts_with(part)).unwrap_or(3);
    let number = block.split('.').find_map(|word| word.parse().ok()).unwrap_or(0);
    (part, number, block.to_owned())
}

/// "D0" for `down_blocks.0`.
fn short(block: &str) -> String {
    let (part, number, _) = place(block);
    match part {
        0 => format!("D{number}"),
        1 => "M".to_owned(),
        2 => format!("U{number}"),
        _ => block.to_owned(),
    }
}

fn figure(table: &Table, blocks: &[String]) -> Canvas {
    let panels: Vec<(&str, Vec<Line>)> = ATTENTIONS
        .iter()
        .map(|(attention, heading)| (*heading, panel_lines(table, attention, blocks)))
        .filter(|(_, lines)| !lines.is_empty())
        .collect();
    let note = "Mean norm of the weights' columns (one for each input feature), bands: ± std over columns. D, M, U: the UNet's down, \
                mid and up blocks.";
    let notes = Notes::new(note, WIDTH);
    let mut canvas = Canvas::new(WIDTH, BOTTOM + BELOW + notes.height());
    let names: Vec<String> = blocks.iter().map(|block| short(block)).collect();
    let looks: Vec<Look> =
        panels.iter().flat_map(|(_, lines)| lines.iter().map(|line| line.look.clone())).collect();
    let (count, names_width) = (panels.len() as f64, lines::names_width(looks.iter()));
    let width = (WIDTH - LEFT - names_width * count - BETWEEN * (count - 1.0)) / count;
    // One scale for both, or the eye compares what it must not.
    let tops = panels.iter().flat_map(|(_, lines)| lines.iter().flat_map(|line| &line.dots));
    let tallest = tops.filter_map(|dot| Some(dot.mean? + dot.std)).fold(0.0, f64::max);
    for (index, (heading, drawn)) in panels.iter().enumerate() {
        let left = LEFT + index as f64 * (width + names_width + BETWEEN);
        let right = left + width;
        let across = Axis::linear(Range { low: -0.4, high: blocks.len() as f64 - 0.6 }, left, right);
        let panel = Panel {
            left,
            right,
            top: TOP,
            bottom: BOTTOM,
            heading,
            title: "mean column norm",
            bounds: &[],
            from_zero: true,
            reaching: Some(tallest),
        };
        let below = Below::Names { title: "block", names: &names };
        let ends = panel.draw(&mut canvas, drawn, &across, false, &below);
        lines::draw_names(&mut canvas, drawn.iter().map(|line| &line.look), &ends, &panel);
    }
    notes.draw(&mut canvas);
    canvas
}

fn panel_lines(table: &Table, attention: &'static str, blocks: &[String]) -> Vec<Line> {
    let line = |(projection, title, colour, marker): &(&'static str, &str, Colour, Marker)| {
        let norms = table.get(&(attention, *projection))?;
        let dot = |(index, block): (usize, &String)| {
            let norms = norms.get(block);
            Dot {
                x: index as f64,
                mean: norms.map(Norms::mean),
                std: norms.map_or(0.0, Norms::std),
                hollow: false,
            }
        };
        let look =
            Look { title: (*title).to_owned(), colour: *colour, marker: *marker, stroke: Stroke::Solid };
        Some(Line { look, dots: blocks.iter().enumerate().map(dot).collect(), crosses: Vec::new() })
    };
    PROJECTIONS.iter().filter_map(line).collect()
}
