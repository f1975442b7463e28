//! The picture grid: real pictures on the left, then a row for each method and a column for each prompt.

use std::path::{Path, PathBuf};

use image::RgbImage;
use image::imageops::{self, FilterType};

use crate::canvas::{Align, Canvas, text_width};
use crate::error::{FiguresError, Result};
use crate::layout::REAL_IMAGES;
use crate::output::write_png;
use crate::series::Series;
use crate::style::{INK, LABEL_SIZE, MUTED, NOTE_SIZE, RULE};
use crate::trials::{Status, Trial, Trials};

/// Tiles in a row of a trial's picture file.
const TILES_ACROSS: u32 = 5;
/// Sides that a tile is shown at: small pictures are enlarged, large ones reduced.
const LEAST_SIDE: u32 = 96;
const MOST_SIDE: u32 = 128;
const GAP: u32 = 4;
const NAMES_WIDTH: u32 = 192;
const MARGIN: u32 = 14;
const PROMPT_LINES: usize = 5;
const PROMPT_SIZE: f64 = 13.0;
const PROMPT_SPACING: f64 = 15.5;

/// Which pictures to show.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Absent is the first subject of `trials.csv`.
    pub subject: Option<String>,
    /// Absent is the subject's first seed.
    pub seed: Option<String>,
    /// From zero; an index beyond the prompts is left out.
    pub prompts: Vec<usize>,
}

impl Default for Choice {
    fn default() -> Self {
        Self { subject: None, seed: None, prompts: vec![0, 1, 2, 4, 6, 13, 20, 24] }
    }
}

/// Measures of the grid in figure pixels.
struct Plan {
    side: u32,
    columns: u32,
    rows: u32,
    real: u32,
    /// Prompts above the columns, in lines.
    prompts: Vec<Vec<String>>,
}

impl Plan {
    fn names_right(&self) -> u32 {
        MARGIN + self.side + NAMES_WIDTH
    }

    fn tile(&self, row: u32, column: u32) -> (u32, u32) {
        let step = self.side + GAP;
        (self.names_right() + 10 + column * step, self.top() + row * step)
    }

    fn top(&self) -> u32 {
        let lines = self.prompts.iter().map(Vec::len).max().unwrap_or(0);
        (lines as f64 * PROMPT_SPACING) as u32 + 24
    }

    fn size(&self) -> (u32, u32) {
        let (right, _) = self.tile(0, self.columns);
        let (_, bottom) = self.tile(self.rows.max(self.real), 0);
        (right + MARGIN - GAP, bottom + 30)
    }
}

/// `grid.png`, from `pictures/` of the results folder.
pub fn write_grid(trials: &Trials, results: &Path, plots: &Path, choice: &Choice) -> Result<Vec<PathBuf>> {
    let pictures = results.join("pictures");
    let shown = shown(trials, results, choice)?;
    let subject = &shown[0].1.subject;
    let prompts_path = pictures.join(format!("prompts-{subject}.txt"));
    let text =
        std::fs::read_to_string(&prompts_path).map_err(|source| FiguresError::read(&prompts_path, source))?;
    let prompts: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let columns: Vec<usize> = choice.prompts.iter().copied().filter(|index| *index < prompts.len()).collect();
    if columns.is_empty() {
        return Err(FiguresError::Nothing {
            path: prompts_path,
            what: "prompt at any of the chosen places".to_owned(),
            remedy: format!("it has {} lines", prompts.len()),
        });
    }
    let real = strip(&read_picture(&pictures.join(format!("subject-{subject}.png")))?);
    let side = real[0].width().clamp(LEAST_SIDE, MOST_SIDE);
    let (rows, real_rows) = (shown.len() as u32, real.len().min(shown.len()) as u32);
    let titles = columns.iter().map(|index| wrapped(prompts[*index], f64::from(side), PROMPT_SIZE)).collect();
    let plan = Plan { side, columns: columns.len() as u32, rows, real: real_rows, prompts: titles };

    let path = plots.join("grid.png");
    let mut grid = frame(&plan, &shown).to_image(1, &path)?;
    for (row, picture) in real.iter().take(real_rows as usize).enumerate() {
        let (_, top) = plan.tile(row as u32, 0);
        imageops::replace(&mut grid, &resized(picture, side), i64::from(MARGIN), i64::from(top));
    }
    for (row, (_, trial)) in shown.iter().enumerate() {
        let file = pictures.join(format!("{}.png", trial.id));
        if !file.exists() {
            continue;
        }
        let tiles = read_picture(&file)?;
        for (column, index) in columns.iter().enumerate() {
            let Some(tile) = prompt_tile(&tiles, *index) else { continue };
            let (left, top) = plan.tile(row as u32, column as u32);
            imageops::replace(&mut grid, &resized(&tile, side), i64::from(left), i64::from(top));
        }
    }
    Ok(vec![write_png(&path, &grid)?])
}

