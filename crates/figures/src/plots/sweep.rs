//! Score and distance against the learning-rate multiplier: the two panels, and the points as CSV.

use std::collections::BTreeSet;
use std::f64::consts::SQRT_2;
use std::path::{Path, PathBuf};

use crate::axis::{Axis, Range};
use crate::canvas::Canvas;
use crate::error::Result;
use crate::output::{owned, write_csv, write_figure};
use crate::plots::lines::{self, Below, Bound, Dot, Line, Panel};
use crate::plots::table::our_bounds;
use crate::stats;
use crate::sweep::{self, Point, SCORE, Source};
use crate::table::full;
use crate::trials::{Trials, counted};
use crate::wrap::Notes;

const WIDTH: f64 = 760.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 310.0;
const LEFT: f64 = 70.0;
/// Between the panels, for the second one's axis.
const BETWEEN: f64 = 86.0;
const BELOW: f64 = 66.0;
const TICK_SPACING: f64 = 25.0;
/// Beyond this ratio of the mean distances their axis is logarithmic.
const LOG_RATIO: f64 = 20.0;
/// Bands of more lines than this hide each other.
const MOST_BANDS: usize = 6;
const TRACKED_LAYER: &str = "config.tracked_layer";

/// `<name>.svg`, `<name>.png`, and `<name>-points.csv` with what they show.
pub fn write_sweep(name: &str, trials: &Trials, lines: &[sweep::Line], plots: &Path) -> Result<Vec<PathBuf>> {
    let csv = write_csv(&plots.join(format!("{name}-points.csv")), &csv_header(), &csv_rows(lines))?;
    let mut written = write_figure(plots, name, &figure(trials, lines))?;
    written.push(csv);
    Ok(written)
}

fn figure(trials: &Trials, sweeps: &[sweep::Line]) -> Canvas {
    let notes = Notes::new(&note(trials, sweeps), WIDTH);
    let mut canvas = Canvas::new(WIDTH, BOTTOM + BELOW + notes.height());
    let looks = || sweeps.iter().map(|line| &line.look);
    let multipliers = sweeps.iter().flat_map(|line| line.points.iter().map(|point| point.multiplier));
    let range = octaves(multipliers);
    let width = (WIDTH - lines::names_width(looks()) - LEFT - BETWEEN) / 2.0;
    let ticks = (width / TICK_SPACING) as usize;
    let below = Below::Labels { title: "learning-rate multiplier", ticks };

    let panel = Panel {
        left: LEFT,
        right: LEFT + width,
        top: TOP,
        bottom: BOTTOM,
        heading: "Score",
        title: "DINO score (mean cosine)",
        bounds: &bounds(trials),
        from_zero: false,
        reaching: None,
    };
    let scores: Vec<Line> = banded(sweeps.iter().map(score_line).collect());
    panel.draw(&mut canvas, &scores, &Axis::log2(range, panel.left, panel.right), false, &below);

    let left = LEFT + width + BETWEEN;
    let (heading, title) = ("Distance from pretrained", "‖W′ − W‖ (Frobenius)");
    let panel = Panel { left, right: left + width, heading, title, bounds: &[], from_zero: true, ..panel };
    let distances: Vec<Line> = banded(sweeps.iter().map(distance_line).collect());
    let log = lines::is_wide(&distances, LOG_RATIO);
    let ends = panel.draw(&mut canvas, &distances, &Axis::log2(range, panel.left, panel.right), log, &below);
    lines::draw_names(&mut canvas, looks(), &ends, &panel);
    let lost = sweeps.iter().flat_map(|line| &line.points).map(Point::diverged).sum();
    lines::draw_lost(&mut canvas, lost, TOP - 22.0);
    notes.draw(&mut canvas);
    canvas
}

/// All multipliers with half an octave of room at both ends.
fn octaves(multipliers: impl Iterator<Item = f64>) -> Range {
    let range =
        multipliers.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    Range { low: range.0 / SQRT_2, high: range.1 * SQRT_2 }
}

fn bounds(trials: &Trials) -> Vec<Bound> {
    let bounds = our_bounds(trials, SCORE).into_iter();
    bounds.map(|bound| Bound { label: bound.label, value: bound.value }).collect()
}

fn score_line(line: &sweep::Line) -> Line {
    let dot = |point: &Point| {
        let scores = point.scores();
        Dot {
            x: point.multiplier,
            mean: stats::mean(&scores),
            std: stats::std(&scores).unwrap_or(0.0),
            hollow: point.left_out() > 0,
        }
    };
    let lost = line.points.iter().filter(|point| point.diverged() > 0);
    let crosses = lost.map(|point| (point.multiplier, None)).collect();
    Line { look: line.look.clone(), dots: line.points.iter().map(dot).collect(), crosses }
}

