//! Rows of pictures under column titles, with a row of reasons where pictures are missing.

use std::path::Path;

use image::{RgbImage, imageops};

use crate::canvas::{Align, Canvas, text_width};
use crate::drawing::Drawing;
use crate::error::Result;
use crate::style::{INK, LABEL_SIZE, MUTED, NOTE_SIZE, RULE};
use crate::tiles::resized;
use crate::wrap::{Notes, wrapped};

/// Sides that a tile is shown at: small pictures are enlarged, large ones reduced.
const LEAST_SIDE: u32 = 96;
const MOST_SIDE: u32 = 128;
const GAP: u32 = 4;
/// Between two groups of columns.
const GROUP_GAP: u32 = 22;
const NAMES_GAP: u32 = 10;
const MARGIN: u32 = 14;
const TITLE_LINES: usize = 5;
const TITLE_SIZE: f64 = 13.0;
const TITLE_SPACING: f64 = 15.5;
const CAPTION_LINES: usize = 2;
const NAMES_WIDTH: f64 = 150.0;
const NAME_LINES: usize = 3;
const NAME_SPACING: f64 = 20.0;
/// Room for the captions below a row of tiles.
const CAPTION_HEIGHT: u32 = 36;

/// A picture, or why there is none, and what stands below it.
pub struct Tile {
    pub picture: std::result::Result<RgbImage, &'static str>,
    pub caption: String,
}

/// Columns that belong together.
pub struct Group {
    /// Above the titles; may be empty.
    pub heading: String,
    pub titles: Vec<String>,
}

pub struct Row {
    pub name: String,
    /// As many as all groups have columns.
    pub tiles: Vec<Tile>,
}

pub struct Mosaic {
    /// A column of pictures at the far left with its own title, whatever the rows are.
    pub aside: Option<(String, Vec<RgbImage>)>,
    pub groups: Vec<Group>,
    pub rows: Vec<Row>,
    pub note: String,
}

/// Places in figure pixels.
struct Plan {
    side: u32,
    left: u32,
    top: u32,
    row_height: u32,
    /// Left edges of the columns.
    columns: Vec<u32>,
    titles: Vec<Vec<String>>,
    size: (u32, u32),
}

impl Mosaic {
    /// `name.png`.
    pub fn draw(&self, name: &str) -> Result<Vec<Drawing>> {
        let plan = self.plan();
        let notes = Notes::new(&self.note, f64::from(plan.size.0));
        let mut image = self.frame(&plan, &notes).to_image(1, Path::new(name))?;
        let mut place = |picture: &RgbImage, left: u32, top: u32| {
            imageops::replace(&mut image, &resized(picture, plan.side), i64::from(left), i64::from(top));
        };
        for (index, picture) in self.aside_pictures().iter().enumerate() {
            place(picture, MARGIN, plan.row(index));
        }
        for (index, row) in self.rows.iter().enumerate() {
            for (tile, left) in row.tiles.iter().zip(&plan.columns) {
                if let Ok(picture) = &tile.picture {
                    place(picture, *left, plan.row(index));
                }
            }
        }
        Ok(vec![Drawing::picture(name, image)])
    }

    /// As many as there are rows to stand beside.
    fn aside_pictures(&self) -> &[RgbImage] {
        self.aside.as_ref().map_or(&[], |(_, pictures)| &pictures[..pictures.len().min(self.rows.len())])
    }

    fn plan(&self) -> Plan {
        let tiles = || self.rows.iter().flat_map(|row| &row.tiles);
        let pictures =
            self.aside_pictures().iter().chain(tiles().filter_map(|tile| tile.picture.as_ref().ok()));
        let side = pictures.map(RgbImage::width).max().unwrap_or(LEAST_SIDE).clamp(LEAST_SIDE, MOST_SIDE);
        let names = self.rows.iter().flat_map(|row| name_lines(&row.name));
        let widest = names.map(|line| text_width(&line, LABEL_SIZE)).fold(0.0, f64::max);
        let aside = if self.aside.is_some() { side + NAMES_GAP } else { 0 };
        let left = MARGIN + aside + widest.ceil() as u32 + NAMES_GAP;
        let titles: Vec<Vec<String>> = self
            .groups
            .iter()
            .flat_map(|group| &group.titles)
            .map(|title| wrapped(title, f64::from(side), TITLE_SIZE, TITLE_LINES))
            .collect();
        let lines = titles.iter().map(Vec::len).max().unwrap_or(0);
        let heading = if self.groups.iter().any(|group| !group.heading.is_empty()) { 24 } else { 0 };
        let top = (lines as f64 * TITLE_SPACING) as u32 + 24 + heading;
        let mut columns = Vec::new();
        let mut at = left;
        for group in &self.groups {
            columns.extend((0..group.titles.len() as u32).map(|index| at + index * (side + GAP)));
            at += group.titles.len() as u32 * (side + GAP) + GROUP_GAP;
        }
        let captioned = tiles().any(|tile| !tile.caption.is_empty());
        let row_height = side + GAP + if captioned { CAPTION_HEIGHT } else { 0 };
        let width = (at - GAP - GROUP_GAP + MARGIN).max(left + MARGIN);
        let notes = Notes::new(&self.note, f64::from(width)).height() as u32;
        let size = (width, top + row_height * self.rows.len() as u32 + 8 + notes);
        Plan { side, left, top, row_height, columns, titles, size }
    }

