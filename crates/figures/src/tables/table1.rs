//! Table 1: from LoRA to DeLoRA step by step, on subjects.

use results::{NONE, REAL_IMAGES};

use super::{
    Cells, Columns, MetricColumn, Others, PairsText, PaperTable, Part, Picture, Printed, PrintedColumns, Row,
    ours_alone, reported,
};
use crate::figure::Figure;

pub const FIGURE: Figure =
    Figure { name: "table1", caption: "Table 1, ours beside the paper's", draw: |source| TABLE.draw(source) };

pub const TABLE: PaperTable = PaperTable {
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
    printed: Printed::Columns(&[PrintedColumns { heading: "", name: "", table: "table1", decimals: 3 }]),
    note: &[
        OURS,
        "The paper's Real Images row is its Table 3 (30 subjects), the others its Table 1 (3 subjects).",
    ],
    ..ON_SUBJECTS
};

const SCORES: &[MetricColumn] =
    &[reported("dino"), reported("clip_i"), ours_alone("clip_t"), ours_alone("diversity")];

pub const OURS: &str = "Ours: mean ± standard deviation over trials (`_std_trials` in the CSV) / standard deviation over seeds of \
    the mean over subjects (`_std_seeds`); {extent}. Diverged trials are counted, not averaged; “missing” was not run, – is not \
    reported or not defined.";

/// What Tables 1, 3 and 8 share.
pub const ON_SUBJECTS: PaperTable = PaperTable {
    key: "",
    title: "",
    columns: Columns::Metrics(SCORES),
    rows: &[],
    others: Others::LeftOut,
    cells: Cells::OverSubjects,
    markdown: &[
        Part::Title,
        Part::Formulation,
        Part::Scores,
        Part::Number,
        Part::Diverged,
        Part::Parameters,
        Part::Printed,
    ],
    csv: &[
        Part::Method,
        Part::Title,
        Part::Formulation,
        Part::Number,
        Part::Diverged,
        Part::Scores,
        Part::Parameters,
        Part::Printed,
    ],
    printed: Printed::Columns(&[]),
    note: &[],
    comparable: ["", ""],
    pairs: Some(PairsText { decimals: 3, shared: "seed and subject", note: "" }),
    figure: Picture::Beside {
        note: "The paper’s Real Images is of 30 subjects, its methods are of 3; it gives no spread.",
    },
};
