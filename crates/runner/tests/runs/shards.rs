//! Parts of an experiment that were run in folders of their own, and joined.

use std::path::PathBuf;

use runner::{RunOptions, Selection, merge, rebuild, run};

use crate::study::{FILE, Study, column};

/// Runs the parts of `study` that are asked for, each in a folder of its own.
fn run_shards(study: &Study, shards: &[&str]) -> Vec<PathBuf> {
    let run_shard = |shard: &&str| {
        let results_dir = study.folder.path().join(shard.replace('/', "-"));
        let selection = Selection { shard: Some(shard.parse().unwrap()), ..Selection::default() };
        let options = RunOptions { results_dir: results_dir.clone(), selection, ..study.options() };
        run(&study.experiment(&[]), &study.toy, &options).unwrap();
        results_dir
    };
    shards.iter().map(run_shard).collect()
}

#[test]
fn shards_that_are_merged_give_the_tables_of_one_run() {
    let (whole, parted) = (Study::new(FILE), Study::new(FILE));
    whole.run(&[]);
    let folders = run_shards(&parted, &["1/3", "2/3", "3/3"]);
    let merged = merge(&parted.experiment(&[]), &parted.toy, &parted.results(), &folders).unwrap();
    assert_eq!((merged.taken, merged.known, merged.conflicts.len()), (8, 0, 0));
    rebuild(&parted.experiment(&[]), &parted.toy, &parted.results()).unwrap();
    for name in ["summary.csv", "curves.csv"] {
        let read = |study: &Study| std::fs::read_to_string(study.root().join(name)).unwrap();
        assert_eq!(read(&parted), read(&whole), "{name}");
    }
    let again = merge(&parted.experiment(&[]), &parted.toy, &parted.results(), &folders).unwrap();
    assert_eq!((again.taken, again.known), (0, 8));
    assert_eq!(parted.run(&[]).done, 0);
}

#[test]
fn other_numbers_of_one_trial_are_told_and_those_that_were_there_stay() {
    let study = Study::new(FILE);
    study.run(&[]);
    let before = column(&study.rows("trials.csv"), "score");
    let folders = run_shards(&study, &["1/1"]);
    // Another machine's rounding.
    let records = folders[0].join("walk/mini/trials");
    let ledgers = std::fs::read_dir(&records).unwrap().map(|entry| entry.unwrap().path());
    let first = ledgers.min().unwrap();
    let text = std::fs::read_to_string(&first).unwrap();
    let start = text.find("\"score\":").unwrap() + 8;
    let end = start + text[start..].find([',', '}']).unwrap();
    let record = format!("{}-0.5{}", &text[..start], &text[end..]);
    let body = record.split_once("\"record\":").unwrap().1.trim_end();
    let body = &body[..body.len() - 1];
    let checksum = blake3::hash(body.as_bytes()).to_hex();
    std::fs::write(&first, format!("{{\"checksum\":\"{checksum}\",\"record\":{body}}}\n")).unwrap();
    let merged = merge(&study.experiment(&[]), &study.toy, &study.results(), &folders).unwrap();
    assert_eq!((merged.taken, merged.known, merged.conflicts.len()), (0, 7, 1));
    assert_eq!(
        (merged.conflicts[0].1.what.as_str(), merged.conflicts[0].1.right.as_str()),
        ("metric score", "-0.5")
    );
    rebuild(&study.experiment(&[]), &study.toy, &study.results()).unwrap();
    assert_eq!(column(&study.rows("trials.csv"), "score"), before);
    let none = [study.folder.path().join("none")];
    let error = merge(&study.experiment(&[]), &study.toy, &study.results(), &none).unwrap_err().to_string();
    assert!(error.contains("none/walk/mini/trials"), "{error}");
}
