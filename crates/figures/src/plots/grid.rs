//! The picture grid: real pictures on the left, then a row for each method and a column for each prompt.

use std::path::Path;

use results::{REAL_IMAGES, Series, Status, Trial, Trials};

use crate::drawing::Drawing;
use crate::error::{FiguresError, Result};
use crate::figure::Figure;
use crate::mosaic::{Group, Mosaic, Row, Tile};
use crate::tiles::{Pictures, prompt_tile};

pub const FIGURE: Figure = Figure {
    name: "grid",
    caption: "Pictures: rows methods, columns prompts",
    draw: |source| grid(source.trials, source.results, &Choice::default()),
};

/// Which pictures to show.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Absent is the first subject of `trials.csv`.
    pub subject: Option<String>,
    /// Absent is the subject's first seed.
    pub seed: Option<String>,
    /// From zero; an index beyond the prompts is left out.
    pub prompts: Vec<usize>,
}

impl Default for Choice {
    fn default() -> Self {
        Self { subject: None, seed: None, prompts: vec![0, 1, 2, 4, 6, 13, 20, 24] }
    }
}

/// `grid.png`, from `pictures/` of the results folder.
pub fn grid(trials: &Trials, results: &Path, choice: &Choice) -> Result<Vec<Drawing>> {
    let pictures = Pictures::of(results);
    let shown = shown(trials, choice)?;
    let first = shown[0].1;
    let (prompts_path, prompts) = pictures.prompts(&first.subject)?;
    let columns: Vec<usize> = choice.prompts.iter().copied().filter(|index| *index < prompts.len()).collect();
    if columns.is_empty() {
        let remedy = format!("it has {} lines", prompts.len());
        return Err(FiguresError::nothing(&prompts_path, "prompt at any of the chosen places", remedy));
    }
    let real = pictures.real(&first.subject)?;
    let row = |(series, trial): &(Series, &Trial)| -> Result<Row> {
        let drawn = pictures.of_trial(&trial.id)?;
        let tile = |prompt: &usize| {
            let picture = drawn.as_ref().and_then(|drawn| prompt_tile(drawn, *prompt));
            Tile { picture: picture.ok_or(reason(trial)), caption: String::new() }
        };
        Ok(Row { name: trials.title(*series), tiles: columns.iter().map(tile).collect() })
    };
    let rows = shown.iter().map(row).collect::<Result<_>>()?;
    let titles = columns.iter().map(|index| prompts[*index].clone()).collect();
    let note = format!("Subject {}, seed {}, one picture for each prompt.", first.subject, first.seed);
    let groups = vec![Group { heading: String::new(), titles }];
    Mosaic { aside: Some(("Real pictures".to_owned(), real)), groups, rows, note }.draw(FIGURE.name)
}

/// A trial's place in the order of the numbers of seeds.
pub fn by_number(trial: &&Trial) -> (u64, String) {
    (trial.seed.parse().unwrap_or(u64::MAX), trial.seed.clone())
}

/// Why a trial has no picture.
pub fn reason(trial: &Trial) -> &'static str {
    match trial.status {
        Status::Diverged => "diverged",
        Status::Failed => "failed",
        Status::Done => "no picture",
    }
}

/// The chosen subject's and seed's trial of each series, in the order of the legends.
pub fn shown<'a>(trials: &'a Trials, choice: &Choice) -> Result<Vec<(Series<'a>, &'a Trial)>> {
    let generated = || trials.all().iter().filter(|trial| trial.method != REAL_IMAGES);
    let nothing = || {
        let what = "trial of the chosen subject and seed";
        FiguresError::nothing(trials.path(), what, "choose a subject and a seed that were run")
    };
    let first =
        generated().find(|trial| choice.subject.as_ref().is_none_or(|subject| *subject == trial.subject));
    let subject = &first.ok_or_else(nothing)?.subject;
    let of_subject = || generated().filter(|trial| trial.subject == *subject);
    let first_seed = of_subject().min_by_key(by_number).map(|trial| trial.seed.clone());
    let seed = choice.seed.clone().or(first_seed).ok_or_else(nothing)?;
    let chosen = |trial: &&Trial| trial.subject == *subject && trial.seed == seed;
    let of_series = |series: Series<'a>| Some((series, trials.of(series).find(chosen)?));
    let mut series = trials.series();
    series.retain(|series| series.method != REAL_IMAGES);
    let shown: Vec<(Series, &Trial)> = series.into_iter().filter_map(of_series).collect();
    if shown.is_empty() { Err(nothing()) } else { Ok(shown) }
}
