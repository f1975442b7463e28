//! Scores against the learning-rate multiplier, a panel for each task or benchmark, and how wide each method's range
//! of good rates is on each.

use std::collections::BTreeSet;

use results::sweep::{Line, Point, Source, Unchanged};
use results::{NONE, Series, Spread, Task, Trials, baseline, rank, stats};

use crate::axis::Axis;
use crate::canvas::{Align, Canvas, text_width};
use crate::drawing::{Drawing, full, listed};
use crate::plots::dots::Bound;
use crate::plots::lines::{self, Below, Look, Panel};
use crate::plots::sweep::{LOG_RATIO, MOST_BANDS, banded, distance_line, octaves, score_line, treatment};
use crate::plots::widths::{self, Row};
use crate::style::TICK_SIZE;
use crate::style::darker;
use crate::wrap::Notes;

/// Heading and axis title of the distance.
const DISTANCE: (&str, &str) = ("Distance from pretrained", "mean ‖W′ − W‖");

const WIDTH: f64 = 1000.0;
const ACROSS: usize = 3;
const PANEL_HEIGHT: f64 = 190.0;
/// Left of a panel, and between it and the one below.
const LEFT: f64 = 72.0;
const BELOW: f64 = 98.0;
const RIGHT: f64 = 14.0;
const LEGEND_ROW: f64 = 24.0;
const HEADING: f64 = 40.0;
/// Of a panel alone, which would be as wide as the figure.
const WIDEST: f64 = 480.0;

/// What the figures of one workload are called and say.
pub struct Words {
    /// Of the files.
    pub name: &'static str,
    /// What a part is of, as the column that names it.
    pub part: &'static str,
    /// Whose untrained trials stand for those that diverged without a score; a gain is measured from them.
    pub task: &'static Task,
    /// The column that counts what they stand for.
    pub start_column: &'static str,
    /// Whether a last panel has the distance from the pretrained weights.
    pub distance: bool,
    /// At the ends of the figure's note and of the tables.
    pub note: String,
    pub explanation: &'static str,
}

/// A panel: trials, and their lines by one score, which is a fraction.
pub struct Part<'a> {
    pub name: &'static str,
    pub heading: &'static str,
    pub title: String,
    pub trials: &'a Trials,
    pub score: &'static str,
    pub lines: Vec<Line<'a>>,
}

/// `<name>.{svg,png,csv,md}` and `<name>-points.csv`.
pub fn draw_parts(words: &Words, parts: &[Part]) -> Vec<Drawing> {
    let mut drawings = vec![Drawing::shapes(words.name, figure(words, parts))];
    drawings.extend(width_tables(words, parts));
    let points = format!("{}-points.csv", words.name);
    drawings.push(Drawing::csv(points, points_header(words), points_rows(parts)));
    drawings
}

fn figure(words: &Words, parts: &[Part]) -> Canvas {
    let looks = looks(parts);
    let legend = legend_places(&looks);
    let legend_height = legend.last().map_or(0.0, |(_, row)| (row + 1) as f64 * LEGEND_ROW);
    let notes = Notes::new(&note(words, parts), WIDTH);
    let distances = distances(words, parts);
    let panels = parts.len() + usize::from(!distances.is_empty());
    let across = panels.clamp(1, ACROSS);
    let down = panels.div_ceil(across) as f64;
    let top = 14.0 + legend_height + HEADING;
    let height = top + down * (PANEL_HEIGHT + BELOW) - BELOW + 66.0;
    let mut canvas = Canvas::new(WIDTH, height + notes.height());
    draw_legend(&mut canvas, &looks, &legend);
    let range = octaves(points(parts).map(|point| point.multiplier));
    let mut draw = |index: usize, heading, title, bounds: &[Bound], drawn: &[lines::Line], log| {
        let step = WIDTH / across as f64;
        let left = (index % across) as f64 * step + LEFT;
        let top = top + (index / across) as f64 * (PANEL_HEIGHT + BELOW);
        let right = (left + step - LEFT - RIGHT).min(left + WIDEST);
        let is_distance = index == parts.len();
        let panel = Panel {
            left,
            right,
            top,
            bottom: top + PANEL_HEIGHT,
            heading,
            title,
            bounds,
            from_zero: is_distance,
            reaching: if is_distance { None } else { least_range(drawn, bounds) },
        };
        let ticks = ((right - left) / 30.0) as usize;
        let below = Below::Labels { title: "learning-rate multiplier", ticks };
        panel.draw(&mut canvas, drawn, &Axis::log2(range, left, right), log, &below);
    };
    for (index, part) in parts.iter().enumerate() {
        draw(index, part.heading, &part.title, &part.bounds(words.task), &part.drawn(), false);
    }
    if !distances.is_empty() {
        let log = lines::is_wide(&distances, LOG_RATIO);
        draw(parts.len(), DISTANCE.0, DISTANCE.1, &[], &distances, log);
    }
    notes.draw(&mut canvas);
    canvas
}

