//! The list of figures.

use std::path::Path;

use results::Trials;

use crate::drawing::Drawing;
use crate::error::Result;
use crate::paper::Paper;
use crate::plots;
use crate::tables::paper_table;

/// A figure: its name in an experiment file's `figures`, what it shows, and how it is drawn.
pub struct Figure {
    /// Name in experiment files, and of its files.
    pub name: &'static str,
    /// What it shows, for a reader.
    pub caption: &'static str,
    /// Draws it; an error about absent values says that it does not apply to these results.
    pub(crate) draw: fn(&Source) -> Result<Vec<Drawing>>,
}

/// The figure of a table of the paper, which is a file in `crates/figures/tables/`.
macro_rules! paper_figure {
    ($key:literal, $caption:literal) => {
        Figure { name: $key, caption: $caption, draw: |source| paper_table($key).draw(source) }
    };
}

/// What an experiment file's `figures` may list. A new figure is a file and a line here.
pub const FIGURES: &[Figure] = &[
    paper_figure!("table1", "Table 1, ours beside the paper's"),
    paper_figure!("table2", "Table 2, ours beside the paper's"),
    paper_figure!("table3", "Table 3, ours beside the paper's"),
    paper_figure!("table8", "Table 8, ours beside the paper's"),
    plots::curves::FIGURE,
    plots::grid::FIGURE,
    plots::variants::FIGURE,
    plots::robustness::FIGURE,
    plots::robustness::DORA_MAGNITUDE,
    plots::lambda_vs_angles::FIGURE,
    plots::prolonged::FIGURE,
    plots::over_time::FIGURE,
    plots::heatmap::FIGURE,
    plots::gallery::FIGURE,
    paper_figure!("table4", "Table 4, ours beside the paper's"),
    plots::glue_robustness::FIGURE,
    plots::confusion::FIGURE,
    paper_figure!("table5", "Table 5, ours beside the paper's"),
    plots::mmlu::FIGURE,
    plots::instruct_robustness::FIGURE,
    plots::map_grid::FIGURE,
];

/// Captions of files that are no figure of their own.
const OTHERS: [(&str, &str); 2] = [
    ("pairs", "Paired differences from the baseline"),
    ("weight_norms", "Mean column norms of the pretrained attention weights"),
];

/// What a figure shows, by its name; none for a name that is not known.
pub fn caption(name: &str) -> Option<&'static str> {
    let figure = FIGURES.iter().find(|figure| figure.name == name).map(|figure| figure.caption);
    figure.or_else(|| OTHERS.iter().find(|(other, _)| *other == name).map(|(_, caption)| *caption))
}

/// What figures are drawn from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The trials that count.
    pub trials: &'a Trials,
    pub paper: &'a Paper,
    /// Name of the scale, for headings.
    pub scale: &'a str,
    /// The results folder.
    pub results: &'a Path,
}

impl Source<'_> {
    /// The trials over some settings, whatever the summary chose for them.
    pub fn across(&self, settings: &[&str]) -> Result<Trials> {
        Ok(Trials::read_across(self.results, settings)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_captions_stand_once() {
        for (index, one) in FIGURES.iter().enumerate() {
            let others = || FIGURES[index + 1..].iter();
            assert!(
                others().all(|other| other.name != one.name && other.caption != one.caption),
                "{}",
                one.name
            );
            assert_eq!(caption(one.name), Some(one.caption));
        }
        assert_eq!(caption("other"), None);
    }
}
