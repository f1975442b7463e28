//! Scores on the tasks of GLUE against the learning-rate multiplier: a panel for each task.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::axis::Axis;
use crate::canvas::{Align, Canvas, text_width};
use crate::error::{FiguresError, Result};
use crate::glue::{self, HEAD_ONLY, Task};
use crate::layout::NONE;
use crate::output::{owned, write, write_csv, write_figure};
use crate::pairs;
use crate::plots::lines::{self, Below, Bound, Look, Panel, darker};
use crate::plots::robustness::{self, Row};
use crate::plots::sweep::{MOST_BANDS, banded, octaves, score_line, treatment};
use crate::series::Series;
use crate::spread::Spread;
use crate::stats;
use crate::style::TICK_SIZE;
use crate::sweep::{self, Line, Point, Score, Source, Unchanged};
use crate::table::full;
use crate::trials::{Status, Trials, counted};
use crate::wrap::Notes;

const NAME: &str = "glue_robustness";
const SCORE: Score = Score::Task;
/// What stands for a trial that diverged without a score, and what a gain is measured from.
const START: &str = "the head alone";

const WIDTH: f64 = 1000.0;
const ACROSS: usize = 3;
const PANEL_HEIGHT: f64 = 190.0;
/// Left of a panel, and between it and the one below.
const LEFT: f64 = 72.0;
const BELOW: f64 = 88.0;
const RIGHT: f64 = 14.0;
const LEGEND_ROW: f64 = 24.0;
const HEADING: f64 = 40.0;
/// Of a panel alone, which would be as wide as the figure.
const WIDEST: f64 = 480.0;

/// One task's trials and their lines.
struct Part<'a> {
    task: &'static Task,
    trials: &'a Trials,
    lines: Vec<Line<'a>>,
}

/// `glue_robustness.{svg,png,csv,md}` and `glue_robustness-points.csv`.
pub fn write_glue_robustness(trials: &Trials, plots: &Path) -> Result<Vec<PathBuf>> {
    let tasks = glue::tasks_of(trials)?;
    let of_task: Vec<(&Task, Trials)> =
        tasks.into_iter().map(|task| (task, glue::of_task(trials, task))).collect();
    let mut parts: Vec<Part> = Vec::new();
    for (task, trials) in &of_task {
        match sweep::lines(trials, SCORE, |_| true) {
            Ok(lines) => parts.push(Part { task, trials, lines }),
            Err(FiguresError::Nothing { .. }) => (),
            Err(error) => return Err(error),
        }
    }
    if parts.is_empty() {
        // The same trials together have the same reason.
        sweep::lines(trials, SCORE, |_| true)?;
    }
    let mut written = write_figure(plots, NAME, &figure(&parts))?;
    written.extend(write_widths(&parts, plots)?);
    written.push(write_csv(
        &plots.join(format!("{NAME}-points.csv")),
        &points_header(),
        &points_rows(&parts),
    )?);
    Ok(written)
}

fn figure(parts: &[Part]) -> Canvas {
    let looks = looks(parts);
    let legend = legend_places(&looks);
    let legend_height = legend.last().map_or(0.0, |(_, row)| (row + 1) as f64 * LEGEND_ROW);
    let notes = Notes::new(&note(parts), WIDTH);
    let across = parts.len().clamp(1, ACROSS);
    let down = parts.len().div_ceil(across) as f64;
    let top = 14.0 + legend_height + HEADING;
    let height = top + down * (PANEL_HEIGHT + BELOW) - BELOW + 66.0;
    let mut canvas = Canvas::new(WIDTH, height + notes.height());
    draw_legend(&mut canvas, &looks, &legend);
    let step = WIDTH / across as f64;
    let range = octaves(points(parts).map(|point| point.multiplier));
    for (index, part) in parts.iter().enumerate() {
        let left = (index % across) as f64 * step + LEFT;
        let top = top + (index / across) as f64 * (PANEL_HEIGHT + BELOW);
        let right = (left + step - LEFT - RIGHT).min(left + WIDEST);
        let bounds = part.bounds();
        let title = format!("{} (%)", part.task.metric);
        let drawn = part.drawn();
        let panel = Panel {
            left,
            right,
            top,
            bottom: top + PANEL_HEIGHT,
            heading: part.task.title,
            title: &title,
            bounds: &bounds,
            from_zero: false,
            reaching: least_range(&drawn, &bounds),
        };
        let ticks = ((right - left) / 30.0) as usize;
        let below = Below::Labels { title: "learning-rate multiplier", ticks };
        panel.draw(&mut canvas, &drawn, &Axis::log2(range, left, right), false, &below);
    }
    notes.draw(&mut canvas);
    canvas
}

