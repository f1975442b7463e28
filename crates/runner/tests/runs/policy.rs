//! How many failures end a run, and runs of some of the trials.

use runner::{Only, RunOptions, Selection, plan, run};

use crate::study::{FILE, Study, column};
use crate::toy::Toy;

/// Banks of four: two that fail, then two that do not.
fn half_failing() -> Study {
    let text = FILE.replace("[method.plain]", "[method.plain]\nfault = \"error\"");
    Study::new(&text.replace("seeds = [0, 1]", "seeds = [0, 1, 2, 3]"))
}

#[test]
fn a_run_goes_on_by_default_and_ends_after_as_many_failures_as_allowed() {
    for (max_failures, failed, done) in [(None, 8, 8), (Some(1), 4, 0), (Some(5), 8, 0), (Some(9), 8, 8)] {
        let study = half_failing();
        let report = study.run_with(&[], &RunOptions { max_failures, ..study.options() });
        assert_eq!((report.failed.len(), report.done), (failed, done), "{max_failures:?}");
        assert_eq!((report.taken, report.left), (16, 16 - failed - done), "{max_failures:?}");
        assert_eq!(report.exit_code(), 1);
        let open: usize = study.counts(&[]).iter().filter(|(name, _)| *name == "open").map(|(_, n)| n).sum();
        assert_eq!(open, report.left, "what was not begun is open, and the next run takes it up");
    }
}

#[test]
fn only_failed_leaves_open_trials_alone_and_only_unfinished_failed_ones() {
    let study = half_failing();
    study.run_with(&[], &RunOptions { max_failures: Some(1), ..study.options() });
    assert_eq!(study.counts(&[]), [("failed", 4), ("open", 12)]);
    let failed: Vec<String> = column(&study.rows("trials.csv"), "trial_id");

    let report = study.run_only(&[], Only::Failed);
    assert_eq!((report.taken, report.failed.len(), report.done, report.left), (4, 4, 0, 0));
    assert_eq!(study.toy.banks.borrow().concat(), failed);
    assert_eq!(study.counts(&[]), [("failed", 4), ("open", 12)]);

    let report = study.run_only(&[], Only::Unfinished);
    assert_eq!((report.taken, report.failed.len(), report.done), (12, 4, 8));
    assert!(study.toy.banks.borrow().iter().flatten().all(|id| !failed.contains(id)));
    assert_eq!(study.counts(&[]), [("done", 8), ("failed", 8)]);
    assert_eq!(study.run_only(&[], Only::Unfinished).taken, 0);
    assert_eq!(study.run_only(&[], Only::Diverged).taken, 0);
}

#[test]
fn only_failed_takes_damaged_trials_too() {
    let study = Study::new(FILE);
    study.run(&["seeds=0"]);
    let victim = column(&study.rows("trials.csv"), "trial_id")[1].clone();
    std::fs::write(study.root().join(format!("trials/{victim}.json")), "{").unwrap();
    assert_eq!(study.run_only(&[], Only::Failed).done, 1);
    assert_eq!(*study.toy.banks.borrow(), [vec![victim]]);
    assert_eq!(study.counts(&[]), [("done", 4), ("open", 4)]);
}

const WILD: [&str; 2] = ["method=plain,wild", "method.wild.rate=30"];

#[test]
fn only_diverged_runs_them_from_their_start_and_replaces_their_record() {
    let study = Study::new(FILE);
    study.run(&WILD);
    let rows = study.rows("trials.csv");
    let diverged = column(&rows[4..], "trial_id");
    let file = study.root().join(format!("trials/{}.json", diverged[0]));
    let old = std::fs::read(&file).unwrap();
    let report = study.run_only(&WILD, Only::Diverged);
    assert_eq!((report.taken, report.diverged, report.done, report.exit_code()), (4, 4, 0, 0));
    assert_eq!(*study.toy.banks.borrow(), [diverged]);
    assert_ne!(std::fs::read(&file).unwrap(), old, "the record has new times");
    assert_eq!(column(&study.rows("trials.csv"), "score"), column(&rows, "score"));
    assert_eq!(study.counts(&WILD), [("done", 4), ("diverged", 4)]);
}

