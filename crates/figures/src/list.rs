//! The list of figures.

use crate::figure::Figure;
use crate::plots;
use crate::tables::paper_table;

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
