//! DeLoRA's published forms against each other: initial update × weight norm, score and distance.

use std::collections::BTreeMap;
use std::path::Path;

use results::{Series, Spread, Trial, Trials, diverged, last_values, metric_title};

use crate::canvas::{Align, Canvas};
use crate::drawing::{Drawing, full, listed, markdown};
use crate::error::Result;
use crate::figure::{Figure, Source};
use crate::plots::dots::{ABOVE_BOUNDS, Area, Panel, Row, caption, draw_names};
use crate::style::{LABEL_SIZE, MUTED, Marker, NOTE_SIZE, colour};
use crate::tables::beside::our_bounds;
use crate::tables::mean_and_std;

pub const FIGURE: Figure = Figure { name: "variants", caption: "Variants of DeLoRA", draw };

const METHOD: &str = "delora";
const INITIAL_UPDATES: [(&str, Marker); 3] =
    [("merged", Marker::Diamond), ("live", Marker::Circle), ("zero_b", Marker::Square)];
const WEIGHT_NORMS: [&str; 3] = ["frobenius", "input_column", "none"];
const METRICS: [&str; 4] = ["dino", "clip_i", "clip_t", "diversity"];
const DISTANCE: &str = "distance";

const WIDTH: f64 = 1000.0;
const TOP: f64 = 92.0;
const ROW_HEIGHT: f64 = 42.0;
const BELOW: f64 = 98.0;

/// One combination with its trials.
struct Variant<'a> {
    initial_update: &'a str,
    weight_norm: &'a str,
    trials: Vec<&'a Trial>,
}

/// `variants.{md,csv,svg,png}`.
fn draw(source: &Source) -> Result<Vec<Drawing>> {
    let Source { trials, results, scale, .. } = *source;
    trials.column(&["dino"])?;
    let variants = variants(trials)?;
    let distances = distances(trials, results)?;
    let rows = variants.iter().map(|variant| csv_row(trials, &distances, variant)).collect();
    Ok(vec![
        Drawing::text("variants.md", table(trials, &distances, &variants)),
        Drawing::csv("variants.csv", csv_header(), rows),
        Drawing::shapes(FIGURE.name, figure(trials, &distances, &variants, scale)),
    ])
}

/// The nine combinations, run or not; other values of the two settings follow.
fn variants(trials: &Trials) -> Result<Vec<Variant<'_>>> {
    let update_column =
        trials.column(&["config.method.initial_update", "method.initial_update", "initial_update"])?;
    let norm_column = trials.column(&["config.method.weight_norm", "method.weight_norm", "weight_norm"])?;
    let mut variants: Vec<Variant> = INITIAL_UPDATES
        .iter()
        .flat_map(|(initial_update, _)| WEIGHT_NORMS.map(|weight_norm| (*initial_update, weight_norm)))
        .map(|(initial_update, weight_norm)| Variant { initial_update, weight_norm, trials: Vec::new() })
        .collect();
    for trial in trials.of(Series::of(METHOD)) {
        let initial_update = trials.text(trial, update_column);
        let weight_norm = trials.text(trial, norm_column);
        let same = |variant: &&mut Variant| {
            (variant.initial_update, variant.weight_norm) == (initial_update, weight_norm)
        };
        match variants.iter_mut().find(same) {
            Some(variant) => variant.trials.push(trial),
            None => variants.push(Variant { initial_update, weight_norm, trials: vec![trial] }),
        }
    }
    Ok(variants)
}

/// Final ‖W' − W‖ by trial: a column of `trials.csv`, else the last value in `curves.csv`.
fn distances(trials: &Trials, results: &Path) -> Result<BTreeMap<String, f64>> {
    if !trials.has(DISTANCE) {
        return Ok(last_values(results, DISTANCE)?);
    }
    let of_trial = |trial: &Trial| Some((trial.id.clone(), trials.number(trial, DISTANCE)?));
    Ok(trials.all().iter().filter_map(of_trial).collect())
}

/// The distance of a trial that ran to its end.
fn distance_of(trials: &Trials, distances: &BTreeMap<String, f64>, trial: &Trial) -> Option<f64> {
    trials.score(trial, "dino").and_then(|_| distances.get(&trial.id).copied())
}

fn distance_spread(trials: &Trials, distances: &BTreeMap<String, f64>, variant: &Variant) -> Spread {
    Spread::of_values(&variant.trials, |trial| distance_of(trials, distances, trial))
}

fn csv_header() -> Vec<String> {
    let mut header = listed("initial_update, weight_norm, n, diverged");
    for metric in METRICS.iter().chain(&[DISTANCE]) {
        header.extend(["mean", "std_trials", "std_seeds"].map(|what| format!("{metric}_{what}")));
    }
    header
}

