//! Scores on the tasks of GLUE against the learning-rate multiplier: a panel for each task.

use results::glue::{self, SCORE, Task};
use results::{NONE, ResultsError, Status, Trials, counted, sweep};

use crate::drawing::Drawing;
use crate::error::Result;
use crate::figure::{Figure, Source};
use crate::plots::score_panels::{Part, Words, draw_parts};
use crate::plots::sweep::SWEPT;

pub const FIGURE: Figure =
    Figure { name: "glue_robustness", caption: "Score against the learning rate, task by task", draw };

/// `glue_robustness.{svg,png,csv,md}` and `glue_robustness-points.csv`.
fn draw(source: &Source) -> Result<Vec<Drawing>> {
    let trials = source.across(&SWEPT)?;
    let tasks = glue::tasks_of(&trials)?;
    let of_task: Vec<(&Task, Trials)> =
        tasks.into_iter().map(|task| (task, glue::of_task(&trials, task))).collect();
    let mut parts: Vec<Part> = Vec::new();
    for (task, trials) in &of_task {
        match sweep::lines(trials, SCORE, |_| true) {
            Ok(lines) => {
                let title = format!("{} (%)", task.metric);
                parts.push(Part { name: task.name, heading: task.title, title, trials, score: SCORE, lines });
            }
            Err(ResultsError::Nothing { .. }) => (),
            Err(error) => return Err(error.into()),
        }
    }
    if parts.is_empty() {
        // The same trials together have the same reason.
        sweep::lines(&trials, SCORE, |_| true)?;
    }
    let words = Words {
        name: FIGURE.name,
        part: "task",
        task: trials.task(),
        start_column: "scored_as_head_only",
        distance: false,
        note: note(&parts),
        explanation: "\nA finished trial without a score never got above 0 on the validation half, and counts as 0.\n",
    };
    Ok(draw_parts(&words, &parts))
}

/// Says how many finished trials count as 0.
fn note(parts: &[Part]) -> String {
    let unscored = |part: &Part| {
        let trained = part.trials.all().iter().filter(|trial| trial.method != NONE);
        let unscored = trained.filter(|trial| trial.status == Status::Done);
        unscored.filter(|trial| part.trials.score(trial, SCORE).is_none()).count()
    };
    match parts.iter().map(unscored).sum() {
        0 => String::new(),
        count => format!(" {} that never got above 0 on validation: score 0.", counted(count, "trial")),
    }
}
