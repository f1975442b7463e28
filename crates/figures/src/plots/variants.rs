//! DeLoRA's published forms against each other: initial update × weight norm, score and distance.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::canvas::{Align, Canvas};
use crate::curves::last_values;
use crate::error::Result;
use crate::output::{markdown, owned, write, write_csv, write_figure};
use crate::plots::dots::{ABOVE_BOUNDS, Area, Panel, Row, caption, draw_names};
use crate::plots::table::our_bounds;
use crate::series::Series;
use crate::spread::{Spread, diverged};
use crate::style::{LABEL_SIZE, MUTED, Marker, NOTE_SIZE, colour};
use crate::table::METRICS;
use crate::trials::{Trial, Trials};

const METHOD: &str = "delora";
const INITIAL_UPDATES: [(&str, Marker); 3] =
    [("merged", Marker::Diamond), ("live", Marker::Circle), ("zero_b", Marker::Square)];
const WEIGHT_NORMS: [&str; 3] = ["frobenius", "input_column", "none"];
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
pub fn write_variants(trials: &Trials, results: &Path, scale: &str, plots: &Path) -> Result<Vec<PathBuf>> {
    trials.column(&["dino"])?;
    let variants = variants(trials)?;
    let distances = distances(trials, results)?;
    let metrics: Vec<&str> = METRICS.iter().map(|(metric, _)| *metric).collect();
    let csv = write_csv(
        &plots.join("variants.csv"),
        &csv_header(&metrics),
        &variants.iter().map(|variant| csv_row(trials, &distances, variant, &metrics)).collect::<Vec<_>>(),
    )?;
    let text = table(trials, &distances, &variants);
    let mut written = vec![write(&plots.join("variants.md"), text.as_bytes())?, csv];
    let canvas = figure(trials, &distances, &variants, scale);
    written.extend(write_figure(plots, "variants", &canvas)?);
    Ok(written)
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
        let initial_update = trials.setting(trial, update_column);
        let weight_norm = trials.setting(trial, norm_column);
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
        return last_values(results, DISTANCE);
    }
    let of_trial = |trial: &Trial| Some((trial.id.clone(), trials.number(trial, DISTANCE)?));
    Ok(trials.all().iter().filter_map(of_trial).collect())
}

/// Of a trial that ran to its end.
fn distance_of(trials: &Trials, distances: &BTreeMap<String, f64>, trial: &Trial) -> Option<f64> {
    trials.score(trial, "dino").and_then(|_| distances.get(&trial.id).copied())
}

fn distance_spread(trials: &Trials, distances: &BTreeMap<String, f64>, variant: &Variant) -> Spread {
    Spread::of_values(&variant.trials, |trial| distance_of(trials, distances, trial))
}

fn csv_header(metrics: &[&str]) -> Vec<String> {
    let mut header = owned(&["initial_update", "weight_norm", "n", "diverged"]);
    for metric in metrics.iter().chain(&[DISTANCE]) {
        header.extend(["mean", "std_trials", "std_seeds"].map(|what| format!("{metric}_{what}")));
    }
    header
}

fn csv_row(
    trials: &Trials,
    distances: &BTreeMap<String, f64>,
    variant: &Variant,
    metrics: &[&str],
) -> Vec<String> {
    let of_metric = |metric: &&str| Spread::of(trials, variant.trials.iter().copied(), metric);
    let mut spreads: Vec<Spread> = metrics.iter().map(of_metric).collect();
    let mut row = owned(&[variant.initial_update, variant.weight_norm]);
    row.push(spreads[0].n.to_string());
    row.push(diverged(variant.trials.iter().copied()).to_string());
    spreads.push(distance_spread(trials, distances, variant));
    let cells = spreads.iter().flat_map(|spread| [spread.mean, spread.std_trials, spread.std_seeds]);
    row.extend(cells.map(|value| value.map_or(String::new(), |value| value.to_string())));
    row
}

fn table(trials: &Trials, distances: &BTreeMap<String, f64>, variants: &[Variant]) -> String {
    let header = [
        "initial update",
        "weight norm",
        "DINO",
        "CLIP-I",
        "CLIP-T",
        "diversity",
        "distance",
        "n",
        "diverged",
    ];
    let row = |variant: &Variant| {
        let empty = if variant.trials.is_empty() { "missing" } else { "–" };
        let cell = |spread: Spread| spread.rounded().unwrap_or(empty.to_owned());
        let mut row = owned(&[variant.initial_update, variant.weight_norm]);
        let of_metric = |(metric, _)| cell(Spread::of(trials, variant.trials.iter().copied(), metric));
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
        markdown(&owned(&header), &rows),
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
