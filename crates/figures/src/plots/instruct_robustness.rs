//! Benchmarks of instruction tuning against the learning-rate multiplier: a panel for each, and one for their mean.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::instruct::BENCHMARKS;
use crate::plots::score_panels::{Part, Words, write_parts};
use crate::plots::sweep::NO_FINETUNING;
use crate::style::title;
use crate::sweep::{self, Score};
use crate::trials::Trials;

/// `instruct_robustness.{svg,png,csv,md}` and `instruct_robustness-points.csv`.
pub fn write_instruct_robustness(trials: &Trials, plots: &Path) -> Result<Vec<PathBuf>> {
    let mut parts = Vec::new();
    for benchmark in &BENCHMARKS {
        let score = Score::ALL.into_iter().find(|score| score.name() == benchmark.name);
        let score = score.expect("every benchmark is a score");
        parts.push(Part {
            name: benchmark.name,
            heading: benchmark.title,
            title: format!("{} (%)", benchmark.metric),
            trials,
            score,
            lines: sweep::lines(trials, score, |_| true)?,
        });
    }
    let words = Words {
        name: "instruct_robustness",
        part: "benchmark",
        start: NO_FINETUNING,
        start_label: title(crate::layout::NONE),
        start_column: "scored_as_none",
        distance: true,
        note: " Distance: mean over the adapted layers of the trials that ran to their end, hollow where some did not.".to_owned(),
        explanation: "",
    };
    write_parts(&words, &parts, plots)
}
