//! Experiment files: layers, grids, identities, and what is said about mistakes.

#[path = "../../examples/toy/workload.rs"]
mod toy;

mod files;
mod includes;
mod mistakes;
mod value_tables;

use std::path::Path;

use runner::{Experiment, Grid};
use toy::Toy;

fn load(text: &str, scale: &str, sets: &[&str]) -> Result<Experiment, String> {
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    Experiment::parse(Path::new("walk.toml"), text, scale, &sets).map_err(|error| error.to_string())
}

fn grid_of(experiment: &Experiment) -> Result<Grid, String> {
    experiment.grid(&Toy::default()).map_err(|error| error.to_string())
}

fn grid(text: &str, scale: &str, sets: &[&str]) -> Grid {
    grid_of(&load(text, scale, sets).unwrap()).unwrap()
}

/// The message for a file with a mistake, or for a wrong option.
fn mistake(text: &str, scale: &str, sets: &[&str]) -> String {
    match load(text, scale, sets).and_then(|experiment| grid_of(&experiment)) {
        Err(message) => message,
        Ok(grid) => panic!("{} trials, and no mistake is found in {sets:?} and\n{text}", grid.trials.len()),
    }
}

/// Asserts that a message is `expected`, in which `…` at an end stands for any text.
#[track_caller]
fn assert_says(message: &str, expected: &str) {
    let is_said = match (expected.strip_prefix('…'), expected.strip_suffix('…')) {
        (None, None) => message == expected,
        (None, Some(start)) => message.starts_with(start),
        (Some(end), None) => message.ends_with(end),
        (Some(_), Some(_)) => message.contains(expected.trim_matches('…')),
    };
    assert!(is_said, "\"{message}\" is not \"{expected}\"");
}

/// Asserts what is said about a file at its scale `mini`, see [`assert_says`].
#[track_caller]
fn assert_mistake(text: &str, expected: &str) {
    assert_says(&mistake(text, "mini", &[]), expected);
}

/// Asserts what is said where `from`, which is in `text` once, is `to`.
#[track_caller]
fn assert_change(text: &str, (from, to, expected): (&str, &str, &str)) {
    assert_eq!(text.matches(from).count(), 1, "{from:?}");
    assert_mistake(&text.replace(from, to), expected);
}

/// Asserts what is said about an option.
#[track_caller]
fn assert_option(text: &str, (option, expected): (&str, &str)) {
    assert_says(&mistake(text, "mini", &[option]), expected);
}
