//! Tables, plots and picture grids of one results folder.
//!
//! The runner and the workloads leave CSV files and pictures in `results/<experiment>/<scale>/`. This crate reads
//! them through the crate `results`, puts the paper's numbers (`experiments/paper.toml`) beside ours, and writes SVG
//! and PNG from the same shapes, Markdown and CSV. [`FIGURES`] lists all figures; each is a file in `plots/`, or for a
//! table of the paper a file of data in `tables/`. A figure returns what it drew, and [`render`] writes it. The same
//! files in give the same files out on any machine: the font is embedded.
//!
//! ```
//! # let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
//! # let plots = tempfile::tempdir().unwrap();
//! let results = root.join("results/heatmap/mini");
//! let drawn = figures::render(&["heatmap".to_owned()], "mini", &results, plots.path())?;
//! assert_eq!(drawn.written.len(), 3); // heatmap.svg, heatmap.png, heatmap.csv
//! # Ok::<(), figures::FiguresError>(())
//! ```

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod axis;
mod canvas;
mod clipped;
mod colour_map;
mod drawing;
mod error;
mod figure;
mod list;
mod mosaic;
mod paper;
mod plots;
mod png;
mod stroke;
pub mod style;
mod tables;
mod tiles;
mod wrap;

use std::path::{Path, PathBuf};

use drawing::Drawing;
pub use error::{FiguresError, Result};
pub use figure::Figure;
use figure::Source;
pub use list::{FIGURES, caption};
use paper::Paper;
pub use plots::grid::Choice;
pub use png::{Packed, pack_png};
use rayon::prelude::*;
use results::Trials;

/// What became of an experiment's figures.
#[derive(Debug, Default)]
pub struct Drawn {
    /// Files that were written.
    pub written: Vec<PathBuf>,
    /// Figures that do not apply to these results, with what the results lack for them.
    pub left_out: Vec<(String, FiguresError)>,
    /// Figures that could not be drawn or written.
    pub failed: Vec<(String, FiguresError)>,
}

/// Draws the `figures` of an experiment from its results.
///
/// `results` and `plots` are the folders of one scale, `results/<experiment>/<scale>` and
/// `plots/<experiment>/<scale>`; `scale` names it in headings. All names are checked before anything is drawn; then
/// every figure is tried, whatever becomes of the others.
pub fn render(figures: &[String], scale: &str, results: &Path, plots: &Path) -> Result<Drawn> {
    let mut listed = Vec::new();
    for name in figures {
        listed.push(FIGURES.iter().find(|figure| figure.name == *name).ok_or_else(|| {
            let known: Vec<String> = FIGURES.iter().map(|figure| format!("`{}`", figure.name)).collect();
            FiguresError::UnknownFigure { name: name.clone(), known: known.join(", ") }
        })?);
    }
    let trials = Trials::read(results)?;
    trials.require_some()?;
    let source = Source { trials: &trials, paper: &Paper::load()?, scale, results };
    let draw = |figure: &&Figure| (figure.draw)(&source).and_then(|drawings| write(&drawings, plots));
    let written: Vec<_> = listed.par_iter().map(draw).collect();
    let mut drawn = Drawn::default();
    for (figure, written) in listed.into_iter().zip(written) {
        match written {
            // Tables of one folder share their paired differences.
            Ok(mut files) => {
                files.retain(|file| !drawn.written.contains(file));
                drawn.written.extend(files);
            }
            Err(error) if error.is_about_absent_values() => {
                drawn.left_out.push((figure.name.to_owned(), error));
            }
            Err(error) => drawn.failed.push((figure.name.to_owned(), error)),
        }
    }
    Ok(drawn)
}

/// Draws the picture grid alone, of a chosen subject, seed and prompts.
pub fn render_grid(choice: &Choice, results: &Path, plots: &Path) -> Result<Vec<PathBuf>> {
    let trials = Trials::read(results)?;
    trials.require_some()?;
    write(&plots::grid::grid(&trials, results, choice)?, plots)
}

/// Draws Figure 4 of the paper, `weight_norms.svg`, `.png` and `.csv`, from a table of a checkpoint's norms.
///
/// `csv` has the columns `block`, `attention` (`attn1` or `attn2`), `projection` (`to_q`, `to_k`, `to_v`,
/// `to_out`), `mean_column_norm`, `std` and `columns` (how many columns the mean is of). Rows of one block,
/// attention and projection are pooled.
pub fn render_weight_norms(csv: &Path, plots: &Path) -> Result<Vec<PathBuf>> {
    write(&plots::weight_norms::weight_norms(csv)?, plots)
}

/// Draws `cost.svg` and `cost.png` from the table of steps, `steps.csv`, that `delora bench` writes: columns `table`,
/// `method`, `trials`, `milliseconds`, `least` and `most`.
pub fn render_cost(csv: &Path, plots: &Path) -> Result<Vec<PathBuf>> {
    write(&plots::cost::cost(csv)?, plots)
}

fn write(drawings: &[Drawing], plots: &Path) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for drawing in drawings {
        written.extend(drawing.write(plots)?);
    }
    Ok(written)
}
