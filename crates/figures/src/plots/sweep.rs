//! Scores and distance against the learning-rate multiplier: the panels, and the points as CSV.

use std::collections::BTreeSet;
use std::f64::consts::SQRT_2;

use results::sweep::{self, CLIP_T, DINO, MULTIPLIED, MULTIPLIER, PRODUCT, Point, Source};
use results::{Trials, counted, stats};

use crate::axis::{Axis, Range};
use crate::canvas::Canvas;
use crate::drawing::{Drawing, full, listed};
use crate::plots::dots::Bound;
use crate::plots::lines::{self, Below, Dot, Line, Look, Panel};
use crate::tables::beside::our_bounds;
use crate::wrap::Notes;

/// Settings over which these figures go, whatever the summary chose for them.
pub const SWEPT: [&str; 2] = [MULTIPLIER, MULTIPLIED];

const TOP: f64 = 50.0;
const LEFT: f64 = 70.0;
const BELOW: f64 = 66.0;
const TICK_SPACING: f64 = 25.0;
/// Beyond this ratio of the mean distances their axis is logarithmic.
pub const LOG_RATIO: f64 = 20.0;
/// Bands of more lines than this hide each other.
pub const MOST_BANDS: usize = 6;
const TRACKED_LAYER: &str = "config.tracked_layer";

/// Heading and axis title of the distance, and of each score that has a panel.
const DISTANCE: (&str, &str) = ("Distance from pretrained", "‖W′ − W‖ (Frobenius)");
const SCORES: [(&str, &str, &str); 2] = [
    (DINO, "Likeness to the subject", "DINO (mean cosine)"),
    (CLIP_T, "Likeness to the prompt", "CLIP-T (mean cosine)"),
];

/// Where the panels stand: two beside each other; three above each other, which beside each other are too
/// narrow to read in a column.
struct Places {
    canvas: (f64, f64),
    /// Of one panel.
    size: (f64, f64),
    /// From one panel's left upper corner to the next one's.
    step: (f64, f64),
    above_each_other: bool,
}

impl Places {
    fn new(panels: usize, names: f64) -> Self {
        if panels == 2 {
            let (canvas, between) = (760.0, 86.0);
            let width = (canvas - names - LEFT - between) / 2.0;
            Self {
                canvas: (canvas, TOP + 260.0 + BELOW),
                size: (width, 260.0),
                step: (width + between, 0.0),
                above_each_other: false,
            }
        } else {
            let (canvas, height, step) = (620.0, 182.0, 226.0);
            Self {
                canvas: (canvas, TOP + (panels - 1) as f64 * step + height + BELOW),
                size: (canvas - names - LEFT, height),
                step: (0.0, step),
                above_each_other: true,
            }
        }
    }

    fn corner(&self, index: usize) -> (f64, f64) {
        (LEFT + index as f64 * self.step.0, TOP + index as f64 * self.step.1)
    }
}

/// `<name>.svg`, `<name>.png`, and `<name>-points.csv` with what they show.
pub fn draw_sweep(name: &str, trials: &Trials, lines: &[sweep::Line], looks: &[Look]) -> Vec<Drawing> {
    vec![
        Drawing::csv(format!("{name}-points.csv"), csv_header(), csv_rows(lines)),
        Drawing::shapes(name, figure(trials, lines, looks)),
    ]
}

fn figure(trials: &Trials, sweeps: &[sweep::Line], all: &[Look]) -> Canvas {
    let looks = || all.iter();
    let scores: Vec<_> = SCORES.into_iter().filter(|(score, ..)| is_shown(sweeps, score)).collect();
    let places = Places::new(scores.len() + 1, lines::names_width(looks()));
    let notes = Notes::new(&note(trials, sweeps), places.canvas.0);
    let mut canvas = Canvas::new(places.canvas.0, places.canvas.1 + notes.height());
    let multipliers = sweeps.iter().flat_map(|line| line.points.iter().map(|point| point.multiplier));
    let range = octaves(multipliers);
    let ticks = (places.size.0 / TICK_SPACING) as usize;
    let draw = |canvas: &mut Canvas, index: usize, lines: &[Line], (heading, title), bounds: &[Bound]| {
        let (left, top) = places.corner(index);
        let is_distance = index == scores.len();
        let panel = Panel {
            left,
            right: left + places.size.0,
            top,
            bottom: top + places.size.1,
            heading,
            title,
            bounds,
            from_zero: is_distance,
            // Lines begin at no finetuning's CLIP-T and fall from it: room for its label above them.
            reaching: bounds.iter().map(|bound| 1.2 * bound.value).reduce(f64::max).filter(|_| index == 1),
        };
        let below = if is_distance || !places.above_each_other {
            Below::Labels { title: "learning-rate multiplier", ticks }
        } else {
            Below::Grid { ticks }
        };
        let log = is_distance && lines::is_wide(lines, LOG_RATIO);
        let across = Axis::log2(range, panel.left, panel.right);
        let ends = panel.draw(canvas, lines, &across, log, &below);
        if is_distance || places.above_each_other {
            lines::draw_names(canvas, looks(), &ends, &panel);
        }
    };
    for (index, (score, heading, title)) in scores.iter().copied().enumerate() {
        let drawn =
            banded(sweeps.iter().zip(all).map(|(line, look)| score_line(line, look, score)).collect());
        draw(&mut canvas, index, &drawn, (heading, title), &our_bounds(trials, score));
    }
    let drawn = banded(sweeps.iter().zip(all).map(|(line, look)| distance_line(line, look)).collect());
    draw(&mut canvas, scores.len(), &drawn, DISTANCE, &[]);
    let lost = sweeps.iter().flat_map(|line| &line.points).map(Point::diverged).sum();
    lines::draw_lost(&mut canvas, lost, TOP - 22.0);
    notes.draw(&mut canvas);
    canvas
}

