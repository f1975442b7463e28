//! CSV in, figure out: tables, plots and picture grids of one results folder.
//!
//! Reads `results/<experiment>/<scale>/` as the runner and the workload wrote it, and the paper's numbers from
//! `experiments/paper.toml`; writes SVG and PNG from the same shapes, Markdown and CSV. It knows no model and
//! trains nothing. Same files in, same files out, on any machine: the font is embedded.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod axis;
mod canvas;
mod cell;
mod chosen;
mod clipped;
mod colour_map;
mod curves;
mod error;
mod frame;
pub mod glue;
mod glue_table;
mod grid;
pub mod instruct;
mod instruct_table;
mod layout;
mod map_grid;
mod mmlu;
mod mosaic;
mod output;
mod pairs;
mod paper;
mod plots;
mod png;
mod prolonged;
mod robustness;
mod semantic_table;
mod series;
mod spread;
pub mod stats;
mod stroke;
mod student;
pub mod style;
mod sweep;
mod table;
mod tiles;
mod trials;
mod wrap;

use std::path::{Path, PathBuf};

pub use chosen::Chosen;
pub use error::{FiguresError, Result};
pub use frame::Frame;
use glue_table::GlueTable;
pub use grid::Choice;
use instruct_table::InstructTable;
use layout::{Layout, TABLE_1, TABLE_3, TABLE_8};
use mmlu::Subjects;
use paper::Paper;
pub use plots::weight_norms::render_weight_norms;
pub use png::{Packed, pack_png};
use semantic_table::SemanticTable;
use trials::Trials;

/// What an experiment file's `figures` may list.
pub const FIGURES: [&str; 21] = [
    "table1",
    "table2",
    "table3",
    "table8",
    "curves",
    "grid",
    "variants",
    "robustness",
    "dora_magnitude",
    "lambda_vs_angles",
    "prolonged",
    "over_time",
    "heatmap",
    "gallery",
    "table4",
    "glue_robustness",
    "confusion",
    "table5",
    "mmlu_categories",
    "instruct_robustness",
    "map_grid",
];

/// Settings along which figures go that show all trials, whatever the summary chose.
const SWEPT: [&str; 2] = [sweep::MULTIPLIER, sweep::MULTIPLIED];
const MAPPED: [&str; 4] = [sweep::MULTIPLIER, sweep::MULTIPLIED, plots::heatmap::LAMBDA, series::RANK];

/// What became of an experiment's figures.
#[derive(Debug, Default)]
pub struct Drawn {
    pub written: Vec<PathBuf>,
    /// Figures that do not apply to these results, with what the results lack for them.
    pub left_out: Vec<(String, FiguresError)>,
    pub failed: Vec<(String, FiguresError)>,
}

/// Draws the `figures` of an experiment from its results.
///
/// `results` and `plots` are the folders of one scale, `results/<experiment>/<scale>` and
/// `plots/<experiment>/<scale>`; `scale` names it in headings. All names are checked before anything is drawn; then
/// every figure is tried, whatever becomes of the others.
pub fn render(figures: &[String], scale: &str, results: &Path, plots: &Path) -> Result<Drawn> {
    if let Some(name) = figures.iter().find(|name| !FIGURES.contains(&name.as_str())) {
        let known = FIGURES.map(|figure| format!("`{figure}`")).join(", ");
        return Err(FiguresError::UnknownFigure { name: name.clone(), known });
    }
    let trials = Trials::read(results)?;
    trials.require_some()?;
    let source = Source { trials: &trials, paper: &Paper::load()?, scale, results, plots };
    let mut drawn = Drawn::default();
    for figure in figures {
        drawn.add(figure, source.draw(figure));
    }
    let pictured = [TABLE_1, TABLE_3, TABLE_8].map(|layout| layout.key);
    if figures.iter().any(|figure| pictured.contains(&figure.as_str())) {
        drawn.add("pairs", pairs::write_pairs(&trials, plots));
    }
    Ok(drawn)
}

impl Drawn {
    fn add(&mut self, figure: &str, result: Result<Vec<PathBuf>>) {
        match result {
            Ok(files) => self.written.extend(files),
            Err(error) if error.is_about_absent_values() => self.left_out.push((figure.to_owned(), error)),
            Err(error) => self.failed.push((figure.to_owned(), error)),
        }
    }
}

/// What figures are drawn from, and where.
struct Source<'a> {
    trials: &'a Trials,
    paper: &'a Paper,
    scale: &'a str,
    results: &'a Path,
    plots: &'a Path,
}

impl Source<'_> {
    fn draw(&self, figure: &str) -> Result<Vec<PathBuf>> {
        let Source { trials, paper, scale, results, plots } = *self;
        let across = |settings: &[&str]| Trials::read_across(results, settings);
        let table = |layout: Layout| -> Result<Vec<PathBuf>> {
            Ok([layout.write(trials, paper, plots)?, layout.draw(trials, paper, scale, plots)?].concat())
        };
        match figure {
            "table1" => table(TABLE_1),
            "table2" => {
                let table = SemanticTable::of(trials)?;
                Ok([table.write(paper, scale, plots)?, table.draw(scale, plots)?].concat())
            }
            "map_grid" => map_grid::write_map_grid(trials, results, plots),
            "table3" => table(TABLE_3),
            "table8" => table(TABLE_8),
            "curves" => plots::curves::write_curves(trials, results, plots),
            "grid" => grid::write_grid(trials, results, plots, &Choice::default()),
            "robustness" => plots::robustness::write_robustness(&across(&SWEPT)?, plots),
            "dora_magnitude" => plots::robustness::write_dora_magnitude(&across(&SWEPT)?, plots),
            "lambda_vs_angles" => plots::lambda_vs_angles::write_lambda_vs_angles(&across(&SWEPT)?, plots),
            "prolonged" => plots::prolonged::write_prolonged(trials, results, plots),
            "over_time" => {
                let middle = Choice { prompts: Vec::new(), ..Choice::default() };
                plots::over_time::write_over_time(trials, results, plots, &middle)
            }
            "heatmap" => plots::heatmap::write_heatmap(&across(&MAPPED)?, plots),
            "table4" => {
                let table = GlueTable::of(trials)?;
                Ok([table.write(paper, scale, plots)?, table.draw(scale, plots)?].concat())
            }
            "glue_robustness" => plots::glue_robustness::write_glue_robustness(&across(&SWEPT)?, plots),
            "confusion" => plots::confusion::write_confusion(trials, plots),
            "table5" => {
                let table = InstructTable::of(trials)?;
                Ok([table.write(paper, scale, plots)?, table.draw(scale, plots)?].concat())
            }
            "mmlu_categories" => {
                let subjects = Subjects::of(trials)?;
                Ok([subjects.write(plots)?, subjects.draw(plots)?].concat())
            }
            "instruct_robustness" => {
                plots::instruct_robustness::write_instruct_robustness(&across(&SWEPT)?, plots)
            }
            "gallery" => plots::gallery::write_gallery(trials, results, plots),
            _ => plots::variants::write_variants(trials, results, scale, plots),
        }
    }
}

/// The picture grid alone, of a chosen subject, seed and prompts.
pub fn render_grid(choice: &Choice, results: &Path, plots: &Path) -> Result<Vec<PathBuf>> {
    let trials = Trials::read(results)?;
    trials.require_some()?;
    grid::write_grid(&trials, results, plots, choice)
}
