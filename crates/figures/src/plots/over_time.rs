//! Figures 3 and 8 of the paper: what each method draws as its training goes on.

use std::collections::BTreeSet;

use results::NONE;

use crate::drawing::Drawing;
use crate::error::{FiguresError, Result};
use crate::figure::{Figure, Source};
use crate::mosaic::{Group, Mosaic, Row, Tile};
use crate::plots::grid::{Choice, reason, shown};
use crate::tiles::{Pictures, prompt_tile};

pub const FIGURE: Figure =
    Figure { name: "over_time", caption: "Long training: pictures over the steps", draw };

/// `over_time.png`: a row for each method, a column for each step at which pictures were drawn.
///
/// The pictures are of the prompt in the middle of the subject's list.
fn draw(source: &Source) -> Result<Vec<Drawing>> {
    let Source { trials, results, .. } = *source;
    let pictures = Pictures::of(results);
    let mut shown = shown(trials, &Choice::default())?;
    shown.retain(|(series, _)| series.method != NONE);
    let steps: BTreeSet<u64> = shown.iter().flat_map(|(_, trial)| pictures.steps(&trial.id)).collect();
    let (Some((_, first)), false) = (shown.first(), steps.is_empty()) else {
        return Err(FiguresError::nothing(
            pictures.path(),
            "picture of the chosen trials along their training, `<trial id>-<step>.png`",
            "list steps in `evaluate_at` and run the experiment where this figure is drawn",
        ));
    };
    let (prompts_path, prompts) = pictures.prompts(&first.subject)?;
    let prompt = prompts.len() / 2;
    let Some(words) = prompts.get(prompt) else {
        return Err(FiguresError::nothing(&prompts_path, "prompt", "the experiment writes one a line"));
    };
    let mut rows = Vec::new();
    for (series, trial) in &shown {
        let mut tiles = Vec::new();
        for step in &steps {
            let drawn = pictures.of_step(&trial.id, *step)?;
            let picture = drawn.and_then(|drawn| prompt_tile(&drawn, prompt));
            tiles.push(Tile { picture: picture.ok_or(reason(trial)), caption: String::new() });
        }
        rows.push(Row { name: trials.title(*series), tiles });
    }
    let titles = steps.iter().map(|step| format!("step {step}")).collect();
    let note = format!("“{words}”; subject {}, seed {}.", first.subject, first.seed);
    let groups = vec![Group { heading: String::new(), titles }];
    let real = pictures.real(&first.subject)?;
    Mosaic { aside: Some(("Real pictures".to_owned(), real)), groups, rows, note }.draw(FIGURE.name)
}
