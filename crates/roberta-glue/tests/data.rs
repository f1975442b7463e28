//! Reading examples: both layouts, and whatever may be wrong with files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use roberta_glue::data::{Example, Split, files, read};
use roberta_glue::tasks::{TASKS, find};
use tempfile::TempDir;

/// A column of a parquet file: its declaration in the schema language, and its cells.
enum Column {
    Text(&'static str, Vec<Option<&'static [u8]>>),
    Int32(&'static str, Vec<i32>),
    Int64(&'static str, Vec<i64>),
    Float(&'static str, Vec<f32>),
    Double(&'static str, Vec<f64>),
}

fn texts(name: &'static str, cells: &[&'static str]) -> Column {
    Column::Text(name, cells.iter().map(|cell| Some(cell.as_bytes())).collect())
}

fn declaration(column: &Column) -> String {
    match column {
        Column::Text(name, _) => format!("optional binary {name} (utf8);"),
        Column::Int32(name, _) => format!("required int32 {name};"),
        Column::Int64(name, _) => format!("required int64 {name};"),
        Column::Float(name, _) => format!("required float {name};"),
        Column::Double(name, _) => format!("required double {name};"),
    }
}

fn write_cells(writer: &mut SerializedColumnWriter, column: &Column) {
    let written = match column {
        Column::Text(_, cells) => {
            let values: Vec<ByteArray> =
                cells.iter().flatten().map(|&bytes| ByteArray::from(bytes.to_vec())).collect();
            let levels: Vec<i16> = cells.iter().map(|cell| cell.is_some().into()).collect();
            writer.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None)
        }
        Column::Int32(_, values) => writer.typed::<Int32Type>().write_batch(values, None, None),
        Column::Int64(_, values) => writer.typed::<Int64Type>().write_batch(values, None, None),
        Column::Float(_, values) => writer.typed::<FloatType>().write_batch(values, None, None),
        Column::Double(_, values) => writer.typed::<DoubleType>().write_batch(values, None, None),
    };
    written.unwrap();
}

/// A parquet file with a row group for each list of columns.
fn parquet(groups: &[Vec<Column>]) -> Vec<u8> {
    let columns: String = groups[0].iter().map(declaration).collect();
    let schema = Arc::new(parse_message_type(&format!("message schema {{ {columns} }}")).unwrap());
    let mut bytes = Vec::new();
    let mut file =
        SerializedFileWriter::new(&mut bytes, schema, Arc::new(WriterProperties::default())).unwrap();
    for columns in groups {
        let mut group = file.next_row_group().unwrap();
        for column in columns {
            let mut writer = group.next_column().unwrap().unwrap();
            write_cells(&mut writer, column);
            writer.close().unwrap();
        }
        group.close().unwrap();
    }
    file.close().unwrap();
    bytes
}

/// A data folder with these files, named from its root.
fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

const TRAIN: &str = "-00000-of-00001.parquet";

fn example(texts: &[&str], label: f32) -> Example {
    Example { texts: texts.iter().map(|text| text.to_string()).collect(), label }
}

/// The message of reading a task's training split from this one file.
fn refusal(task: &str, name: &str, bytes: Vec<u8>) -> String {
    let folder = folder(&[(&format!("{task}/{name}"), bytes)]);
    read(folder.path(), find(task).unwrap(), Split::Train).unwrap_err().to_string()
}

fn parquet_refusal(task: &str, columns: Vec<Column>) -> String {
    refusal(task, &format!("train{TRAIN}"), parquet(&[columns]))
}

fn tsv_refusal(task: &str, text: &str) -> String {
    refusal(task, "train.tsv", text.into())
}

fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn shards_and_row_groups_are_read_in_order_with_columns_in_any() {
    let shard = |labels: [i64; 3]| {
        let columns = |range: std::ops::Range<usize>| {
            let cells = |all: [&'static str; 3]| all[range.clone()].to_vec();
            vec![
                Column::Int32("idx", vec![7; range.len()]),
                texts("hypothesis", &cells(["h0", "", "h2"])),
                Column::Int64("label", labels[range.clone()].to_vec()),
                texts("premise", &cells(["p0", "p1", "é\t猫"])),
            ]
        };
        parquet(&[columns(0..2), columns(2..3)])
    };
    let names = ["mnli/train-00000-of-00002.parquet", "mnli/train-00001-of-00002.parquet"];
    let validation = "mnli/validation_matched-00000-of-00001.parquet";
    let folder =
        folder(&[(names[1], shard([2, 2, 2])), (names[0], shard([0, 1, 2])), (validation, shard([1, 1, 0]))]);
    let task = find("mnli").unwrap();
    let by_labels = |labels: [f32; 3]| {
        [
            example(&["p0", "h0"], labels[0]),
            example(&["p1", ""], labels[1]),
            example(&["é\t猫", "h2"], labels[2]),
        ]
    };
    let train = [by_labels([0.0, 1.0, 2.0]), by_labels([2.0; 3])].concat();
    assert_eq!(read(folder.path(), task, Split::Train).unwrap(), train);
    assert_eq!(read(folder.path(), task, Split::Validation).unwrap(), by_labels([1.0, 1.0, 0.0]));
    assert_eq!(files(folder.path(), task, Split::Train).unwrap(), names.map(|name| folder.path().join(name)));
}

#[test]
fn similarities_may_be_of_any_number_type() {
    let sentences = || [texts("sentence1", &["a", "b"]), texts("sentence2", &["c", "d"])];
    let labels = [
        (Column::Float("label", vec![2.5, 5.0]), 2.5),
        (Column::Double("label", vec![0.25, 5.0]), 0.25),
        (Column::Int32("label", vec![3, 5]), 3.0),
        (Column::Int64("label", vec![0, 5]), 0.0),
    ];
    for (label, first) in labels {
        let bytes = parquet(&[sentences().into_iter().chain([label]).collect()]);
        let folder = folder(&[(&format!("stsb/train{TRAIN}"), bytes)]);
        let examples = read(folder.path(), find("stsb").unwrap(), Split::Train).unwrap();
        assert_eq!(examples, [example(&["a", "c"], first), example(&["b", "d"], 5.0)]);
    }
}

#[test]
fn tsv_is_read_with_any_line_ends_and_labels_by_number_or_name() {
    let text = "\u{feff}index\tquestion\tsentence\tlabel\r\n0\t\"why?\tit \"is\"\tentailment\r\n1\t\tb\t1\n2\tc\t \t0";
    let folder = folder(&[
        ("qnli/train.tsv", text.into()),
        ("qnli/validation.tsv", "label\tsentence\tquestion\n1\ts\tq\n".into()),
    ]);
    let task = find("qnli").unwrap();
    let train = [example(&["\"why?", "it \"is\""], 0.0), example(&["", "b"], 1.0), example(&["c", " "], 0.0)];
    assert_eq!(read(folder.path(), task, Split::Train).unwrap(), train);
    assert_eq!(read(folder.path(), task, Split::Validation).unwrap(), [example(&["q", "s"], 1.0)]);
}

#[test]
fn parquet_comes_before_tsv_and_dev_before_validation() {
    let columns = vec![texts("sentence", &["from parquet"]), Column::Int64("label", vec![1])];
    let tsv = |name: &str| format!("sentence\tlabel\n{name}\t0\n").into_bytes();
    let folder = folder(&[
        (&format!("sst2/train{TRAIN}"), parquet(&[columns])),
        ("sst2/train.tsv", tsv("from tsv")),
        ("sst2/dev.tsv", tsv("dev")),
        ("sst2/validation.tsv", tsv("validation")),
        ("mnli/dev.tsv", Vec::new()),
        ("mnli/dev_matched.tsv", Vec::new()),
    ]);
    let task = find("sst2").unwrap();
    assert_eq!(read(folder.path(), task, Split::Train).unwrap(), [example(&["from parquet"], 1.0)]);
    assert_eq!(read(folder.path(), task, Split::Validation).unwrap(), [example(&["dev"], 0.0)]);
    let matched = files(folder.path(), find("mnli").unwrap(), Split::Validation).unwrap();
    assert_eq!(matched, [folder.path().join("mnli/dev_matched.tsv")]);
}

#[test]
fn a_missing_split_says_what_would_be_read_and_how_to_get_it() {
    let folder = folder(&[("rte/train.tsv", Vec::new())]);
    let message = |task, split| read(folder.path(), find(task).unwrap(), split).unwrap_err().to_string();
    let parts =
        ["no validation split of `rte`", "validation-00000-of-00001.parquet", "dev.tsv", "delora fetch glue"];
    assert_says(&message("rte", Split::Validation), &parts);
    assert_says(
        &message("mnli", Split::Validation),
        &["mnli", "validation_matched-00000-of-", "dev_matched.tsv"],
    );
    assert_says(&message("cola", Split::Train), &["no train split of `cola`", "train.tsv"]);
}

#[test]
fn a_missing_shard_is_named() {
    let name = "rte/train-00002-of-00003.parquet";
    let message = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|&name| (name, Vec::new())).collect();
        files(folder(&names).path(), find("rte").unwrap(), Split::Train).unwrap_err().to_string()
    };
    assert_says(
        &message(&[name, "rte/train-00000-of-00003.parquet"]),
        &["train-00001-of-00003.parquet is missing"],
    );
    assert_says(
        &message(&[name]),
        &["train-00000-of-00003.parquet is missing", "train-00002-of-00003.parquet is there"],
    );
}

#[test]
fn a_missing_column_is_named_with_those_that_are_there() {
    let columns =
        vec![texts("sentence1", &["a"]), texts("sentence_2", &["b"]), Column::Int64("label", vec![0])];
    let parts = ["no column `sentence2`", "sentence1, sentence2, label", "sentence1, sentence_2, label"];
    assert_says(&parquet_refusal("rte", columns), &parts);
    let columns = vec![texts("sentence", &["a"])];
    assert_says(&parquet_refusal("cola", columns), &["no column `label`", "columns here are sentence"]);
    assert_says(
        &tsv_refusal("cola", "sentence,label\na,1\n"),
        &["train.tsv: no column `sentence`", "sentence,label"],
    );
    assert_says(&tsv_refusal("cola", ""), &["no column `sentence`"]);
}

#[test]
fn a_column_of_another_type_is_refused() {
    let label = || Column::Int64("label", vec![0]);
    let message = parquet_refusal("cola", vec![Column::Int32("sentence", vec![1]), label()]);
    assert_says(&message, &["column `sentence` is of the type INT32; it should be text"]);
    let message = parquet_refusal("cola", vec![texts("sentence", &["a"]), texts("label", &["1"])]);
    assert_says(&message, &["column `label` is of the type BYTE_ARRAY (UTF8); it should be an integer"]);
    let message = parquet_refusal("cola", vec![texts("sentence", &["a"]), Column::Float("label", vec![1.0])]);
    assert_says(&message, &["FLOAT; it should be an integer"]);
    let columns = vec![texts("sentence1", &["a"]), texts("sentence2", &["b"]), texts("label", &["1"])];
    assert_says(&parquet_refusal("stsb", columns), &["it should be a number"]);
}

#[test]
fn an_unknown_label_is_named_with_its_row_and_the_known_ones() {
    let labels = |labels: Vec<i64>| vec![texts("sentence", &["a", "b", "c"]), Column::Int64("label", labels)];
    let parts = ["row 3", "unknown label `2`", "0 (unacceptable), 1 (acceptable)"];
    assert_says(&parquet_refusal("cola", labels(vec![0, 1, 2])), &parts);
    assert_says(&parquet_refusal("cola", labels(vec![0, -1, 1])), &["row 2", "label -1", "test splits"]);
    assert_says(
        &tsv_refusal("qnli", "question\tsentence\tlabel\na\tb\t0.5\n"),
        &["line 2", "unknown label `0.5`"],
    );
    let parts = ["line 3", "unknown label `neutral`", "0 (entailment), 1 (not_entailment)"];
    assert_says(&tsv_refusal("qnli", "question\tsentence\tlabel\na\tb\t1\na\tb\tneutral\n"), &parts);
    assert_says(&tsv_refusal("cola", "sentence\tlabel\na\tNaN\n"), &["unknown label `NaN`"]);
}

#[test]
fn a_row_is_counted_through_row_groups() {
    let group = |label| vec![texts("sentence", &["a", "b"]), Column::Int64("label", vec![0, label])];
    let message = refusal("cola", &format!("train{TRAIN}"), parquet(&[group(1), group(1), group(9)]));
    assert_says(&message, &["row 6", "unknown label `9`"]);
}

#[test]
fn a_similarity_is_a_number_from_0_to_5() {
    for (cell, found) in
        [("5.5", "5.5"), ("-0.25", "-0.25"), ("nan", "NaN"), ("inf", "inf"), ("high", "high")]
    {
        let message = tsv_refusal("stsb", &format!("sentence1\tsentence2\tlabel\na\tb\t{cell}\n"));
        assert_says(&message, &["line 2", &format!("unknown label `{found}`"), "similarities from 0 to 5"]);
    }
    let columns =
        vec![texts("sentence1", &["a"]), texts("sentence2", &["b"]), Column::Float("label", vec![-1.0])];
    assert_says(&parquet_refusal("stsb", columns), &["row 1", "label -1"]);
}

#[test]
fn a_cell_without_a_value_is_named() {
    let columns = vec![
        Column::Text("sentence", vec![Some(b"a"), Some(b""), None, Some(b"d")]),
        Column::Int64("label", vec![1; 4]),
    ];
    assert_says(&parquet_refusal("sst2", columns), &["row 3: column `sentence` has no value"]);
    assert_says(&tsv_refusal("sst2", "sentence\tlabel\na\t\n"), &["line 2: column `label` has no value"]);
}

#[test]
fn a_line_with_other_cells_than_the_header_is_named() {
    let message = tsv_refusal("sst2", "sentence\tlabel\na\t1\nb\tc\t1\n");
    assert_says(&message, &["line 3: 3 cell(s), and the header has 2", "tab"]);
    assert_says(&tsv_refusal("sst2", "sentence\tlabel\na\t1\n\nb\t1\n"), &["line 3: 1 cell(s)"]);
}

#[test]
fn text_that_is_not_utf8_is_named() {
    let columns = vec![
        Column::Text("sentence", vec![Some(b"a"), Some(b"caf\xe9")]),
        Column::Int64("label", vec![1; 2]),
    ];
    assert_says(&parquet_refusal("sst2", columns), &["row 2: is not UTF-8"]);
    let message = refusal("sst2", "train.tsv", b"sentence\tlabel\nok\t1\ncaf\xe9\t1\n".to_vec());
    assert_says(&message, &["line 3: is not UTF-8"]);
}

#[test]
fn a_split_without_rows_is_refused() {
    let columns = vec![texts("sentence", &[]), Column::Int64("label", Vec::new())];
    assert_says(&parquet_refusal("cola", columns), &["has no rows", "train split of `cola`"]);
    assert_says(&tsv_refusal("cola", "sentence\tlabel\n"), &["train.tsv: has no rows"]);
}

fn some_parquet() -> Vec<u8> {
    let sentences: Vec<&'static str> = ["a sentence", "another one", "", "and a third"].repeat(8);
    let labels = (0..32).map(|row| row % 2).collect();
    parquet(&[vec![texts("sentence", &sentences), Column::Int64("label", labels)]])
}

#[test]
fn a_truncated_parquet_file_is_an_error_wherever_it_ends() {
    let whole = some_parquet();
    for length in 0..whole.len() {
        let message = refusal("cola", &format!("train{TRAIN}"), whole[..length].to_vec());
        assert_says(&message, &["train-00000-of-00001.parquet", "truncated or damaged", "delora fetch glue"]);
    }
}

#[test]
fn a_damaged_parquet_file_is_no_panic() {
    let whole = some_parquet();
    let mut refused = 0;
    for position in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= [0x01, 0x80, 0xff][position % 3];
        let folder = folder(&[(&format!("cola/train{TRAIN}"), bytes)]);
        refused += usize::from(read(folder.path(), find("cola").unwrap(), Split::Train).is_err());
    }
    assert!(refused > whole.len() / 2, "{refused} of {} damages were noticed", whole.len());
}