/// Lines of the distance, the same for every score; none where nothing was measured.
fn distances(words: &Words, parts: &[Part]) -> Vec<lines::Line> {
    let is_known = |line: &Line| line.points.iter().any(|point| !point.distances().is_empty());
    match parts {
        [part, ..] if words.distance && part.lines.iter().any(is_known) => {
            banded(part.lines.iter().map(|line| distance_line(line, &Look::of_line(line))).collect())
        }
        _ => Vec::new(),
    }
}

impl Part<'_> {
    /// In percent.
    fn drawn(&self) -> Vec<lines::Line> {
        let line = |line| score_line(line, &Look::of_line(line), self.score);
        let mut drawn = banded(self.lines.iter().map(line).collect());
        for dot in drawn.iter_mut().flat_map(|line| &mut line.dots) {
            dot.mean = dot.mean.map(|mean| 100.0 * mean);
            dot.std *= 100.0;
        }
        drawn
    }

    fn bounds(&self, task: &'static Task) -> Vec<Bound> {
        let label = task.reference(NONE).unwrap_or(NONE);
        let mean = Spread::of(self.trials, self.trials.of(Series::of(NONE)), self.score).mean;
        mean.map(|mean| Bound { label, value: 100.0 * mean }).into_iter().collect()
    }
}

/// Where all means are alike, a point of percent above them: hundredths of one say nothing.
fn least_range(drawn: &[lines::Line], bounds: &[Bound]) -> Option<f64> {
    let means = drawn.iter().flat_map(|line| line.dots.iter().filter_map(|dot| dot.mean));
    let values: Vec<f64> = means.chain(bounds.iter().map(|bound| bound.value)).collect();
    let high = values.iter().copied().reduce(f64::max)?;
    let low = values.iter().copied().reduce(f64::min)?;
    (high - low < 1.0).then_some(high + 1.0)
}

fn points<'a>(parts: &'a [Part]) -> impl Iterator<Item = &'a Point<'a>> {
    parts.iter().flat_map(|part| &part.lines).flat_map(|line| &line.points)
}

/// The lines' looks in the order of the legends, each once.
fn looks(parts: &[Part]) -> Vec<Look> {
    let mut looks: Vec<(usize, Look)> = Vec::new();
    for line in parts.iter().flat_map(|part| &part.lines) {
        if looks.iter().all(|(_, known)| known.title != line.title) {
            looks.push((rank(line.method), Look::of_line(line)));
        }
    }
    looks.sort_by_key(|(rank, _)| *rank);
    looks.into_iter().map(|(_, look)| look).collect()
}

/// Left end and row of each name of the legend.
fn legend_places(looks: &[Look]) -> Vec<(f64, usize)> {
    let (mut x, mut row) = (LEFT, 0);
    let place = |look: &Look| {
        let width = text_width(&look.title, TICK_SIZE) + 48.0;
        if x + width > WIDTH && x > LEFT {
            (x, row) = (LEFT, row + 1);
        }
        x += width;
        (x - width, row)
    };
    looks.iter().map(place).collect()
}