/// The chosen subject's and seed's trial of each series, in the order of the legends.
fn shown<'a>(trials: &'a Trials, results: &Path, choice: &Choice) -> Result<Vec<(Series<'a>, &'a Trial)>> {
    let generated = || trials.all().iter().filter(|trial| trial.method != REAL_IMAGES);
    let nothing = || FiguresError::Nothing {
        path: results.join("trials.csv"),
        what: "trial of the chosen subject and seed".to_owned(),
        remedy: "choose a subject and a seed that were run".to_owned(),
    };
    let first =
        generated().find(|trial| choice.subject.as_ref().is_none_or(|subject| *subject == trial.subject));
    let subject = &first.ok_or_else(nothing)?.subject;
    let of_subject = || generated().filter(|trial| trial.subject == *subject);
    let by_number = |trial: &&Trial| (trial.seed.parse::<u64>().unwrap_or(u64::MAX), trial.seed.clone());
    let first_seed = of_subject().min_by_key(by_number).map(|trial| trial.seed.clone());
    let seed = choice.seed.clone().or(first_seed).ok_or_else(nothing)?;
    let chosen = |trial: &&Trial| trial.subject == *subject && trial.seed == seed;
    let of_series = |series: Series<'a>| Some((series, trials.of(series).find(chosen)?));
    let mut series = trials.series();
    series.retain(|series| series.method != REAL_IMAGES);
    let shown: Vec<(Series, &Trial)> = series.into_iter().filter_map(of_series).collect();
    if shown.is_empty() { Err(nothing()) } else { Ok(shown) }
}

/// Everything but the pictures: names, prompts, and empty tiles that say why they are empty.
fn frame(plan: &Plan, shown: &[(Series, &Trial)]) -> Canvas {
    let (width, height) = plan.size();
    let mut canvas = Canvas::new(f64::from(width), f64::from(height));
    let side = f64::from(plan.side);
    let centre = f64::from(MARGIN) + side / 2.0;
    let above = f64::from(plan.top()) - 12.0;
    canvas.text("Real pictures", (centre, above), PROMPT_SIZE + 1.0, INK, Align::Centre);
    for (column, lines) in plan.prompts.iter().enumerate() {
        let (left, _) = plan.tile(0, column as u32);
        for (line, text) in lines.iter().rev().enumerate() {
            let y = above - line as f64 * PROMPT_SPACING;
            canvas.text(text, (f64::from(left) + side / 2.0, y), PROMPT_SIZE, INK, Align::Centre);
        }
    }
    for (row, (series, trial)) in shown.iter().enumerate() {
        let (_, top) = plan.tile(row as u32, 0);
        let middle = f64::from(top) + side / 2.0;
        let right = f64::from(plan.names_right());
        canvas.text(&series.title(), (right, middle), LABEL_SIZE, INK, Align::Right);
        let reason = match trial.status {
            Status::Diverged => "diverged",
            _ => "no picture",
        };
        for column in 0..plan.columns {
            let (left, top) = plan.tile(row as u32, column);
            let (left, top) = (f64::from(left), f64::from(top));
            let corners = [(left, top), (left + side, top), (left + side, top + side), (left, top + side)];
            canvas.polygon(&corners, RULE, 1.0);
            canvas.text(reason, (left + side / 2.0, middle), NOTE_SIZE, MUTED, Align::Centre);
        }
    }
    let (_, first) = shown[0];
    let note = format!("Subject {}, seed {}, one picture for each prompt.", first.subject, first.seed);
    canvas.text(&note, (f64::from(MARGIN), f64::from(height) - 14.0), NOTE_SIZE, MUTED, Align::Left);
    canvas
}

