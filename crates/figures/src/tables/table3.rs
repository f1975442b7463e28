//! Table 3: methods of several ranks beside full finetuning, on subjects; its spreads are the paper's Table 6.

use results::{BLOCKS, NONE, RANK, REAL_IMAGES};

use super::table1::{ON_SUBJECTS, OURS};
use super::{PaperTable, Picture, Printed, PrintedColumns, Row};
use crate::figure::Figure;

pub const FIGURE: Figure =
    Figure { name: "table3", caption: "Table 3, ours beside the paper's", draw: |source| TABLE.draw(source) };

pub const TABLE: PaperTable = PaperTable {
    key: "table3",
    title: "Table 3",
    rows: &[
        Row::of(REAL_IMAGES),
        Row::of(NONE),
        Row { title: Some("DreamBooth (full)"), ..Row::of("full") },
        Row::with("oft", BLOCKS, "4"),
        Row::of("ether_plus"),
        Row::with("lora", RANK, "4"),
        Row::with("lora", RANK, "16"),
        Row::with("dora", RANK, "16"),
        Row::with("delora", RANK, "16"),
    ],
    printed: Printed::Columns(&[
        PrintedColumns { heading: "", name: "", table: "table3", decimals: 3 },
        PrintedColumns { heading: " std", name: "_std", table: "table6", decimals: 4 },
        PrintedColumns { heading: " †", name: "_dagger", table: "table3_dagger", decimals: 3 },
    ]),
    note: &[
        OURS,
        "The paper's numbers are of 30 subjects, its standard deviations (std, its Table 6) over 3 seeds. † is a \
         second row of the paper's table for the same method, with “tuned hyperparameters” by the table's caption and \
         the best result by the text. The paper's rows up to LoRA r=4 are those of Bini et al. 2024; it does not state \
         ETHER+'s n. Its parameters are those of Stable Diffusion 1.5, without DoRA's magnitudes.",
    ],
    figure: Picture::Beside {
        note: "The paper’s numbers are of 30 subjects; its bars are ± std over 3 seeds, where its Table 6 gives one.",
    },
    ..ON_SUBJECTS
};
