//! Benchmarks of instruction tuning against the learning-rate multiplier: a panel for each, and one for their mean.

use results::{NONE, Task, metric, sweep, title};

use crate::drawing::Drawing;
use crate::error::Result;
use crate::figure::{Figure, Source};
use crate::plots::score_panels::{Part, Words, draw_parts};
use crate::plots::sweep::{NO_FINETUNING, SWEPT};

pub const FIGURE: Figure = Figure {
    name: "instruct_robustness",
    caption: "Benchmarks and distance against the learning rate",
    draw,
};

/// `instruct_robustness.{svg,png,csv,md}` and `instruct_robustness-points.csv`.
fn draw(source: &Source) -> Result<Vec<Drawing>> {
    let trials = &source.across(&SWEPT)?;
    let mut parts = Vec::new();
    for metric in
        Task::named("instruct").into_iter().flat_map(|task| task.scores).filter_map(|name| metric(name))
    {
        let lines = sweep::lines(trials, metric.name, |_| true)?;
        let (name, heading, title) = (metric.name, metric.title, metric.axis());
        parts.push(Part { name, heading, title, trials, score: name, lines });
    }
    let words = Words {
        name: FIGURE.name,
        part: "benchmark",
        start: NO_FINETUNING,
        start_label: title(NONE),
        start_column: "scored_as_none",
        distance: true,
        note: " Distance: mean over the adapted layers of the trials that ran to their end, hollow where some did not.".to_owned(),
        explanation: "",
    };
    Ok(draw_parts(&words, &parts))
}
