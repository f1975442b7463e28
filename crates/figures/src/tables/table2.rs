//! Table 2: from LoRA to DeLoRA step by step, on pictures for semantic maps.

use results::{NONE, REAL_IMAGES};

use super::{
    Cells, Columns, MetricColumn, Others, PaperTable, Part, Picture, Printed, PrintedColumns, Row, reported,
};
use crate::figure::Figure;

pub const FIGURE: Figure =
    Figure { name: "table2", caption: "Table 2, ours beside the paper's", draw: |source| TABLE.draw(source) };

pub const TABLE: PaperTable = PaperTable {
    key: "table2",
    title: "Table 2",
    columns: Columns::Metrics(&[
        reported("miou"),
        MetricColumn { title: "Acc.", ..reported("accuracy") },
        reported("fid"),
    ]),
    rows: &[
        Row::of(REAL_IMAGES),
        Row::of("lora"),
        Row::of("lora_normalized"),
        Row::of("delora"),
        Row::of("multiplicative_relaxed"),
        Row::of("controllable_boundary"),
        Row::of("ether_plus_one_sided"),
        Row::of("encoder_only"),
        Row::of(NONE),
    ],
    others: Others::Above(1, ""),
    cells: Cells::OverSeeds(2),
    markdown: &[Part::Title, Part::Formulation, Part::Scores, Part::Parameters, Part::Printed],
    csv: &[Part::Method, Part::Title, Part::Parameters, Part::Scores, Part::Printed],
    printed: Printed::Columns(&[PrintedColumns { heading: "", name: "", table: "table2", decimals: 2 }]),
    note: &[
        "Ours: mean ± standard deviation over the seeds {seeds}, in brackets how many of them; mIoU and Acc. in percent. They say how well a \
         segmenter finds the label map again in the picture drawn for it. FID: Fréchet distance of the drawn pictures from the \
         real ones of the same label maps, less is better. Real Images: the segmenter on the real pictures, and the distance of as many \
         training pictures. No finetuning: the model as it is, which sees the caption and no label map. #params: of the method, without the \
         condition encoder that each trial trains beside it. “missing” was not run, – is not known.\n\n\
         Columns “(paper)”: Stable Diffusion 1.5 on ADE20K, a single run each, so no spread.",
        "{comparable}",
    ],
    comparable: [
        "Ours are of the same model, data and evaluators.",
        "Ours are of another model, other data and other evaluators: not to be compared with them.",
    ],
    pairs: None,
    figure: Picture::Panels { over: "over", lost: "", extra: None },
};
