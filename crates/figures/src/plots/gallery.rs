//! Figure 7 of the paper: what DeLoRA, and LoRA beside it, draw of each subject.

use results::{Series, Trial, Trials, at_papers_rank};

use crate::drawing::Drawing;
use crate::error::{FiguresError, Result};
use crate::figure::{Figure, Source};
use crate::mosaic::{Group, Mosaic, Row, Tile};
use crate::plots::grid::{by_number, reason};
use crate::tiles::{Pictures, prompt_tile};

pub const FIGURE: Figure = Figure { name: "gallery", caption: "Subjects in new contexts", draw };

/// Methods of the two blocks; one that was not run has none.
const METHODS: [&str; 2] = ["delora", "lora"];
/// Places of the prompts in a subject's list, from zero.
const PROMPTS: [usize; 3] = [0, 6, 20];
const CLASS: &str = "config.subject.class";
/// What stands for the identifier in the lists of prompts; without the class behind it, subjects share their
/// prompts.
const IDENTIFIER: &str = "[V]";

/// `gallery.png`: a row for each subject, its real picture, then pictures of its first seed.
fn draw(source: &Source) -> Result<Vec<Drawing>> {
    let Source { trials, results, .. } = *source;
    let pictures = Pictures::of(results);
    let series: Vec<Series> = METHODS.iter().map(|method| at_papers_rank(trials, method)).collect();
    let series: Vec<Series> =
        series.into_iter().filter(|series| trials.of(*series).next().is_some()).collect();
    let mut subjects: Vec<&str> =
        series.iter().flat_map(|series| trials.of(*series)).map(|trial| trial.subject.as_str()).collect();
    subjects.sort_unstable();
    subjects.dedup();
    let Some(first) = subjects.first() else {
        let what = format!("trial of {}", METHODS.map(|method| format!("`{method}`")).join(" or "));
        return Err(FiguresError::nothing(trials.path(), what, "the gallery shows these methods"));
    };
    let subjects: Vec<Subject> =
        subjects.iter().map(|name| Subject::read(trials, &series, &pictures, name)).collect::<Result<_>>()?;
    let common = subjects.iter().all(|subject| subject.templates == subjects[0].templates);
    let title = |index: usize| {
        if common { subjects[0].templates[index].clone() } else { format!("prompt {}", PROMPTS[index] + 1) }
    };
    let titles: Vec<String> = (0..subjects[0].templates.len()).map(title).collect();
    let mut groups = vec![Group { heading: String::new(), titles: vec!["real picture".to_owned()] }];
    groups
        .extend(series.iter().map(|series| Group { heading: trials.title(*series), titles: titles.clone() }));
    let mut rows = Vec::new();
    for subject in subjects {
        rows.push(subject.row(&pictures, titles.len(), !common)?);
    }
    let seed =
        series.iter().find_map(|series| first_seed(trials, *series, first)).map_or("", |trial| &trial.seed);
    let note = format!("Pictures of seed {seed}; {IDENTIFIER} stands for a subject.");
    Mosaic { aside: None, groups, rows, note }.draw(FIGURE.name)
}

/// One row before its pictures are read.
struct Subject<'a> {
    name: &'a str,
    /// Its prompts without its class.
    templates: Vec<String>,
    /// A trial a block.
    trials: Vec<Option<&'a Trial>>,
}

impl<'a> Subject<'a> {
    fn read(trials: &'a Trials, series: &[Series<'a>], pictures: &Pictures, name: &'a str) -> Result<Self> {
        let (path, prompts) = pictures.prompts(name)?;
        let drawn: Vec<Option<&Trial>> =
            series.iter().map(|series| first_seed(trials, *series, name)).collect();
        let class = drawn.iter().flatten().next().map_or("", |trial| trials.text(trial, CLASS));
        let template = |prompt: &String| prompt.replace(&format!("{IDENTIFIER} {class}"), IDENTIFIER);
        let templates: Vec<String> =
            PROMPTS.iter().filter_map(|index| prompts.get(*index)).map(template).collect();
        if templates.is_empty() {
            return Err(FiguresError::nothing(&path, "prompt", "the experiment writes one a line"));
        }
        Ok(Self { name, templates, trials: drawn })
    }

    /// The real picture, then for each block as many as `columns`.
    fn row(&self, pictures: &Pictures, columns: usize, captioned: bool) -> Result<Row> {
        let real = pictures.real(self.name)?.into_iter().next().ok_or("no picture");
        let mut tiles = vec![Tile { picture: real, caption: String::new() }];
        for trial in &self.trials {
            let drawn = trial.map(|trial| pictures.of_trial(&trial.id)).transpose()?.flatten();
            for (column, prompt) in PROMPTS.iter().enumerate().take(columns) {
                let picture = drawn.as_ref().and_then(|drawn| prompt_tile(drawn, *prompt));
                let caption = self.templates.get(column).filter(|_| captioned).cloned().unwrap_or_default();
                let picture = picture.ok_or(trial.map_or("not run", reason));
                tiles.push(Tile { picture, caption });
            }
        }
        Ok(Row { name: self.name.replace('_', " "), tiles })
    }
}

/// The trial of the subject's smallest seed.
fn first_seed<'a>(trials: &'a Trials, series: Series<'a>, subject: &str) -> Option<&'a Trial> {
    let of_subject = trials.of(series).filter(|trial| trial.subject == subject);
    of_subject.min_by_key(by_number)
}
