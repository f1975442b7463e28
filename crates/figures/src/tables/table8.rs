//! Table 8: DoRA with and without its magnitude, and DeLoRA, on subjects.

use results::{NONE, REAL_IMAGES};

use super::table1::{ON_SUBJECTS, OURS};
use super::{PaperTable, Printed, PrintedColumns, Row};
use crate::figure::Figure;

pub const FIGURE: Figure =
    Figure { name: "table8", caption: "Table 8, ours beside the paper's", draw: |source| TABLE.draw(source) };

pub const TABLE: PaperTable = PaperTable {
    key: "table8",
    title: "Table 8",
    rows: &[
        Row::of(REAL_IMAGES),
        Row::of("dora_fixed_magnitude"),
        Row::of("dora"),
        Row::of("delora"),
        Row::of(NONE),
    ],
    printed: Printed::Columns(&[PrintedColumns { heading: "", name: "", table: "table8", decimals: 3 }]),
    note: &[
        OURS,
        "The paper's Real Images row is its Table 3 (30 subjects), the others its Table 8 (3 subjects).",
    ],
    ..ON_SUBJECTS
};
