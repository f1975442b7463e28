//! Tables 4 and 7: methods by task of GLUE, ours above what the paper prints.

use results::NONE;

use super::{Cells, Columns, Others, PairsText, PaperTable, Part, Picture, Printed, PrintedRows, Row};
use crate::figure::Figure;

pub const FIGURE: Figure =
    Figure { name: "table4", caption: "Table 4, ours beside the paper's", draw: |source| TABLE.draw(source) };

pub const TABLE: PaperTable = PaperTable {
    key: "table4",
    title: "Table 4",
    columns: Columns::Subjects,
    rows: &[
        // What is trained least stands first.
        Row { if_run: true, ..Row::of(NONE) },
        Row::of("full"),
        Row::of("bitfit"),
        Row::of("ia3"),
        Row::of("loreft"),
        Row::of("red"),
        Row::of("lora"),
        Row::of("adapter_pfeiffer"),
        Row::of("adapter_houlsby"),
        Row::of("delora"),
    ],
    others: Others::Above(0, ""),
    cells: Cells::OverSeeds(1),
    markdown: &[Part::Title, Part::Parameters, Part::Scores, Part::Average],
    csv: &[Part::Method, Part::Title, Part::Parameters, Part::Scores, Part::Average, Part::Printed],
    printed: Printed::Rows(&[
        PrintedRows { heading: "(paper)", name: "paper", means: "table4", spreads: Some("table7") },
        PrintedRows {
            heading: "(paper, camera-ready)",
            name: "camera_ready",
            means: "table4_camera_ready",
            spreads: Some("table7_camera_ready"),
        },
    ]),
    note: &[
        "Ours, in percent: mean ± standard deviation (n − 1 below the line) over the seeds {seeds}, in brackets how many of them. The score is accuracy{metrics}; \
         on the test half of the validation set, at the epoch that is best on the other half. Trials that diverged, that failed, or that \
         never got above 0 on validation and so have no score, are counted and not averaged; “missing” was not run, \
         – is not known.{average} #params: trained, without the head.\n\n\
         Rows “(paper)”: RoBERTa-base on all of GLUE, five seeds, spreads of its Table 7, where it prints any; “camera-ready” is the same \
         row run again. All but DeLoRA's are taken over by the paper from Wu et al. 2024 (RED, LoReFT).",
        "{comparable}",
    ],
    comparable: [
        "Ours are of the same model and data.",
        "Ours are of another model and other data: not to be compared with them.",
    ],
    pairs: Some(PairsText {
        decimals: 1,
        shared: "seed and task",
        note: " In points of a hundred (the CSV has fractions). “Avg” has a pair for each seed and task that both \
               methods finished, and weighs them alike. On one task five seeds cannot give a p below 0.06.",
    }),
    figure: Picture::Panels {
        over: "over up to",
        lost: "diverged, failed, or never above 0 on validation",
        extra: None,
    },
};
