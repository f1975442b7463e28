//! Scores on the tasks of GLUE against the learning-rate multiplier: a panel for each task.

use std::path::{Path, PathBuf};

use crate::error::{FiguresError, Result};
use crate::glue::{self, HEAD_ONLY, Task};
use crate::layout::NONE;
use crate::plots::score_panels::{Part, Words, write_parts};
use crate::sweep::{self, Score};
use crate::trials::{Status, Trials, counted};

const SCORE: Score = Score::Task;

/// `glue_robustness.{svg,png,csv,md}` and `glue_robustness-points.csv`.
pub fn write_glue_robustness(trials: &Trials, plots: &Path) -> Result<Vec<PathBuf>> {
    let tasks = glue::tasks_of(trials)?;
    let of_task: Vec<(&Task, Trials)> =
        tasks.into_iter().map(|task| (task, glue::of_task(trials, task))).collect();
    let mut parts: Vec<Part> = Vec::new();
    for (task, trials) in &of_task {
        match sweep::lines(trials, SCORE, |_| true) {
            Ok(lines) => {
                let title = format!("{} (%)", task.metric);
                parts.push(Part { name: task.name, heading: task.title, title, trials, score: SCORE, lines });
            }
            Err(FiguresError::Nothing { .. }) => (),
            Err(error) => return Err(error),
        }
    }
    if parts.is_empty() {
        // The same trials together have the same reason.
        sweep::lines(trials, SCORE, |_| true)?;
    }
    let words = Words {
        name: "glue_robustness",
        part: "task",
        start: "the head alone",
        start_label: HEAD_ONLY,
        start_column: "scored_as_head_only",
        distance: false,
        note: note(&parts),
        explanation: "\nA finished trial without a score never got above 0 on the validation half, and counts as 0.\n",
    };
    write_parts(&words, &parts, plots)
}

/// Of finished trials that count as 0.
fn note(parts: &[Part]) -> String {
    let unscored = |part: &Part| {
        let trained = part.trials.all().iter().filter(|trial| trial.method != NONE);
        let unscored = trained.filter(|trial| trial.status == Status::Done);
        unscored.filter(|trial| part.trials.score(trial, SCORE.name()).is_none()).count()
    };
    match parts.iter().map(unscored).sum() {
        0 => String::new(),
        unscored => {
            format!(" {} that never got above 0 on validation: score 0.", counted(unscored, "trial"))
        }
    }
}