/// DINO always has its panel.
fn is_shown(sweeps: &[sweep::Line], score: &str) -> bool {
    score == DINO || sweep::has(sweeps, score)
}

/// All multipliers with half an octave of room at both ends.
pub fn octaves(multipliers: impl Iterator<Item = f64>) -> Range {
    let range =
        multipliers.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    Range { low: range.0 / SQRT_2, high: range.1 * SQRT_2 }
}

/// Means over trials; where some diverged, a cross below.
pub fn score_line(line: &sweep::Line, look: &Look, score: &str) -> Line {
    let dot = |point: &Point| {
        let scores = point.scores(score);
        Dot {
            x: point.multiplier,
            mean: stats::mean(&scores),
            std: stats::std(&scores).unwrap_or(0.0),
            hollow: point.left_out(score) > 0,
        }
    };
    let lost = line.points.iter().filter(|point| point.diverged() > 0);
    let crosses = lost.map(|point| (point.multiplier, None)).collect();
    Line { look: look.clone(), dots: line.points.iter().map(dot).collect(), crosses }
}

/// Means of trials that ran to their end; each other trial is a cross at its last finite distance.
pub fn distance_line(line: &sweep::Line, look: &Look) -> Line {
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
    Line { look: look.clone(), dots: line.points.iter().map(dot).collect(), crosses: lost.collect() }
}

/// Without bands where there are too many to tell apart.
pub fn banded(mut lines: Vec<Line>) -> Vec<Line> {
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
        note += &treatment(trials.task().untrained, &|source| {
            points().map(|point| point.counted(DINO, source)).sum()
        });
        let hollow = |score| is_shown(sweeps, score) && points().any(|point| point.left_out(score) > 0);
        if SCORES.into_iter().any(|(score, ..)| hollow(score)) {
            note += " Hollow score marks leave out diverged trials that have none.";
        }
        note += " Distances are means of the trials that ran to their end, hollow where some did not.";
    }
    let layer = trials.all().iter().map(|trial| trials.text(trial, TRACKED_LAYER));
    let layer = layer.into_iter().find(|layer| !layer.is_empty());
    note + &layer.map_or(String::new(), |layer| format!(" Distance of {layer}."))
}

/// What diverged trials were counted as; `start` is the method that stands for those without a score.
pub fn treatment(start: &str, counted_as: &dyn Fn(Source) -> usize) -> String {
    match (counted_as(Source::LastFinite) > 0, counted_as(Source::None) > 0) {
        (true, true) => {
            format!(" A diverged trial scores its last finite score, or that of {start} where it has none.")
        }
        (true, false) => " A diverged trial scores its last finite score.".to_owned(),
        (false, true) => format!(" A diverged trial scores what {start} does."),
        (false, false) => String::new(),
    }
}

fn csv_header() -> Vec<String> {
    listed(
        "method, title, multiplier, trials, diverged, diverged_of_trials, scored_last_finite, scored_as_none, left_out, dino_n, dino_mean, dino_std, distance_n, distance_mean, distance_std, clip_t_n, clip_t_mean, clip_t_std, dino_x_clip_t_n, dino_x_clip_t_mean, dino_x_clip_t_std",
    )
}

fn csv_rows(sweeps: &[sweep::Line]) -> Vec<Vec<String>> {
    let row = |line: &sweep::Line, point: &Point| {
        let (all, lost) = (point.trials.len(), point.diverged());
        let mut row = vec![line.method.to_owned(), line.title.clone(), point.multiplier.to_string()];
        row.extend([all, lost].map(|count| count.to_string()));
        row.push(if lost > 0 { format!("{lost} of {all} diverged") } else { String::new() });
        let found = |source| point.counted(DINO, source);
        let counts = [found(Source::LastFinite), found(Source::None), point.left_out(DINO)];
        row.extend(counts.map(|count| count.to_string()));
        let of = |score| point.scores(score);
        for values in [of(DINO), point.distances(), of(CLIP_T), of(PRODUCT)] {
            row.push(values.len().to_string());
            row.extend([stats::mean(&values), stats::std(&values)].map(full));
        }
        row
    };
    sweeps.iter().flat_map(|line| line.points.iter().map(move |point| row(line, point))).collect()
}
