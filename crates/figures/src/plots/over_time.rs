//! Figures 3 and 8 of the paper: what each method draws as its training goes on.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::error::{FiguresError, Result};
use crate::grid::{Choice, reason, shown};
use crate::layout::NONE;
use crate::mosaic::{Group, Mosaic, Row, Tile};
use crate::tiles::{Pictures, prompt_tile};
use crate::trials::Trials;

/// `over_time.png`: a row for each method, a column for each step at which pictures were drawn.
///
/// Of `choice` the first prompt that exists; where it chooses none, the one in the middle of the list.
pub fn write_over_time(
    trials: &Trials,
    results: &Path,
    plots: &Path,
    choice: &Choice,
) -> Result<Vec<PathBuf>> {
    let pictures = Pictures::of(results);
    let mut shown = shown(trials, choice)?;
    shown.retain(|(series, _)| series.method != NONE);
    let steps: BTreeSet<u64> = shown.iter().flat_map(|(_, trial)| pictures.steps(&trial.id)).collect();
    let (Some((_, first)), false) = (shown.first(), steps.is_empty()) else {
        return Err(FiguresError::Nothing {
            path: pictures.path().to_path_buf(),
            what: "picture of the chosen trials along their training, `<trial id>-<step>.png`".to_owned(),
            remedy: "list steps in `evaluate_at` and run the experiment where this figure is drawn"
                .to_owned(),
        });
    };
    let (prompts_path, prompts) = pictures.prompts(&first.subject)?;
    let chosen = choice.prompts.iter().copied().find(|index| *index < prompts.len());
    let prompt = chosen.unwrap_or(prompts.len() / 2);
    let Some(words) = prompts.get(prompt) else {
        let (what, remedy) = ("prompt".to_owned(), "the experiment writes one a line".to_owned());
        return Err(FiguresError::Nothing { path: prompts_path, what, remedy });
    };
    let mut rows = Vec::new();
    for (series, trial) in &shown {
        let mut tiles = Vec::new();
        for step in &steps {
            let drawn = pictures.of_step(&trial.id, *step)?;
            let picture = drawn.and_then(|drawn| prompt_tile(&drawn, prompt));
            tiles.push(Tile { picture: picture.ok_or(reason(trial)), caption: String::new() });
        }
        rows.push(Row { name: series.title(), tiles });
    }
    let titles = steps.iter().map(|step| format!("step {step}")).collect();
    let note = format!("“{words}”; subject {}, seed {}.", first.subject, first.seed);
    let groups = vec![Group { heading: String::new(), titles }];
    let real = pictures.real(&first.subject)?;
    Mosaic { aside: Some(("Real pictures".to_owned(), real)), groups, rows, note }.write(plots, "over_time")
}
