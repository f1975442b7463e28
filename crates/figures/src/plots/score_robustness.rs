//! A task's scores and the distance against the learning-rate multiplier: a panel for each.

use results::{Task, metric, sweep};

use crate::drawing::Drawing;
use crate::error::Result;
use crate::figure::{Figure, Source};
use crate::plots::score_panels::{Part, Words, draw_parts};
use crate::plots::sweep::SWEPT;

pub const FIGURE: Figure = Figure {
    name: "score_robustness",
    caption: "Scores and distance against the learning rate",
    draw: |source| draw("score_robustness", "metric", source.trials.task(), source),
};
pub const INSTRUCT: Figure = Figure {
    name: "instruct_robustness",
    caption: "Benchmarks and distance against the learning rate",
    draw: |source| draw("instruct_robustness", "benchmark", instruct(source), source),
};

fn instruct(source: &Source) -> &'static Task {
    Task::named("instruct").unwrap_or(source.trials.task())
}

/// `<name>.{svg,png,csv,md}` and `<name>-points.csv`; `part` is the column that names the score.
fn draw(
    name: &'static str,
    part: &'static str,
    task: &'static Task,
    source: &Source,
) -> Result<Vec<Drawing>> {
    let trials = &source.across(&SWEPT)?;
    let mut parts = Vec::new();
    for metric in task.scores.iter().filter_map(|name| metric(name)) {
        let lines = sweep::lines(trials, metric.name, |_| true)?;
        let (name, heading, title) = (metric.name, metric.title, metric.axis());
        parts.push(Part { name, heading, title, trials, score: name, lines });
    }
    let words = Words {
        name,
        part,
        task,
        start_column: "scored_as_none",
        distance: true,
        note: " Distance: mean over the adapted layers of the trials that ran to their end, hollow where some did not.".to_owned(),
        explanation: "",
    };
    Ok(draw_parts(&words, &parts))
}
