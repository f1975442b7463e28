//! The paper's tables on subject-driven generation: which rows they have, and what the paper prints beside them.

use crate::paper::{Paper, Reported};
use crate::series::{BLOCKS, RANK, Series};
use crate::trials::Trials;

/// The bounds: neither trains anything.
pub const REAL_IMAGES: &str = "real_images";
pub const NONE: &str = "none";

/// One of the paper's tables.
pub struct Layout {
    /// Of the files, and of the table in `paper.toml`.
    pub key: &'static str,
    pub title: &'static str,
    /// In the paper's order, with the bounds.
    pub rows: &'static [Row<'static>],
    /// Table of `paper.toml` with the standard deviations of the same rows.
    pub spreads: Option<&'static str>,
    /// Table of `paper.toml` with the rows that the paper marks with a dagger.
    pub daggers: Option<&'static str>,
    /// What is to be known of the paper's numbers, below the table and below its figures.
    pub note: &'static str,
    pub figure_note: &'static str,
}

/// One row of a table.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub series: Series<'a>,
    /// The paper's name for it, where that is not the series' title.
    name: Option<&'static str>,
}

impl<'a> Row<'a> {
    const fn of(method: &'a str) -> Self {
        Self { series: Series::of(method), name: None }
    }

    const fn with(method: &'a str, column: &'a str, value: &'a str) -> Self {
        Self { series: Series::with(method, column, value), name: None }
    }

    const fn named(self, name: &'static str) -> Self {
        Self { name: Some(name), ..self }
    }

    pub fn title(&self) -> String {
        self.name.map_or_else(|| self.series.title(), str::to_owned)
    }

    fn is_bound(&self) -> bool {
        [REAL_IMAGES, NONE].contains(&self.series.method)
    }
}

impl Layout {
    /// All rows; one without a setting becomes one for each rank where the trials have several.
    pub fn rows<'a>(&self, trials: &'a Trials) -> Vec<Row<'a>> {
        let split = |row: &Row<'static>| -> Vec<Row<'a>> {
            let series = trials.split(row.series.method);
            if row.series.setting.is_some() || series.len() == 1 {
                return vec![*row];
            }
            series.into_iter().map(|series| Row { series, name: None }).collect()
        };
        self.rows.iter().flat_map(split).collect()
    }

    /// The rows between the bounds.
    pub fn compared<'a>(&self, trials: &'a Trials) -> Vec<Row<'a>> {
        self.rows(trials).into_iter().filter(|row| !row.is_bound()).collect()
    }

    /// What the paper prints for a row. It has one row of real images, which stands for every table.
    pub fn reported(&self, paper: &Paper, row: &Row) -> Reported {
        let table = if row.series.method == REAL_IMAGES { TABLE_3.key } else { self.key };
        paper.row(table, &row.series.key())
    }
}

const FIGURE_NOTE_OF_THREE: &str =
    "The paper’s Real Images is of 30 subjects, its methods are of 3; it gives no spread.";

pub const TABLE_1: Layout = Layout {
    key: "table1",
    title: "Table 1",
    rows: &[
        Row::of(REAL_IMAGES),
        Row::of("lora"),
        Row::of("lora_normalized"),
        Row::of("delora"),
        Row::of("multiplicative_relaxed"),
        Row::of("multiplicative_high_rank"),
        Row::of("controllable_boundary"),
        Row::of("ether_plus_one_sided"),
        Row::of(NONE),
    ],
    spreads: None,
    daggers: None,
    note: "The paper's Real Images row is its Table 3 (30 subjects), the others its Table 1 (3 subjects).",
    figure_note: FIGURE_NOTE_OF_THREE,
};

pub const TABLE_3: Layout = Layout {
    key: "table3",
    title: "Table 3",
    rows: &[
        Row::of(REAL_IMAGES),
        Row::of(NONE),
        Row::of("full").named("DreamBooth (full)"),
        Row::with("oft", BLOCKS, "4"),
        Row::of("ether_plus"),
        Row::with("lora", RANK, "4"),
        Row::with("lora", RANK, "16"),
        Row::with("dora", RANK, "16"),
        Row::with("delora", RANK, "16"),
    ],
    spreads: Some("table6"),
    daggers: Some("table3_dagger"),
    note: "The paper's numbers are of 30 subjects, its standard deviations (std, its Table 6) over 3 seeds. † is a \
           second row of the paper's table for the same method, with “tuned hyperparameters” by the table's caption and \
           the best result by the text. The paper's rows up to LoRA r=4 are those of Bini et al. 2024; it does not state \
           ETHER+'s n. Its parameters are those of Stable Diffusion 1.5, without DoRA's magnitudes.",
    figure_note: "The paper’s numbers are of 30 subjects; its bars are ± std over 3 seeds, where its Table 6 gives one.",
};

pub const TABLE_8: Layout = Layout {
    key: "table8",
    title: "Table 8",
    rows: &[
        Row::of(REAL_IMAGES),
        Row::of("dora_fixed_magnitude"),
        Row::of("dora"),
        Row::of("delora"),
        Row::of(NONE),
    ],
    spreads: None,
    daggers: None,
    note: "The paper's Real Images row is its Table 3 (30 subjects), the others its Table 8 (3 subjects).",
    figure_note: FIGURE_NOTE_OF_THREE,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_the_paper_belongs_to_a_row() {
        let paper = Paper::load().unwrap();
        for layout in [TABLE_1, TABLE_3, TABLE_8] {
            let keys: Vec<String> = layout.rows.iter().map(|row| row.series.key()).collect();
            for table in [Some(layout.key), layout.spreads, layout.daggers].into_iter().flatten() {
                assert!(paper.keys(table).count() > 0, "{table}");
                let stray: Vec<&String> = paper.keys(table).filter(|key| !keys.contains(key)).collect();
                assert!(stray.is_empty(), "{table}: {stray:?}");
            }
        }
        let real = Row::of(REAL_IMAGES);
        assert_eq!(TABLE_8.reported(&paper, &real).metric("clip_i"), Some(0.864));
        assert_eq!(TABLE_1.reported(&paper, &Row::of(NONE)), Reported::default());
    }
}
