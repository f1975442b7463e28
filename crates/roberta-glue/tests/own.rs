//! Data sets of one's own: every kind of file gives the same examples, and what is wrong with one is named.

use std::fs;
use std::path::Path;

use roberta_glue::data::{Dataset, Example, Split};
use serde_json::{Value, json};

/// A data set in `folder` whose files have the ending `ending`.
fn dataset(folder: &Path, ending: &str, more: Value) -> Dataset {
    let file = |name: &str| folder.join(name).with_extension(ending);
    let mut all = json!({"train": file("train"), "validation": file("test"), "columns": ["text"]});
    more.as_object().unwrap().iter().for_each(|(key, value)| all[key] = value.clone());
    serde_json::from_value(all).unwrap()
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

fn read(dataset: &Dataset, split: Split) -> Result<Vec<Example>, String> {
    let task = dataset.task().map_err(|error| error.to_string())?;
    dataset.read(&task, split).map_err(|error| error.to_string())
}

#[test]
fn files_of_every_kind_give_the_same_examples_with_labels_found_or_listed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, more) in [("train", "\na,\"good, \"\"so\"\" good\",pos"), ("test", "")] {
        let rows = format!("id,text,label\nb,bad\\tbad,neg{more}\n");
        write(folder, &format!("{name}.csv"), &rows.replace("\\t", " "));
        let more = if more.is_empty() { "" } else { "\na\tgood, \"so\" good\tpos" };
        write(folder, &format!("{name}.tsv"), &format!("id\ttext\tlabel\nb\tbad bad\tneg{more}\n"));
        let good = "{\"text\": \"good, \\\"so\\\" good\", \"label\": \"pos\"}";
        let more = if more.is_empty() { "" } else { good };
        write(
            folder,
            &format!("{name}.jsonl"),
            &format!("{{\"text\": \"bad bad\", \"label\": \"neg\"}}\n{more}\n"),
        );
    }
    let example = |text: &str, label| Example { texts: vec![text.to_owned()], label };
    for ending in ["csv", "tsv", "jsonl"] {
        let found = dataset(folder, ending, json!({}));
        let expected = vec![example("bad bad", 0.0), example("good, \"so\" good", 1.0)];
        assert_eq!(read(&found, Split::Train).unwrap(), expected, "{ending}");
        let listed = dataset(folder, ending, json!({"labels": ["pos", "neg"]}));
        assert_eq!(read(&listed, Split::Validation).unwrap(), [example("bad bad", 1.0)], "{ending}");
    }
    // A hub's files number the classes that its card names, and numbers are sorted as such.
    write(folder, "train.jsonl", "{\"text\": \"a\", \"label\": 10}\n{\"text\": \"b\", \"label\": 9}\n");
    let numbers = dataset(folder, "jsonl", json!({}));
    assert_eq!(numbers.task().unwrap().label_names, ["9", "10"]);
    write(folder, "train.jsonl", "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\", \"label\": true}\n");
    let named = dataset(folder, "jsonl", json!({"labels": ["no", "true"]}));
    assert_eq!(read(&named, Split::Train).unwrap(), [example("a", 1.0), example("b", 1.0)]);
    let scored = dataset(folder, "csv", json!({"metric": "correlation"}));
    write(folder, "train.csv", "text,label\na,0.25\n");
    assert_eq!(read(&scored, Split::Train).unwrap(), [example("a", 0.25)]);
}

#[test]
fn what_is_wrong_is_named_with_file_line_column_and_what_would_be_right() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "train.csv", "text,label\na,x\nb,y\n");
    let said = |more: Value, train: Option<&str>, test: &str| {
        write(folder, "train.csv", train.unwrap_or("text,label\na,x\nb,y\n"));
        write(folder, "test.csv", test);
        let dataset = dataset(folder, "csv", more);
        let read = read(&dataset, Split::Train).and_then(|_| read(&dataset, Split::Validation));
        read.err().unwrap_or_else(|| panic!("taken: {dataset:?}"))
    };
    for (more, train, test, parts) in [
        (
            json!({}),
            None,
            "text,label\na,z\n",
            ["test.csv: line 2", "`label` is `z`, which is none of the labels x, y"],
        ),
        (
            json!({}),
            None,
            "text,label\na,\n",
            ["test.csv: line 2", "`label` is \"\"; it should be a text, a number"],
        ),
        (
            json!({}),
            None,
            "text,class\na,x\n",
            ["test.csv: line 2", "`label` is missing; the row has class, text"],
        ),
        (json!({}), None, "text,label\n", ["test.csv", "has no rows"]),
        (json!({}), Some("text,label\na,x\nb,x\n"), "", ["train.csv", "`label` is 1 label(s)"]),
        (
            json!({"metric": "accuracy_and_f1"}),
            Some("text,label\na,x\nb,y\nc,z\n"),
            "",
            ["train.csv", "`label` is 3 labels; F1 is of two"],
        ),
        (
            json!({"metric": "correlation"}),
            None,
            "",
            ["train.csv: line 2", "`label` is \"x\"; it should be a number"],
        ),
        (
            json!({"columns": ["review"]}),
            None,
            "",
            ["train.csv: line 2", "`review` is missing; the row has label, text"],
        ),
    ] {
        let message = said(more, train, test);
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    let many: String = (0..1002).map(|row| format!("a,{row}.5\n")).collect();
    let message = said(json!({}), Some(&format!("text,label\n{many}")), "");
    assert!(message.contains("is 1002 different ones") && message.contains("correlation"), "{message}");
    for (more, key) in [
        (json!({"columns": []}), "dataset.columns"),
        (json!({"columns": ["a", "b", "c"]}), "dataset.columns"),
        (json!({"labels": ["a", "a"]}), "dataset.labels"),
        (json!({"labels": ["a"]}), "dataset.labels"),
        (json!({"labels": ["a", "b"], "metric": "correlation"}), "dataset.labels"),
    ] {
        assert_eq!(dataset(folder, "csv", more).check().unwrap_err().0, key);
    }
}
