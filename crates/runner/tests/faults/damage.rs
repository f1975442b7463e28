//! Files that something else has cut off or altered, and a clock that runs backwards.

use std::fs;
use std::path::Path;

use crate::study::{Study, TRIALS, files, stop};

/// A sweep that was killed with a checkpoint in each of its two banks.
fn killed() -> Study {
    let study = Study::new();
    let mut child = study.start(20);
    study.wait_for("two checkpoints", || study.state_files().len() == 2);
    stop(&mut child);
    study
}

/// Does something to a file that a run must notice.
type Damage = fn(&Path);

fn cut(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_checkpoint_that_cannot_be_read_is_set_aside_and_its_bank_starts_over_in_the_same_run() {
    let undisturbed = Study::new();
    undisturbed.finish();
    let torn: [(&str, Damage); 3] = [("state.json", cut), ("plan.json", cut), ("plan.json", alter_an_id)];
    for (name, damage) in torn {
        let study = killed();
        let state = &study.state_files()[0];
        let victim = match name {
            "state.json" => state.clone(),
            name => state.ancestors().nth(3).unwrap().join(name),
        };
        damage(&victim);
        let folder = victim.parent().unwrap().file_name().unwrap().to_string_lossy().to_string();
        let (_, error) = study.finish();
        let aside = study.root().join("damaged").join(format!("{folder}.1"));
        assert!(error.contains(&aside.display().to_string()), "{name}: {error}");
        assert!(aside.join(name).exists(), "what was damaged is kept");
        assert_eq!(study.tables(), undisturbed.tables());
        assert!(files(&study.root().join("checkpoints")).is_empty());
    }
}

/// Another trial in place of the first: a plan that reads well and is wrong.
fn alter_an_id(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    let ids: Vec<&str> = text.split('"').filter(|word| word.len() == 16).collect();
    fs::write(path, text.replacen(ids[0], ids[1], 1)).unwrap();
}

#[test]
fn a_damaged_trial_file_is_named_and_only_that_trial_is_run_again() {
    let study = Study::new();
    study.finish();
    let expected = study.tables();
    for damage in [cut, flip, |path: &Path| fs::write(path, "").unwrap()] {
        let victim = study.records().into_keys().nth(5).unwrap();
        damage(&victim);
        let lines = study.log_lines().len();
        let (_, error) = study.finish();
        assert!(error.contains(&victim.display().to_string()), "{error}");
        let id = victim.file_stem().unwrap().to_string_lossy().to_string();
        assert_eq!(study.log_lines()[lines..], [id]);
        assert_eq!(study.tables(), expected);
        study.assert_tidy();
    }
}

#[test]
fn damaged_tables_and_readme_are_made_again_from_the_ledger() {
    let study = Study::new();
    study.finish();
    let expected = study.tables();
    for name in ["trials.csv", "curves.csv", "methods.csv", "summary.csv", "README.md"] {
        let path = study.root().join(name);
        let whole = fs::read(&path).unwrap();
        for damage in [cut, flip, |path: &Path| fs::remove_file(path).unwrap()] {
            damage(&path);
            let (out, _) = study.finish();
            assert!(out.contains(&format!("{TRIALS} skipped")), "{out}");
            assert_eq!(fs::read(&path).unwrap(), whole, "{name}");
        }
    }
    assert_eq!(study.tables(), expected);
}

#[test]
fn a_clock_that_runs_backwards_changes_no_result_and_gives_no_negative_time() {
    let undisturbed = Study::new();
    undisturbed.finish();
    let study = Study::new();
    let mut command = study.command(&[]);
    let output = command.env("RUNNER_FAULT_CLOCK", "backwards").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(study.tables(), undisturbed.tables());
    let mut reader = csv::Reader::from_path(study.root().join("trials.csv")).unwrap();
    let rows: Vec<std::collections::BTreeMap<String, String>> =
        reader.deserialize().map(|row| row.unwrap()).collect();
    assert_eq!(rows.len(), TRIALS);
    for row in &rows {
        assert!(row["finished"] >= row["started"], "{} to {}", row["started"], row["finished"]);
        assert!(row["train_seconds"].parse::<f64>().unwrap() >= 0.0);
    }
    study.finish();
    study.assert_tidy();
}