fn draw_legend(canvas: &mut Canvas, looks: &[Look], places: &[(f64, usize)]) {
    for (look, (x, row)) in looks.iter().zip(places) {
        let y = 22.0 + *row as f64 * LEGEND_ROW;
        look.stroke.draw(canvas, &[(x - 11.0, y), (x + 11.0, y)], look.colour, 2.0);
        canvas.marker(look.marker, (*x, y), 5.0, look.colour);
        canvas.text(&look.title, (x + 18.0, y), TICK_SIZE, darker(look.colour), Align::Left);
    }
}

/// Parts with trials of their own: of benchmarks, which share all, the first.
fn different<'a, 'b>(parts: &'b [Part<'a>]) -> &'b [Part<'a>] {
    match parts {
        [first, rest @ ..] if rest.iter().all(|part| std::ptr::eq(part.trials, first.trials)) => &parts[..1],
        _ => parts,
    }
}

/// What the marks are, and what was done with trials that have no score.
fn note(words: &Words, parts: &[Part]) -> String {
    let all = || points(different(parts)).flat_map(|point| &point.trials);
    let seeds = all().map(|trial| trial.replicate.0).collect::<BTreeSet<_>>().len();
    let has_bands = parts.iter().any(|part| part.lines.len() <= MOST_BANDS);
    let bands = if has_bands && seeds > 1 { ", bands: ± std" } else { "" };
    let mut note = match seeds {
        1 => "Lines: one seed, so no spread.".to_owned(),
        _ => format!("Lines: mean{bands} over up to {seeds} seeds a point."),
    };
    let lost = all().filter(|trial| trial.diverged).count();
    if lost > 0 {
        note += &format!(" ×: trials diverged there ({lost} of {} in all).", all().count());
        note += &treatment(words.task.untrained, &|source: Source| {
            let of_part = |part: &Part| -> usize {
                part.lines
                    .iter()
                    .flat_map(|line| &line.points)
                    .map(|point| point.counted(part.score, source))
                    .sum()
            };
            different(parts).iter().map(of_part).sum()
        });
    }
    note + &words.note
}

/// `<name>.csv` and `<name>.md`: how wide each method's range of good rates is.
fn width_tables(words: &Words, parts: &[Part]) -> [Drawing; 2] {
    let mut header = listed(words.part);
    header.extend(widths::csv_header());
    let (mut cells, mut text, mut gained) = (Vec::new(), String::new(), false);
    for part in parts {
        let unchanged = Unchanged::of(part.trials);
        let baseline = part.trials.title(baseline(part.trials));
        let is_there = part.lines.iter().any(|line| line.title == baseline);
        let baseline = if is_there { baseline.as_str() } else { "" };
        let rows = Row::all(&part.lines, baseline, &unchanged, part.score);
        let of_task =
            |row: &Row| [vec![part.name.to_owned()], widths::csv_row(row, baseline, part.score)].concat();
        cells.extend(rows.iter().map(of_task));
        gained |= unchanged.is_known(part.score);
        let table = widths::table(&rows, baseline, unchanged.is_known(part.score));
        text += &format!("### {}\n\n{table}\n", part.heading);
    }
    text += &widths::explanation("score", "seeds", words.task.untrained, gained);
    text += words.explanation;
    [
        Drawing::csv(format!("{}.csv", words.name), header, cells),
        Drawing::text(format!("{}.md", words.name), text),
    ]
}

fn points_header(words: &Words) -> Vec<String> {
    let mut header = listed(words.part);
    header.extend(listed("method, title, multiplier, trials, diverged, scored_last_finite"));
    header.push(words.start_column.to_owned());
    header.extend(listed("left_out, score_n, score_mean, score_std"));
    header
}

fn points_rows(parts: &[Part]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for part in parts {
        for line in &part.lines {
            for point in &line.points {
                let mut row = [part.name, line.method, &line.title].map(str::to_owned).to_vec();
                row.push(point.multiplier.to_string());
                let found = |source| point.counted(part.score, source);
                let counts =
                    [point.trials.len(), point.diverged(), found(Source::LastFinite), found(Source::None)];
                row.extend(counts.map(|count| count.to_string()));
                let scores = point.scores(part.score);
                row.extend([point.left_out(part.score), scores.len()].map(|count| count.to_string()));
                row.extend([stats::mean(&scores), stats::std(&scores)].map(full));
                rows.push(row);
            }
        }
    }
    rows
}
