//! What `delora clean` finds and removes, and what it leaves.

use std::collections::BTreeMap;

use runner::{LeftoverKind, leftovers, run};

use crate::study::{FILE, Study, column};
use crate::toy::Toy;

fn found(study: &Study, sets: &[&str]) -> Vec<(LeftoverKind, String, u64)> {
    let found = leftovers(&study.experiment(sets), &study.toy, &study.results()).unwrap();
    let name = |path: &std::path::Path| path.strip_prefix(study.root()).unwrap().display().to_string();
    found.items.iter().map(|item| (item.kind, name(&item.path), item.bytes)).collect()
}

#[test]
fn a_clean_folder_has_nothing_to_remove_and_one_without_results_is_an_error() {
    let study = Study::new(FILE);
    let error = leftovers(&study.experiment(&[]), &study.toy, &study.results()).unwrap_err().to_string();
    assert!(error.contains("run it first"), "{error}");
    assert!(!study.results().exists());
    study.run(&[]);
    assert_eq!(found(&study, &[]), []);
    assert!(!study.root().join("lock").exists());
}

#[test]
fn each_kind_is_found_with_its_size_and_removed_and_results_stay() {
    let study = Study::new(FILE);
    study.run(&["seeds=0,1,2"]);
    let kept = study.root().join("pictures/subject-ant.png");
    std::fs::write(&kept, "not a trial's").unwrap();
    std::fs::write(study.root().join("trials/.0123456789abcdef.json.7.0.partial"), "{").unwrap();
    let stopping = Toy { stop_after: Some(1), ..Toy::default() };
    assert!(run(&study.experiment(&["seeds=0,1,5"]), &stopping, &study.options()).unwrap().interrupted);
    // The run has removed the partial file; this one is newer.
    std::fs::write(study.root().join(".trials.csv.7.0.partial"), "tri").unwrap();
    std::fs::create_dir(study.root().join("damaged")).unwrap();
    std::fs::write(study.root().join("damaged/bank.1"), "12345").unwrap();
    let rows = study.rows("trials.csv");
    let victim = column(&rows, "trial_id")[0].clone();
    std::fs::write(study.root().join(format!("trials/{victim}.json")), "torn").unwrap();

    let items = found(&study, &[]);
    let count = |kind| items.iter().filter(|(found, ..)| *found == kind).count();
    assert_eq!(count(LeftoverKind::Checkpoint), 1, "{items:?}");
    assert_eq!(count(LeftoverKind::OtherTrial), 4, "the trials of seed 2: {items:?}");
    assert_eq!(count(LeftoverKind::Orphan), 4, "their pictures: {items:?}");
    assert!(items.contains(&(LeftoverKind::Damaged, format!("trials/{victim}.json"), 4)), "{items:?}");
    assert!(items.contains(&(LeftoverKind::Damaged, "damaged/bank.1".to_string(), 5)), "{items:?}");
    assert!(items.contains(&(LeftoverKind::Partial, ".trials.csv.7.0.partial".to_string(), 3)), "{items:?}");
    assert_eq!(items.len(), 12, "{items:?}");

    leftovers(&study.experiment(&[]), &study.toy, &study.results()).unwrap().remove().unwrap();
    assert_eq!(found(&study, &[]), []);
    assert!(kept.exists());
    assert_eq!(study.counts(&[]), [("done", 7), ("open", 1)]);
    assert_eq!(study.run(&[]).done, 1);
    let scores = |rows: &[BTreeMap<String, String>]| -> BTreeMap<String, String> {
        rows.iter().map(|row| (row["trial_id"].clone(), row["score"].clone())).collect()
    };
    let (before, after) = (scores(&rows), scores(&study.rows("trials.csv")));
    assert_eq!(after.len(), 8);
    assert!(after.iter().all(|(id, score)| before.get(id).is_none_or(|old| old == score)));
}

#[test]
fn no_run_begins_while_it_is_asked_what_to_remove() {
    let study = Study::new(FILE);
    study.run(&["seeds=0"]);
    let held = leftovers(&study.experiment(&[]), &study.toy, &study.results()).unwrap();
    let error = run(&study.experiment(&[]), &study.toy, &study.options()).unwrap_err().to_string();
    assert!(error.contains("is held by process"), "{error}");
    drop(held);
    assert_eq!(study.run(&[]).done, 4);
}

#[test]
fn nothing_is_removed_while_a_worker_of_another_machine_may_live() {
    let study = Study::new(FILE);
    study.run(&["seeds=0"]);
    let workers = study.root().join("workers");
    std::fs::create_dir(&workers).unwrap();
    let elsewhere = r#"{"pid":7,"host":"node9","since":"2026-01-31T12:00:00Z","locked":true,"boot_id":"other","started_ticks":1}"#;
    std::fs::write(workers.join("node9-7-0123abcd"), elsewhere).unwrap();
    let refused = || leftovers(&study.experiment(&[]), &study.toy, &study.results()).unwrap_err().to_string();
    assert!(
        refused().contains("process 7 of node9") && refused().contains("node9-7-0123abcd if you know"),
        "{}",
        refused()
    );
    let plan = runner::status(&study.experiment(&[]), &study.toy, &study.results()).unwrap();
    assert!(plan.to_string().contains("running now: a worker, process 7 of node9"), "{plan}");
    std::fs::remove_dir_all(workers).unwrap();
    assert_eq!(found(&study, &["seeds=0"]), []);
}
