//! Table 5: methods by benchmark of instruction tuning, ours above what the paper prints.

use results::NONE;

use super::{
    Cells, Columns, MetricColumn, Others, PairsText, PaperTable, Part, Picture, Printed, PrintedRows, Row,
    reported,
};
use crate::figure::Figure;

pub const FIGURE: Figure =
    Figure { name: "table5", caption: "Table 5, ours beside the paper's", draw: |source| TABLE.draw(source) };

pub const TABLE: PaperTable = PaperTable {
    key: "table5",
    title: "Table 5",
    columns: Columns::Metrics(&[
        reported("mmlu"),
        reported("arc"),
        reported("mc1"),
        reported("mc2"),
        MetricColumn { heading: "Average", ..reported("average") },
    ]),
    rows: &[
        Row { printed: Some("LLaMA-2-7B"), ..Row::of(NONE) },
        Row { printed: Some("ETHER n=32"), ..Row::of("ether") },
        Row { printed: Some("ETHER+ n=32"), ..Row::of("ether_plus") },
        Row { printed: Some("LoRA r=8"), ..Row::of("lora") },
        Row { printed: Some("DoRA r=8"), ..Row::of("dora") },
        Row { printed: Some("DeLoRA r=8"), ..Row::of("delora") },
    ],
    others: Others::Above(0, "full"),
    cells: Cells::OverSeeds(2),
    markdown: &[Part::Title, Part::Parameters, Part::Scores],
    csv: &[
        Part::Method,
        Part::Title,
        Part::Parameters,
        Part::Scores,
        Part::Printed,
        Part::Extra(&["arc_norm", "train_loss", "test_loss"]),
    ],
    printed: Printed::Rows(&[PrintedRows {
        heading: "(paper)",
        name: "paper",
        means: "table5",
        spreads: None,
    }]),
    note: &[
        "Ours, in percent: mean ± standard deviation (n − 1 below the line) over the seeds {seeds}, in brackets how many of them. MMLU: accuracy, \
         plain mean over its subjects. ARC: accuracy on ARC-Challenge, by the likelihood of the answer. Tru-1, Tru-2: mc1 (accuracy) and \
         mc2 (share of the likelihood that true answers have) of TruthfulQA. Avg: mean of the four. All without an example in the \
         prompt. Trials that diverged or failed are counted and not averaged; “missing” was not run, – is not known. \
         #params: trained.\n\n\
         Rows “(paper)”: LLaMA-2-7B after an epoch of Alpaca, a single run each, so no spread, of the settings that were best on these \
         benchmarks.",
        "{comparable}",
    ],
    comparable: [
        "Ours are of the same model and data.",
        "Ours are of another model and other data, at scale mini with tests of its own in the same form: not to be compared with them.",
    ],
    pairs: Some(PairsText {
        decimals: 2,
        shared: "seed",
        note: " In points of a hundred (the CSV has fractions). Five pairs cannot give a p below 0.06.",
    }),
    figure: Picture::Panels {
        over: "over up to",
        lost: "diverged or failed",
        extra: Some(["test_loss", "Held-out instructions", "loss (cross-entropy)"]),
    },
};