fn read_picture(path: &Path) -> Result<RgbImage> {
    let bytes = std::fs::read(path).map_err(|source| FiguresError::read(path, source))?;
    let picture =
        image::load_from_memory(&bytes).map_err(|error| FiguresError::picture(path, error))?.to_rgb8();
    if picture.width() < TILES_ACROSS || picture.height() == 0 {
        return Err(FiguresError::picture(
            path,
            format!("it is {} × {} pixels", picture.width(), picture.height()),
        ));
    }
    Ok(picture)
}

/// The pictures of a horizontal strip of squares.
fn strip(picture: &RgbImage) -> Vec<RgbImage> {
    let side = picture.height().min(picture.width());
    (0..picture.width() / side)
        .map(|index| imageops::crop_imm(picture, index * side, 0, side, side).to_image())
        .collect()
}

/// The first picture of a prompt in a trial's file; `None` where the file is too short for it.
fn prompt_tile(tiles: &RgbImage, prompt: usize) -> Option<RgbImage> {
    let side = tiles.width() / TILES_ACROSS;
    let prompt = u32::try_from(prompt).ok()?;
    let (left, top) = (prompt % TILES_ACROSS * side, prompt / TILES_ACROSS * side);
    (top + side <= tiles.height()).then(|| imageops::crop_imm(tiles, left, top, side, side).to_image())
}

fn resized(picture: &RgbImage, side: u32) -> RgbImage {
    let filter = if picture.width() > side { FilterType::Lanczos3 } else { FilterType::CatmullRom };
    imageops::resize(picture, side, side, filter)
}

/// Lines no wider than `width`, at most `PROMPT_LINES`; what does not fit ends in an ellipsis.
fn wrapped(text: &str, width: f64, size: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = shortened(word, width, size);
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line} {word}"), size) <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    if lines.len() > PROMPT_LINES {
        lines.truncate(PROMPT_LINES);
        if let Some(last) = lines.last_mut() {
            *last = shortened(&format!("{last} …"), width, size);
        }
    }
    lines
}

fn shortened(text: &str, width: f64, size: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut kept: String = text.trim_end_matches(" …").to_owned();
    while !kept.is_empty() && text_width(&format!("{kept}…"), size) > width {
        kept.pop();
    }
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn long_prompts_are_wrapped_and_cut_inside_the_column() {
        let lines = wrapped("a sks dog in the jungle", 96.0, PROMPT_SIZE);
        assert_eq!(lines.join(" "), "a sks dog in the jungle");
        let long = "word ".repeat(80) + &"x".repeat(99);
        let lines = wrapped(&long, 96.0, PROMPT_SIZE);
        assert_eq!(lines.len(), PROMPT_LINES);
        assert!(lines.last().unwrap().ends_with('…'));
        assert!(
            lines
                .iter()
                .chain(&wrapped(&"x".repeat(99), 96.0, PROMPT_SIZE))
                .all(|line| text_width(line, PROMPT_SIZE) <= 96.0)
        );
    }

    #[test]
    fn a_prompt_is_found_in_the_first_page_and_a_short_file_has_no_tile() {
        let side = 4;
        let tiles =
            RgbImage::from_fn(5 * side, 5 * side, |x, y| Rgb([(y / side * 5 + x / side) as u8, 0, 0]));
        for prompt in [0, 4, 6, 24] {
            let tile = prompt_tile(&tiles, prompt).unwrap();
            assert!(tile.pixels().all(|pixel| usize::from(pixel[0]) == prompt));
        }
        assert!(prompt_tile(&tiles, 25).is_none());
    }
}
