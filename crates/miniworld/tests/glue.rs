//! The tasks about the mini world's sentences: the same at every start, fair between splits, and laid out as GLUE's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use miniworld::glue::{Example, Label, TASKS, Task, write_tasks};
use miniworld::language::vocabulary;
use parquet::basic::Type;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

fn task(name: &str) -> &'static Task {
    TASKS.iter().find(|task| task.name == name).expect("a task")
}

fn file(folder: &Path, task: &Task, split: &str) -> SerializedFileReader<File> {
    let path = folder.join(task.name).join(format!("{split}-00000-of-00001.parquet"));
    SerializedFileReader::new(File::open(&path).expect("a file")).expect("parquet")
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini/glue")
}

/// The rows of a file, whose `idx` must count them.
fn rows(folder: &Path, task: &Task, split: &str) -> Vec<Example> {
    let file = file(folder, task, split);
    let rows = file.get_row_iter(None).expect("rows").enumerate().map(|(index, row)| {
        let fields: Vec<Field> =
            row.expect("a row").into_columns().into_iter().map(|(_, field)| field).collect();
        let (texts, rest) = fields.split_at(task.columns.len());
        let texts = texts.iter().map(|field| match field {
            Field::Str(text) => text.clone(),
            other => panic!("{}: row {index}: {other}", task.name),
        });
        let label = match rest[0] {
            Field::Long(class) => Label::Class(class as usize),
            Field::Float(score) => Label::Score(score),
            ref other => panic!("{}: row {index}: {other}", task.name),
        };
        assert_eq!(rest[1], Field::Int(index as i32));
        Example { texts: texts.collect(), label }
    });
    rows.collect()
}

#[test]
fn the_shipped_files_are_what_a_fresh_start_draws_and_small() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("glue");
    write_tasks(&folder).expect("tasks are written");
    let mut bytes = 0;
    for task in &TASKS {
        for (split, drawn) in ["train", task.validation].into_iter().zip(task.splits()) {
            assert_eq!(rows(&folder, task, split), drawn, "{} {split}", task.name);
            let is_shipped = rows(&shipped(), task, split) == drawn;
            assert!(is_shipped, "{} {split}: run `delora world --glue`", task.name);
            let name = format!("{}/{split}-00000-of-00001.parquet", task.name);
            bytes += shipped().join(name).metadata().expect("a file").len();
        }
    }
    assert!(bytes < 400_000, "{bytes} bytes");
}

#[test]
fn columns_have_the_names_and_types_of_the_hub() {
    let wanted: BTreeMap<&str, [&str; 2]> = BTreeMap::from([
        ("mnli", ["premise", "hypothesis"]),
        ("mrpc", ["sentence1", "sentence2"]),
        ("qnli", ["question", "sentence"]),
        ("qqp", ["question1", "question2"]),
        ("rte", ["sentence1", "sentence2"]),
        ("stsb", ["sentence1", "sentence2"]),
    ]);
    for task in &TASKS {
        let file = file(&shipped(), task, "train");
        let columns = file.metadata().file_metadata().schema_descr().columns().to_vec();
        let found: Vec<(&str, Type)> =
            columns.iter().map(|column| (column.name(), column.physical_type())).collect();
        let texts = wanted.get(task.name).map_or(&["sentence"][..], |pair| &pair[..]);
        let label = if task.name == "stsb" { Type::FLOAT } else { Type::INT64 };
        let mut wanted: Vec<(&str, Type)> = texts.iter().map(|&name| (name, Type::BYTE_ARRAY)).collect();
        wanted.extend([("label", label), ("idx", Type::INT32)]);
        assert_eq!(found, wanted, "{}", task.name);
    }
    assert_eq!(task("mnli").validation, "validation_matched");
}

#[test]
fn no_sentence_or_pair_stands_twice_in_a_task_and_none_beside_itself() {
    for task in &TASKS {
        let rows = task.splits().concat();
        let keys: BTreeSet<BTreeSet<&String>> = rows.iter().map(|row| row.texts.iter().collect()).collect();
        assert_eq!(keys.len(), rows.len(), "{}", task.name);
        assert!(keys.iter().all(|key| key.len() == task.columns.len()), "{}", task.name);
    }
}

#[test]
fn classes_are_balanced_and_scores_are_spread() {
    for task in &TASKS {
        for rows in task.splits() {
            let share = |is_counted: &dyn Fn(Label) -> bool| {
                rows.iter().filter(|row| is_counted(row.label)).count() as f64 / rows.len() as f64
            };
            if task.name == "stsb" {
                let is_score = |label| matches!(label, Label::Score(score) if (0.0..=5.0).contains(&score));
                assert!(share(&is_score) == 1.0);
                let low = share(&|label| matches!(label, Label::Score(score) if score < 2.5));
                assert!((low - 0.5).abs() < 0.05, "{low}");
                continue;
            }
            let classes = if task.name == "mnli" { 3 } else { 2 };
            for class in 0..classes {
                let wanted = match (task.name, class) {
                    ("cola", 0) => 0.4,
                    ("cola", _) => 0.6,
                    _ => 1.0 / f64::from(classes),
                };
                let found = share(&|label| label == Label::Class(class as usize));
                assert!((found - wanted).abs() < 0.04, "{}: class {class}: {found}", task.name);
            }
        }
    }
}

#[test]
fn sentences_are_short_and_of_known_words() {
    let known: BTreeSet<String> = vocabulary().into_iter().collect();
    for task in &TASKS {
        for row in task.splits().concat() {
            let mut tokens = 2 * row.texts.len();
            for text in &row.texts {
                for word in text.replace(',', " ,").replace('?', " ?").split_whitespace() {
                    assert!(known.contains(word), "{}: `{word}` of `{text}`", task.name);
                    tokens += 1;
                }
            }
            assert!((5..=32).contains(&tokens), "{}: {tokens} tokens: {:?}", task.name, row.texts);
        }
    }
}

#[test]
fn a_few_labels_are_wrong_and_no_more() {
    // Whether numbers compare as told can be read off the sentences.
    let number = |word: &str| ["one", "two", "three", "four"].iter().position(|known| *known == word);
    let (mut right, mut wrong) = (0, 0);
    for row in task("rte").splits().concat() {
        let words: Vec<&str> = row.texts[1].split(' ').collect();
        let ["there", "are", compared @ ("more" | "fewer"), first, "than", second] = words[..] else {
            continue;
        };
        let count = |noun: &str| {
            let one = noun.trim_end_matches('s');
            let words: Vec<&str> = row.texts[0].split(' ').collect();
            let place = words.iter().position(|word| word.trim_end_matches('s') == one).expect("the noun");
            words[..place].iter().rev().take(3).find_map(|word| number(word)).unwrap_or(0)
        };
        let is_true = (count(first) > count(second)) == (compared == "more");
        if is_true == (row.label == Label::Class(0)) { right += 1 } else { wrong += 1 }
    }
    let share = f64::from(wrong) / f64::from(right + wrong);
    assert!(right + wrong > 500 && (0.01..0.06).contains(&share), "{wrong} of {}", right + wrong);
}
