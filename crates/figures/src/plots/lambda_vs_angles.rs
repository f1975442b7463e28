//! Figure 6 of the paper: DeLoRA with the learning rate of λ multiplied, that of A and B, or both.

use results::Series;
use results::sweep::{self, DINO, Line, MULTIPLIED, Unchanged};

use crate::drawing::Drawing;
use crate::error::Result;
use crate::figure::{Figure, Source};
use crate::plots::lines::Look;
use crate::plots::robustness::draw_all;
use crate::plots::sweep::SWEPT;
use crate::stroke::Stroke;
use crate::style::{Colour, Marker, colour};

pub const FIGURE: Figure = Figure {
    name: "lambda_vs_angles",
    caption: "Multiplying the learning rate of λ, of A and B, or of both",
    draw,
};

const METHOD: &str = "delora";

/// A value of `multiplied` and how its line looks: shades of the method's hue.
struct Multiplied {
    value: &'static str,
    look: Look,
}

/// `lambda_vs_angles.{svg,png,csv,md}` and `lambda_vs_angles-points.csv`.
fn draw(source: &Source) -> Result<Vec<Drawing>> {
    let trials = &source.across(&SWEPT)?;
    sweep::require_columns(trials, DINO)?;
    trials.column(&[MULTIPLIED])?;
    let unchanged = Unchanged::of(trials);
    let line = |multiplied: &Multiplied| {
        let of = trials.of(Series::of(METHOD)).filter(|trial| match trials.text(trial, MULTIPLIED) {
            "" => multiplied.value == "all",
            value => value == multiplied.value,
        });
        let points = sweep::points(trials, &unchanged, of);
        Line { method: METHOD, title: multiplied.look.title.clone(), larger: 0, points }
    };
    let all = all();
    let lines = sweep::some(trials, all.iter().map(line).collect())?;
    let looks = lines.iter().flat_map(|line| all.iter().find(|one| one.look.title == line.title));
    let looks: Vec<Look> = looks.map(|one| one.look.clone()).collect();
    Ok(draw_all(FIGURE.name, trials, &lines, &looks, &all[0].look.title))
}

fn all() -> [Multiplied; 3] {
    let multiplied = |value, title: &str, colour, marker, stroke| Multiplied {
        value,
        look: Look { title: title.to_owned(), colour, marker, stroke },
    };
    let [dark, light] = [Colour(0x6B, 0x2B, 0x00), Colour(0xF0, 0xA3, 0x66)];
    let [long, short] = [Stroke::Dashed(9.0, 4.0), Stroke::Dashed(3.0, 3.0)];
    [
        multiplied("all", "both", colour(METHOD), Marker::Diamond, Stroke::Solid),
        multiplied("angles", "only A and B", dark, Marker::Square, long),
        multiplied("strength", "only λ", light, Marker::TriangleUp, short),
    ]
}