#[test]
#[ignore = "DELORA_HUB has to name the folder of `models` and `datasets`; `just test-hub` sets it"]
fn glue_as_it_is_on_the_hub_can_be_read() {
    let hub = std::env::var("DELORA_HUB").expect("DELORA_HUB names the folder of `models` and `datasets`");
    let folder = Path::new(&hub).join("datasets/nyu-mll--glue");
    let sizes = [
        ("mnli", 9999, 9815),
        ("sst2", 67349, 872),
        ("mrpc", 3668, 408),
        ("cola", 8551, 1043),
        ("qnli", 9999, 5463),
        ("qqp", 18497, 5000),
        ("stsb", 5749, 1500),
        ("wnli", 635, 71),
    ];
    for (name, num_train, num_validation) in sizes {
        let task = find(name).unwrap();
        let [train, validation] =
            [Split::Train, Split::Validation].map(|split| read(&folder, task, split).unwrap());
        assert_eq!((train.len(), validation.len()), (num_train, num_validation), "{name}");
        let classes: std::collections::BTreeSet<u32> =
            train.iter().map(|example| example.label as u32).collect();
        let range = if task.is_regression() { 6 } else { task.num_labels() as u32 };
        assert!(classes.into_iter().eq(0..range), "{name}: all labels are there");
        assert!(train.iter().all(|example| example.texts.len() == task.columns.len()), "{name}");
    }
    assert_eq!(TASKS.len(), sizes.len() + 1, "all but RTE");
}

#[test]
fn the_shipped_tasks_can_be_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini/glue");
    for task in TASKS.iter().filter(|task| task.name != "wnli") {
        for split in [Split::Train, Split::Validation] {
            let labels =
                read(&folder, task, split).unwrap().into_iter().map(|example| example.label as usize);
            let classes: std::collections::BTreeSet<usize> = labels.collect();
            assert!(classes.len() >= task.num_labels().max(2), "{}, {split}: {classes:?}", task.name);
        }
    }
}

#[test]
fn a_folder_in_the_place_of_a_file_is_an_error_that_names_it() {
    let folder = folder(&[("cola/train.tsv/inside", Vec::new())]);
    let path: PathBuf = folder.path().join("cola");
    let message = read(folder.path(), find("cola").unwrap(), Split::Train).unwrap_err().to_string();
    assert_says(&message, &[path.to_str().unwrap(), "no train split"]);
}
