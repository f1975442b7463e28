//! A crash, and an error of the file system, at every boundary that a sweep passes.
//!
//! The boundaries are counted in an undisturbed sweep, then each gets its fault in a sweep of its own. So do those of the
//! run that follows a crash, which takes over its lock, its partial files and its checkpoint.

use std::fs;
use std::path::Path;

use crate::study::{FILE, Study, texts};

/// Fewer steps than elsewhere: a checkpoint passes the same boundaries at each.
fn study() -> Study {
    Study::of(&FILE.replace("steps = 10", "steps = 2"))
}

/// What each boundary of a run is, in order.
fn boundaries(study: &Study, fault: &str) -> Vec<String> {
    let log = study.path().join("boundaries.log");
    let _ = fs::remove_file(&log);
    let mut command = study.command(&["workers=1"]);
    command.env("RUNNER_FAULT_LOG", &log).env("RUNNER_FAULT", fault);
    command.output().unwrap();
    let lines = fs::read_to_string(&log).unwrap();
    lines.lines().map(|line| line.split_once(' ').unwrap().1.to_string()).collect()
}

/// Every kind of boundary that a sweep passes.
const KINDS: &str = "folder made, lock opened, locked, lock named, created, half written, written, \
    synced, renamed, linked, durable, checkpoint removed, removed";

fn assert_kinds(names: &[String], kinds: &str) {
    for kind in kinds.split(", ") {
        assert!(names.iter().any(|name| name.starts_with(kind)), "no `{kind}` in {names:?}");
    }
}

/// A study for each boundary, which has crashed there.
fn crashed_at_each(names: &[String], study: impl Fn() -> Study) -> impl Iterator<Item = Study> {
    names.iter().zip(1..).map(move |(name, number)| {
        let study = study();
        let output = study.run_with(&format!("kill:{number}"));
        assert_eq!(output.status.code(), None, "boundary {number}, {name}: {:?}", texts(&output));
        study
    })
}

#[test]
fn a_crash_at_any_boundary_loses_no_finished_trial_and_changes_no_table() {
    let undisturbed = study();
    let names = boundaries(&undisturbed, "");
    assert_kinds(&names, KINDS);
    let expected = undisturbed.tables();
    let mut finished = 0;
    for study in crashed_at_each(&names, study) {
        let before = study.records();
        finished += before.len();
        study.recover(&before, &expected);
    }
    println!(
        "{} boundaries, a crash at each: {finished} trials were finished before, 0 were lost",
        names.len()
    );
}

#[test]
fn an_error_at_any_boundary_is_told_and_the_next_run_mends_it() {
    let undisturbed = study();
    let names = boundaries(&undisturbed, "");
    let expected = undisturbed.tables();
    let mut told = 0;
    for (index, name) in names.iter().enumerate() {
        let study = study();
        let output = study.run_with(&format!("error:{}", index + 1));
        let [_, error] = texts(&output);
        assert_eq!(output.status.code(), Some(1), "boundary {}, {name}: {error}", index + 1);
        assert!(error.contains("injected"), "boundary {}, {name}: {error}", index + 1);
        told += 1;
        // A trial whose picture could not be written has failed; its record is no result, and is replaced.
        let is_result = |bytes: &[u8]| !String::from_utf8_lossy(bytes).contains(r#""status":"failed""#);
        let before = study.records().into_iter().filter(|(_, bytes)| is_result(bytes)).collect();
        study.recover(&before, &expected);
    }
    println!("{} boundaries, an error at each: {told} told, 0 trials lost", names.len());
}

#[test]
fn a_crash_at_any_boundary_of_the_run_after_a_crash_loses_nothing_either() {
    let undisturbed = study();
    let names = boundaries(&undisturbed, "");
    let expected = undisturbed.tables();
    // The first run dies with a record half written, two banks finished and one with a checkpoint; or at the last tables.
    let is_table = |name: &str| name.ends_with("summary.csv");
    for (of_file, kinds) in [
        (is_record as fn(&str) -> bool, "locked, linked, checkpoint removed"),
        (is_table, "locked, partial file removed, renamed"),
    ] {
        let first =
            1 + names.iter().rposition(|name| name.starts_with("half written") && of_file(name)).unwrap();
        let crashed = study();
        crashed.run_with(&format!("kill:{first}"));
        let again = || {
            let study = study();
            copy(crashed.path(), study.path());
            study
        };
        let names = boundaries(&again(), "");
        assert_kinds(&names, kinds);
        for study in crashed_at_each(&names, again) {
            study.recover(&study.records(), &expected);
        }
        println!("{} boundaries of a run after a crash, a crash at each: 0 trials lost", names.len());
    }
}

#[test]
fn a_crash_while_results_of_another_experiment_are_taken_over_runs_none_of_them_again() {
    let walk = study();
    walk.finish();
    let expected = walk.tables();
    let stroll = || {
        let study = study();
        copy(&walk.results(), &study.results());
        study.renamed("stroll")
    };
    let names = boundaries(&stroll(), "");
    assert_kinds(&names, "half written, renamed, durable");
    for study in crashed_at_each(&names, stroll) {
        study.recover(&study.records(), &expected);
        assert_eq!(study.log_lines(), [""; 0]);
    }
    println!(
        "{} boundaries of a run that takes results over, a crash at each: 0 trials run again",
        names.len()
    );
}

/// Whether a boundary is one of a trial's record.
fn is_record(name: &str) -> bool {
    name.ends_with(".json.partial") && !name.ends_with("state.json.partial")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