#[test]
fn a_diverged_trial_that_fails_when_run_anew_keeps_its_result() {
    let mut study = Study::new(FILE);
    study.run(&WILD);
    let before = study.rows("trials.csv");
    study.toy = Toy { memory: Some(0), ..Toy::default() };
    let report = study.run_only(&WILD, Only::Diverged);
    assert_eq!((report.failed.len(), report.exit_code()), (4, 1));
    assert_eq!(study.rows("trials.csv"), before);
    assert_eq!(study.counts(&WILD), [("done", 4), ("diverged", 4)]);
}

#[test]
fn an_interrupted_run_of_diverged_trials_goes_on_and_is_forgotten_by_a_run_of_the_rest() {
    let study = Study::new(FILE);
    study.run(&WILD);
    let rows = study.rows("trials.csv");
    let checkpoints = || study.banks().len();
    let interrupt = || {
        // The bank stops after its first step.
        let stopping = Toy { stop_after: Some(1), ..Toy::default() };
        let selection = Selection { only: Some(Only::Diverged), ..Selection::default() };
        let options = RunOptions { selection, ..study.options() };
        let report = run(&study.experiment(&WILD), &stopping, &options).unwrap();
        assert_eq!((report.interrupted, report.left, checkpoints()), (true, 4, 1));
    };
    interrupt();
    let selection = Selection { only: Some(Only::Diverged), ..Selection::default() };
    let planned = plan(&study.experiment(&WILD), &study.toy, &study.results(), &selection).unwrap();
    assert!(planned.to_string().contains("1 bank of 4 trials, 1 of them begun"), "{planned}");
    assert_eq!(study.run_only(&WILD, Only::Diverged).diverged, 4);
    assert_eq!((checkpoints(), column(&study.rows("trials.csv"), "score")), (0, column(&rows, "score")));

    interrupt();
    let report = study.run(&WILD);
    assert_eq!((report.taken, report.skipped, checkpoints()), (0, 8, 0));
    assert_eq!(column(&study.rows("trials.csv"), "score"), column(&rows, "score"));
}

#[test]
fn a_begun_bank_is_run_whole_and_the_plan_says_so() {
    let study = Study::new(FILE);
    let stopping = Toy { stop_after: Some(2), ..Toy::default() };
    let report = run(&study.experiment(&[]), &stopping, &study.options()).unwrap();
    assert!(report.interrupted);
    let grid = study.experiment(&[]).grid(&study.toy).unwrap();
    let one = Selection { trials: vec![grid.trials[1].id.clone()], ..Selection::default() };
    let planned = plan(&study.experiment(&[]), &study.toy, &study.results(), &one).unwrap();
    assert_eq!((planned.open(), planned.joined), (4, 3));
    assert!(planned.to_string().contains("3 of these were not selected"), "{planned}");
    let report = study.run_with(&[], &RunOptions { selection: one, ..study.options() });
    assert_eq!((report.taken, report.done), (4, 4));
    assert_eq!(study.counts(&[]), [("done", 4), ("open", 4)]);
}

#[test]
fn trials_can_be_run_by_id_and_an_unknown_one_is_an_error() {
    let study = Study::new(FILE);
    let grid = study.experiment(&[]).grid(&study.toy).unwrap();
    let trials: Vec<String> = [6, 1].map(|index: usize| grid.trials[index].id.clone()).into();
    let options = RunOptions { selection: Selection { trials, ..Selection::default() }, ..study.options() };
    assert_eq!(study.run_with(&[], &options).done, 2);
    assert_eq!(study.counts(&[]), [("done", 2), ("open", 6)]);
    let mut wrong = grid.trials[3].id.clone();
    wrong.replace_range(..1, "x");
    let selection = Selection { trials: vec![wrong.clone()], ..Selection::default() };
    let options = RunOptions { selection, ..study.options() };
    let error = run(&study.experiment(&[]), &study.toy, &options).unwrap_err().to_string();
    let expected = format!(
        "`{wrong}` is no trial of this experiment at this scale; did you mean `{}`?",
        grid.trials[3].id
    );
    assert_eq!(error, expected);
    assert_eq!(study.counts(&[]), [("done", 2), ("open", 6)]);
}