fn csv_row(trials: &Trials, distances: &BTreeMap<String, f64>, variant: &Variant) -> Vec<String> {
    let of_metric = |metric: &str| Spread::of(trials, variant.trials.iter().copied(), metric);
    let mut spreads: Vec<Spread> = METRICS.map(of_metric).into();
    let mut row = [variant.initial_update, variant.weight_norm].map(str::to_owned).to_vec();
    row.push(spreads[0].n.to_string());
    row.push(diverged(variant.trials.iter().copied()).to_string());
    spreads.push(distance_spread(trials, distances, variant));
    let cells = spreads.iter().flat_map(|spread| [spread.mean, spread.std_trials, spread.std_seeds]);
    row.extend(cells.map(full));
    row
}

fn table(trials: &Trials, distances: &BTreeMap<String, f64>, variants: &[Variant]) -> String {
    let mut header = listed("initial update, weight norm");
    header.extend(METRICS.map(|metric| metric_title(metric).to_owned()));
    header.extend(listed("distance, n, diverged"));
    let row = |variant: &Variant| {
        let empty = if variant.trials.is_empty() { "missing" } else { "–" };
        let cell =
            |spread: Spread| mean_and_std(spread.mean, spread.std_trials, [3, 3]).unwrap_or(empty.to_owned());
        let mut row = [variant.initial_update, variant.weight_norm].map(str::to_owned).to_vec();
        let of_metric = |metric| cell(Spread::of(trials, variant.trials.iter().copied(), metric));
        row.extend(METRICS.map(of_metric));
        row.push(cell(distance_spread(trials, distances, variant)));
        row.push(Spread::of(trials, variant.trials.iter().copied(), "dino").n.to_string());
        row.push(diverged(variant.trials.iter().copied()).to_string());
        row
    };
    let rows: Vec<Vec<String>> = variants.iter().map(row).collect();
    format!(
        "{}\nMean ± standard deviation over trials; {}. Distance is ‖W′ − W‖ of the tracked layer at the end. \
         Diverged trials are counted, not averaged.\n",
        markdown(&header, &rows),
        extent(trials, variants),
    )
}

/// The largest combination, as the trials of all share subjects and seeds.
fn extent(trials: &Trials, variants: &[Variant]) -> String {
    let most =
        variants.iter().map(|variant| Spread::of(trials, variant.trials.iter().copied(), "dino").n).max();
    trials.extent_of(most.unwrap_or(0), &[Series::of(METHOD)])
}

fn figure(trials: &Trials, distances: &BTreeMap<String, f64>, variants: &[Variant], scale: &str) -> Canvas {
    let height = TOP + ROW_HEIGHT * variants.len() as f64 + BELOW;
    let mut canvas = Canvas::new(WIDTH, height);
    let name = |variant: &Variant| format!("{} · {}", variant.initial_update, variant.weight_norm);
    let names: Vec<String> = variants.iter().map(name).collect();
    draw_names(&mut canvas, &names, 186.0, TOP, ROW_HEIGHT, LABEL_SIZE);

    let colour = colour(METHOD);
    let marker = |variant: &Variant| {
        let known = INITIAL_UPDATES.iter().find(|(name, _)| *name == variant.initial_update);
        known.map_or(Marker::TriangleUp, |(_, marker)| *marker)
    };
    let score = |variant: &Variant| {
        Row::of_trials(&variant.trials, |trial| trials.score(trial, "dino"), colour, marker(variant))
    };
    let scores: Vec<Row> = variants.iter().map(score).collect();
    let heading = format!("Ours, {scale} scale");
    let bounds = our_bounds(trials, "dino");
    let axis_title = "DINO score (mean cosine)";
    let panel = Panel { heading: &heading, axis_title, rows: &scores, bounds: &bounds };
    panel.draw(
        &mut canvas,
        &Area { left: 200.0, right: 494.0, top: TOP, row_height: ROW_HEIGHT, to_heading: ABOVE_BOUNDS },
    );

    let moved = |trial: &Trial| distance_of(trials, distances, trial);
    let distance = |variant: &Variant| Row::of_trials(&variant.trials, moved, colour, marker(variant));
    let rows: Vec<Row> = variants.iter().map(distance).collect();
    let axis_title = "distance ‖W′ − W‖ (Frobenius)";
    let panel = Panel { heading: "How far the layer moved", axis_title, rows: &rows, bounds: &[] };
    panel.draw(
        &mut canvas,
        &Area { left: 636.0, right: 872.0, top: TOP, row_height: ROW_HEIGHT, to_heading: ABOVE_BOUNDS },
    );

    let note = caption(&extent(trials, variants), &scores);
    canvas.text(&note, (16.0, height - 18.0), NOTE_SIZE, MUTED, Align::Left);
    canvas
}
