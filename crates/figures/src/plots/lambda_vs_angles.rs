//! Figure 6 of the paper: DeLoRA with the learning rate of λ multiplied, that of A and B, or both.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::plots::lines::Look;
use crate::plots::robustness::write_all;
use crate::series::Series;
use crate::stroke::Stroke;
use crate::style::{Colour, Marker, colour};
use crate::sweep::{self, Line, MULTIPLIED, Score, Unchanged};
use crate::trials::Trials;

const METHOD: &str = "delora";

/// A value of `multiplied` and how its line looks: shades of the method's hue.
struct Multiplied {
    value: &'static str,
    title: &'static str,
    colour: Colour,
    marker: Marker,
    stroke: Stroke,
}

/// `lambda_vs_angles.{svg,png,csv,md}` and `lambda_vs_angles-points.csv`.
pub fn write_lambda_vs_angles(trials: &Trials, plots: &Path) -> Result<Vec<PathBuf>> {
    sweep::require_columns(trials, Score::Dino)?;
    trials.column(&[MULTIPLIED])?;
    let unchanged = Unchanged::of(trials);
    let line = |multiplied: &Multiplied| {
        let of = trials.of(Series::of(METHOD)).filter(|trial| match trials.setting(trial, MULTIPLIED) {
            "" => multiplied.value == "all",
            value => value == multiplied.value,
        });
        let look = Look {
            title: multiplied.title.to_owned(),
            colour: multiplied.colour,
            marker: multiplied.marker,
            stroke: multiplied.stroke,
        };
        Line { method: METHOD, look, points: sweep::points(trials, &unchanged, of) }
    };
    let all = all();
    let lines = sweep::some(trials, all.iter().map(line).collect())?;
    write_all("lambda_vs_angles", trials, &lines, all[0].title, plots)
}

fn all() -> [Multiplied; 3] {
    let multiplied =
        |value, title, colour, marker, stroke| Multiplied { value, title, colour, marker, stroke };
    [
        multiplied("all", "both", colour(METHOD), Marker::Diamond, Stroke::Solid),
        multiplied(
            "angles",
            "only A and B",
            Colour(0x6B, 0x2B, 0x00),
            Marker::Square,
            Stroke::Dashed(9.0, 4.0),
        ),
        multiplied(
            "strength",
            "only λ",
            Colour(0xF0, 0xA3, 0x66),
            Marker::TriangleUp,
            Stroke::Dashed(3.0, 3.0),
        ),
    ]
}
