//! Figures 2 and 5 of the paper, and how wide each method's range of good learning rates is.

use results::sweep::{self, DINO, Line, PRODUCT, Unchanged};
use results::{Trials, baseline};

use crate::drawing::Drawing;
use crate::error::Result;
use crate::figure::{Figure, Source};
use crate::plots::lines::Look;
use crate::plots::sweep::{SWEPT, draw_sweep};
use crate::plots::widths::{Row, csv_header, csv_row, explanation, table};

pub const FIGURE: Figure =
    Figure { name: "robustness", caption: "Score and distance against the learning rate", draw };
pub const DORA_MAGNITUDE: Figure = Figure {
    name: "dora_magnitude",
    caption: "DoRA with and without its magnitude, against the learning rate",
    draw: draw_dora_magnitude,
};

/// Above the second table.
const WHY_THE_PRODUCT: &str = "The same by the product DINO × CLIP-T of each trial, a negative factor counting as 0, as DreamBench++ (Peng et al. 2024) ranks \
    by fidelity to the subject times fidelity to the prompt: a method that draws its training pictures whatever the prompt keeps a high DINO, not \
    this product.";

/// The methods of Figure 5, the first of them the one that the others are compared with.
const MAGNITUDE_METHODS: [&str; 3] = ["dora", "dora_fixed_magnitude", "delora"];

/// `robustness.{svg,png,csv,md}` and `robustness-points.csv`: every method that was trained.
fn draw(source: &Source) -> Result<Vec<Drawing>> {
    let trials = source.across(&SWEPT)?;
    let lines = sweep::lines(&trials, DINO, |_| true)?;
    let looks: Vec<Look> = lines.iter().map(Look::of_line).collect();
    Ok(draw_all(FIGURE.name, &trials, &lines, &looks, &trials.title(baseline(&trials))))
}

/// `dora_magnitude.{svg,png,csv,md}` and `dora_magnitude-points.csv`: DoRA with and without magnitude, and
/// DeLoRA.
fn draw_dora_magnitude(source: &Source) -> Result<Vec<Drawing>> {
    let trials = source.across(&SWEPT)?;
    let lines = sweep::lines(&trials, DINO, |method| MAGNITUDE_METHODS.contains(&method))?;
    let looks: Vec<Look> = lines.iter().map(Look::of_line).collect();
    let baseline = lines.iter().find(|line| line.method == MAGNITUDE_METHODS[0]);
    let baseline = baseline.map_or("", |line| line.title.as_str());
    Ok(draw_all(DORA_MAGNITUDE.name, &trials, &lines, &looks, baseline))
}

/// The figure of `lines` with a look each, and the tables of their widths beside it, by DINO and where there is CLIP-T
/// by their product; `baseline` is the title of one line.
pub fn draw_all(name: &str, trials: &Trials, lines: &[Line], looks: &[Look], baseline: &str) -> Vec<Drawing> {
    let mut drawings = draw_sweep(name, trials, lines, looks);
    let unchanged = Unchanged::of(trials);
    let title = if lines.iter().any(|line| line.title == baseline) { baseline } else { "" };
    let has_product = sweep::has(lines, PRODUCT);
    let (mut cells, mut text) = (Vec::new(), String::new());
    for score in if has_product { &[DINO, PRODUCT][..] } else { &[DINO] } {
        let rows = Row::all(lines, title, &unchanged, score);
        cells.extend(rows.iter().map(|row| csv_row(row, title, score)));
        if *score == PRODUCT {
            text += &format!("\n{WHY_THE_PRODUCT}\n\n");
        }
        text += &table(&rows, title, unchanged.is_known(score));
    }
    let score = if has_product {
        "score (DINO in the first table, DINO × CLIP-T in the second)"
    } else {
        "DINO score"
    };
    let explained = explanation(score, "seed, subject", trials.task().untrained, unchanged.is_known(DINO));
    drawings.push(Drawing::csv(format!("{name}.csv"), csv_header(), cells));
    drawings.push(Drawing::text(format!("{name}.md"), format!("{text}\n{explained}")));
    drawings
}