    /// Everything but the pictures: names, titles, and empty tiles that say why they are empty.
    fn frame(&self, plan: &Plan, notes: &Notes) -> Canvas {
        let mut canvas = Canvas::new(f64::from(plan.size.0), f64::from(plan.size.1));
        let half = f64::from(plan.side) / 2.0;
        let above = f64::from(plan.top) - 12.0;
        if let Some((title, _)) = &self.aside {
            canvas.text(title, (f64::from(MARGIN) + half, above), TITLE_SIZE + 1.0, INK, Align::Centre);
        }
        for (left, lines) in plan.columns.iter().zip(&plan.titles) {
            for (line, text) in lines.iter().rev().enumerate() {
                let y = above - line as f64 * TITLE_SPACING;
                canvas.text(text, (f64::from(*left) + half, y), TITLE_SIZE, INK, Align::Centre);
            }
        }
        self.draw_headings(&mut canvas, plan);
        for (index, row) in self.rows.iter().enumerate() {
            let top = f64::from(plan.row(index));
            let right = f64::from(plan.left - NAMES_GAP);
            let lines = name_lines(&row.name);
            let first = top + half - lines.len().saturating_sub(1) as f64 * NAME_SPACING / 2.0;
            for (line, text) in lines.iter().enumerate() {
                let at = (right, first + line as f64 * NAME_SPACING);
                canvas.text(text, at, LABEL_SIZE, INK, Align::Right);
            }
            for (tile, left) in row.tiles.iter().zip(&plan.columns) {
                draw_tile(&mut canvas, tile, (f64::from(*left), top), half);
            }
        }
        notes.draw(&mut canvas);
        canvas
    }

    fn draw_headings(&self, canvas: &mut Canvas, plan: &Plan) {
        let mut first = 0;
        for group in &self.groups {
            let last = first + group.titles.len();
            if let (Some(from), Some(to)) = (plan.columns.get(first), plan.columns[..last].last()) {
                let (from, to) = (f64::from(*from), f64::from(to + plan.side));
                if !group.heading.is_empty() {
                    let middle = f64::midpoint(from, to);
                    canvas.text(&group.heading, (middle, 15.0), LABEL_SIZE, INK, Align::Centre);
                    canvas.path(&[(from, 28.0), (to, 28.0)], MUTED, 1.0, 1.0);
                }
            }
            first = last;
        }
    }
}

impl Plan {
    fn row(&self, index: usize) -> u32 {
        self.top + index as u32 * self.row_height
    }
}

fn name_lines(name: &str) -> Vec<String> {
    wrapped(name, NAMES_WIDTH, LABEL_SIZE, NAME_LINES)
}

/// A tile's caption, and where it has no picture a grey square that says why.
fn draw_tile(canvas: &mut Canvas, tile: &Tile, at: (f64, f64), half: f64) {
    let ((left, top), side) = (at, 2.0 * half);
    if let Err(reason) = tile.picture {
        let corners = [(left, top), (left + side, top), (left + side, top + side), (left, top + side)];
        canvas.polygon(&corners, RULE, 1.0);
        canvas.text(reason, (left + half, top + half), NOTE_SIZE, MUTED, Align::Centre);
    }
    let lines = wrapped(&tile.caption, side, TITLE_SIZE, CAPTION_LINES);
    for (line, text) in lines.iter().enumerate() {
        let y = top + side + 11.0 + line as f64 * TITLE_SPACING;
        canvas.text(text, (left + half, y), TITLE_SIZE, INK, Align::Centre);
    }
}