impl Part<'_> {
    /// In percent.
    fn drawn(&self) -> Vec<lines::Line> {
        let mut drawn = banded(self.lines.iter().map(|line| score_line(line, SCORE)).collect());
        for dot in drawn.iter_mut().flat_map(|line| &mut line.dots) {
            dot.mean = dot.mean.map(|mean| 100.0 * mean);
            dot.std *= 100.0;
        }
        drawn
    }

    fn bounds(&self) -> Vec<Bound> {
        let mean = Spread::of(self.trials, self.trials.of(Series::of(NONE)), SCORE.name()).mean;
        mean.map(|mean| Bound { label: HEAD_ONLY, value: 100.0 * mean }).into_iter().collect()
    }

    /// Finished trials that count as 0.
    fn unscored(&self) -> usize {
        let trained = self.trials.all().iter().filter(|trial| trial.method != NONE);
        let unscored = trained.filter(|trial| trial.status == Status::Done);
        unscored.filter(|trial| self.trials.score(trial, SCORE.name()).is_none()).count()
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
fn looks<'a>(parts: &'a [Part]) -> Vec<&'a Look> {
    let mut looks: Vec<(usize, &Look)> = Vec::new();
    for line in parts.iter().flat_map(|part| &part.lines) {
        if looks.iter().all(|(_, known)| known.title != line.look.title) {
            looks.push((crate::style::rank(line.method), &line.look));
        }
    }
    looks.sort_by_key(|(rank, _)| *rank);
    looks.into_iter().map(|(_, look)| look).collect()
}

/// Left end and row of each name of the legend.
fn legend_places(looks: &[&Look]) -> Vec<(f64, usize)> {
    let (mut x, mut row) = (LEFT, 0);
    let place = |look: &&Look| {
        let width = text_width(&look.title, TICK_SIZE) + 48.0;
        if x + width > WIDTH && x > LEFT {
            (x, row) = (LEFT, row + 1);
        }
        x += width;
        (x - width, row)
    };
    looks.iter().map(place).collect()
}

fn draw_legend(canvas: &mut Canvas, looks: &[&Look], places: &[(f64, usize)]) {
    for (look, (x, row)) in looks.iter().zip(places) {
        let y = 22.0 + *row as f64 * LEGEND_ROW;
        look.stroke.draw(canvas, &[(x - 11.0, y), (x + 11.0, y)], look.colour, 2.0);
        canvas.marker(look.marker, (*x, y), 5.0, look.colour);
        canvas.text(&look.title, (x + 18.0, y), TICK_SIZE, darker(look.colour), Align::Left);
    }
}

/// What the marks are, and what was done with trials that have no score.
fn note(parts: &[Part]) -> String {
    let all = || points(parts).flat_map(|point| &point.trials);
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
        note += &treatment(START, &|source: Source| {
            points(parts).map(|point| point.counted(SCORE, source)).sum()
        });
    }
    let unscored: usize = parts.iter().map(Part::unscored).sum();
    if unscored > 0 {
        note += &format!(" {} that never got above 0 on validation: score 0.", counted(unscored, "trial"));
    }
    note
}

/// `glue_robustness.csv` and `glue_robustness.md`: how wide each method's range of good rates is on each task.
fn write_widths(parts: &[Part], plots: &Path) -> Result<Vec<PathBuf>> {
    let mut header = owned(&["task"]);
    header.extend(robustness::csv_header());
    let (mut cells, mut text, mut gained) = (Vec::new(), String::new(), false);
    for part in parts {
        let unchanged = Unchanged::of(part.trials);
        let baseline = pairs::baseline(part.trials).title();
        let is_there = part.lines.iter().any(|line| line.look.title == baseline);
        let baseline = if is_there { baseline.as_str() } else { "" };
        let rows = Row::all(&part.lines, baseline, &unchanged, SCORE);
        let of_task =
            |row: &Row| [vec![part.task.name.to_owned()], robustness::csv_row(row, baseline, SCORE)].concat();
        cells.extend(rows.iter().map(of_task));
        gained |= unchanged.is_known(SCORE);
        let table = robustness::table(&rows, baseline, unchanged.is_known(SCORE));
        text += &format!("### {}\n\n{table}\n", part.task.title);
    }
    text += &robustness::explanation("score", "seeds", START, gained);
    text += "\nA finished trial without a score never got above 0 on the validation half, and counts as 0.\n";
    Ok(vec![
        write_csv(&plots.join(format!("{NAME}.csv")), &header, &cells)?,
        write(&plots.join(format!("{NAME}.md")), text.as_bytes())?,
    ])
}

fn points_header() -> Vec<String> {
    owned(&[
        "task",
        "method",
        "title",
        "multiplier",
        "trials",
        "diverged",
        "scored_last_finite",
        "scored_as_head_only",
        "left_out",
        "score_n",
        "score_mean",
        "score_std",
    ])
}

fn points_rows(parts: &[Part]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for part in parts {
        for line in &part.lines {
            for point in &line.points {
                let mut row = owned(&[part.task.name, line.method, &line.look.title]);
                row.push(point.multiplier.to_string());
                let found = |source| point.counted(SCORE, source);
                let counts =
                    [point.trials.len(), point.diverged(), found(Source::LastFinite), found(Source::None)];
                row.extend(counts.map(|count| count.to_string()));
                let scores = point.scores(SCORE);
                row.extend([point.left_out(SCORE), scores.len()].map(|count| count.to_string()));
                row.extend([stats::mean(&scores), stats::std(&scores)].map(full));
                rows.push(row);
            }
        }
    }
    rows
}
