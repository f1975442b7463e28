//! The list of figures.

use crate::figure::Figure;
use crate::plots;
use crate::tables::paper_table;

/// The figure of a table, which is a file in `crates/figures/tables/`.
macro_rules! table {
    ($name:literal, $caption:literal) => {
        Figure { name: $name, caption: $caption, draw: |source| paper_table!($name).draw(source) }
    };
}

/// What an experiment file's `figures` may list. A new figure is a file and a line here, and so is a
/// new table.
pub const FIGURES: &[Figure] = &[
    table!("table1", "Table 1, ours beside the paper's"),
    table!("table2", "Table 2, ours beside the paper's"),
    table!("table3", "Table 3, ours beside the paper's"),
    table!("table8", "Table 8, ours beside the paper's"),
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
    table!("table4", "Table 4, ours beside the paper's"),
    plots::glue_robustness::FIGURE,
    plots::confusion::FIGURE,
    table!("table5", "Table 5, ours beside the paper's"),
    table!("image_classification", "Accuracy of the methods"),
    table!("text_classification", "Scores of the methods"),
    table!("exams", "Scores of the methods in exams of one’s own"),
    plots::mmlu::FIGURE,
    plots::score_robustness::INSTRUCT,
    plots::score_robustness::FIGURE,
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
