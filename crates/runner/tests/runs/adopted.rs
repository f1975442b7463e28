//! A ledger made anew of the tables that were written from it.

use std::fs;

use runner::{adopt, rebuild};

use crate::study::{FILE, Study};

/// A study that has run, with its tables and without its ledger.
fn tables_alone() -> Study {
    let study = Study::new(FILE);
    study.run(&[]);
    fs::remove_dir_all(study.root().join("trials")).unwrap();
    study
}

fn table(study: &Study, name: &str) -> String {
    fs::read_to_string(study.root().join(name)).unwrap()
}

#[test]
fn tables_give_back_the_ledger_that_they_were_written_from_and_a_run_goes_on_from_it() {
    let study = tables_alone();
    let names = ["trials.csv", "curves.csv", "items.csv", "summary.csv"];
    let before = names.map(|name| table(&study, name));
    let adopted = adopt(&study.experiment(&[]), &study.toy, &study.results()).unwrap();
    assert_eq!((adopted.taken, adopted.known, adopted.failed, adopted.foreign), (8, 0, 0, 0));
    rebuild(&study.experiment(&[]), &study.toy, &study.results()).unwrap();
    assert_eq!(names.map(|name| table(&study, name)), before);
    assert_eq!(study.run(&[]).done, 0, "nothing is computed again");
    let again = adopt(&study.experiment(&[]), &study.toy, &study.results()).unwrap();
    assert_eq!((again.taken, again.known), (0, 8));
}

#[test]
fn rows_of_other_trials_are_left_and_absent_curves_are_told() {
    let study = tables_alone();
    fs::remove_file(study.root().join("curves.csv")).unwrap();
    let other = adopt(&study.experiment(&["steps=7"]), &study.toy, &study.results()).unwrap();
    assert_eq!((other.taken, other.foreign), (0, 8));
    let adopted = adopt(&study.experiment(&[]), &study.toy, &study.results()).unwrap();
    assert_eq!((adopted.taken, adopted.without_curves), (8, 8));
}

#[test]
fn a_cell_that_cannot_be_read_is_named_and_nothing_is_taken() {
    let study = tables_alone();
    let path = study.root().join("trials.csv");
    let text = table(&study, "trials.csv");
    let place = text.lines().next().unwrap().split(',').position(|name| name == "score").unwrap();
    let broken = |(index, line): (usize, &str)| {
        let mut cells: Vec<&str> = line.split(',').collect();
        if index == 5 {
            cells[place] = "0.5x";
        }
        cells.join(",") + "\n"
    };
    fs::write(&path, text.lines().enumerate().map(broken).collect::<String>()).unwrap();
    let error = adopt(&study.experiment(&[]), &study.toy, &study.results()).unwrap_err().to_string();
    assert!(error.contains("trials.csv`: line 6: `score` is \"0.5x\""), "{error}");
    assert!(fs::read_dir(study.root().join("trials")).unwrap().next().is_none());
    fs::remove_file(&path).unwrap();
    let error = adopt(&study.experiment(&[]), &study.toy, &study.results()).unwrap_err().to_string();
    assert!(error.contains("trials.csv"), "{error}");
}