/// Means of trials that ran to their end; each other trial is a cross at its last finite distance.
fn distance_line(line: &sweep::Line) -> Line {
    let dot = |point: &Point| {
        let distances = point.distances();
        Dot {
            x: point.multiplier,
            mean: stats::mean(&distances),
            std: stats::std(&distances).unwrap_or(0.0),
            hollow: point.diverged() > 0,
        }
    };
    let lost = line.points.iter().flat_map(|point| {
        let diverged = point.trials.iter().filter(|trial| trial.diverged);
        diverged.filter_map(|trial| Some((point.multiplier, Some(trial.distance?))))
    });
    Line { look: line.look.clone(), dots: line.points.iter().map(dot).collect(), crosses: lost.collect() }
}

fn banded(mut lines: Vec<Line>) -> Vec<Line> {
    if lines.len() > MOST_BANDS {
        lines.iter_mut().flat_map(|line| &mut line.dots).for_each(|dot| dot.std = 0.0);
    }
    lines
}

/// What the marks are, and what was done with trials that diverged.
fn note(trials: &Trials, sweeps: &[sweep::Line]) -> String {
    let points = || sweeps.iter().flat_map(|line| &line.points);
    let replicates: BTreeSet<_> =
        points().flat_map(|point| point.trials.iter().map(|trial| trial.replicate)).collect();
    let seeds = replicates.iter().map(|(seed, _)| seed).collect::<BTreeSet<_>>().len();
    let subjects = replicates.iter().map(|(_, subject)| subject).collect::<BTreeSet<_>>().len();
    let most = points().map(|point| point.trials.len()).max().unwrap_or(0);
    let bands = if sweeps.len() > MOST_BANDS { "" } else { ", bands: ± std" };
    let mut note = format!(
        "Lines: mean{bands} over {} a point ({} × {}).",
        counted(most, "trial"),
        counted(subjects, "subject"),
        counted(seeds, "seed")
    );
    let all: usize = points().map(|point| point.trials.len()).sum();
    let lost: usize = points().map(Point::diverged).sum();
    if lost > 0 {
        note += &format!(" ×: trials diverged there ({lost} of {all} in all).");
        note += &treatment(&|source| points().map(|point| point.counted(source)).sum());
        if points().any(|point| point.left_out() > 0) {
            note += " Hollow score marks leave out diverged trials that have none.";
        }
        note += " Distances are means of the trials that ran to their end, hollow where some did not.";
    }
    let layer = trials.all().iter().map(|trial| trials.setting(trial, TRACKED_LAYER));
    let layer = layer.into_iter().find(|layer| !layer.is_empty());
    note + &layer.map_or(String::new(), |layer| format!(" Distance of {layer}."))
}

fn treatment(counted_as: &dyn Fn(Source) -> usize) -> String {
    match (counted_as(Source::LastFinite) > 0, counted_as(Source::None) > 0) {
        (true, true) => {
            " A diverged trial scores its last finite score, or that of no finetuning where it has none."
                .to_owned()
        }
        (true, false) => " A diverged trial scores its last finite score.".to_owned(),
        (false, true) => " A diverged trial scores what no finetuning does.".to_owned(),
        (false, false) => String::new(),
    }
}

fn csv_header() -> Vec<String> {
    owned(&[
        "method",
        "title",
        "multiplier",
        "trials",
        "diverged",
        "diverged_of_trials",
        "scored_last_finite",
        "scored_as_none",
        "left_out",
        "dino_n",
        "dino_mean",
        "dino_std",
        "distance_n",
        "distance_mean",
        "distance_std",
    ])
}

fn csv_rows(sweeps: &[sweep::Line]) -> Vec<Vec<String>> {
    let row = |line: &sweep::Line, point: &Point| {
        let (all, lost) = (point.trials.len(), point.diverged());
        let mut row = vec![line.method.to_owned(), line.look.title.clone(), point.multiplier.to_string()];
        row.extend([all, lost].map(|count| count.to_string()));
        row.push(if lost > 0 { format!("{lost} of {all} diverged") } else { String::new() });
        let counts = [point.counted(Source::LastFinite), point.counted(Source::None), point.left_out()];
        row.extend(counts.map(|count| count.to_string()));
        for values in [point.scores(), point.distances()] {
            row.push(values.len().to_string());
            row.extend([stats::mean(&values), stats::std(&values)].map(full));
        }
        row
    };
    sweeps.iter().flat_map(|line| line.points.iter().map(move |point| row(line, point))).collect()
}
