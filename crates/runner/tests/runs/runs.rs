//! What is run again, what is not, and what a fault costs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use runner::{RunOptions, Selection, State, plan, rebuild, run};

use crate::study::{FILE, Study, column, is_empty};
use crate::toy::Toy;

#[test]
fn a_run_writes_every_row_once_and_a_second_run_computes_nothing() {
    let study = Study::new(FILE);
    let report = study.run(&[]);
    assert_eq!((report.done, report.skipped, report.exit_code()), (8, 0, 0));
    assert_eq!(study.bank_sizes(), [4, 4]);
    let rows = study.rows("trials.csv");
    assert_eq!(column(&rows, "method"), [["plain"; 4], ["bounded"; 4]].concat());
    assert_eq!(column(&rows, "subject"), ["ant", "ant", "bee", "bee", "ant", "ant", "bee", "bee"]);
    assert_eq!(column(&rows, "seed"), ["0", "1", "0", "1", "0", "1", "0", "1"]);
    assert_eq!(column(&rows, "config.method.rank"), ["", "", "", "", "4", "4", "4", "4"]);
    assert!(rows.iter().all(|row| row["status"] == "done" && row["score"].parse::<f64>().unwrap() < 0.0));
    assert_eq!(column(&rows, "task"), ["toy"; 8]);
    let methods = study.rows("methods.csv");
    assert_eq!(column(&methods, "name"), ["plain", "bounded"], "no trial is wild");
    assert_eq!(column(&methods, "title"), ["A plain walk", "A bounded walk"]);
    assert_eq!(study.rows("curves.csv").len(), 8 * 5);
    assert!(is_empty(&study.root().join("checkpoints")) && !study.root().join("lock").exists());

    let tables = || {
        ["trials.csv", "curves.csv", "summary.csv", "README.md"]
            .map(|name| std::fs::read(study.root().join(name)).unwrap())
    };
    let before = tables();
    let report = study.run(&[]);
    assert_eq!((report.done, report.skipped, report.exit_code()), (0, 8, 0));
    assert_eq!(study.bank_sizes(), [0; 0]);
    assert_eq!(tables(), before);

    std::fs::remove_file(study.root().join("summary.csv")).unwrap();
    std::fs::write(study.root().join("trials.csv"), "edited").unwrap();
    rebuild(&study.experiment(&[]), &study.toy, &study.results()).unwrap();
    assert_eq!(tables(), before);

    // A clone has the tables without the ledger.
    std::fs::remove_dir_all(study.root().join("trials")).unwrap();
    let error = rebuild(&study.experiment(&[]), &study.toy, &study.results()).unwrap_err();
    assert!(error.to_string().contains("run it first"), "{error}");
    assert_eq!(tables(), before);
}

#[test]
fn adapters_are_kept_where_that_is_asked_for_and_identities_do_not_tell() {
    let (plain, keeping) = (Study::new(FILE), Study::new(FILE));
    plain.run(&[]);
    let options = RunOptions { save_adapters: true, ..keeping.options() };
    run(&keeping.experiment(&[]), &keeping.toy, &options).unwrap();
    let rows = keeping.rows("trials.csv");
    assert_eq!(column(&rows, "trial_id"), column(&plain.rows("trials.csv"), "trial_id"));
    for id in column(&rows, "trial_id") {
        let adapter = |study: &Study| study.root().join(format!("pictures/{id}.adapter.txt")).exists();
        assert!(adapter(&keeping) && !adapter(&plain));
    }
}

#[test]
fn the_summary_averages_over_replicates() {
    let study = Study::new(FILE);
    study.run(&[]);
    let trials = study.rows("trials.csv");
    let summary = study.rows("summary.csv");
    assert_eq!(column(&summary, "method"), ["plain", "bounded"]);
    assert_eq!(column(&summary, "n"), ["4", "4"]);
    for (row, trials) in summary.iter().zip(trials.chunks(4)) {
        let scores: Vec<f64> = column(trials, "score").iter().map(|score| score.parse().unwrap()).collect();
        let mean = scores.iter().sum::<f64>() / 4.0;
        let variance = scores.iter().map(|score| (score - mean) * (score - mean)).sum::<f64>() / 3.0;
        assert!((row["score_mean"].parse::<f64>().unwrap() - mean).abs() < 1e-12);
        assert!((row["score_std"].parse::<f64>().unwrap() - variance.sqrt()).abs() < 1e-12);
    }
    let readme = std::fs::read_to_string(study.root().join("README.md")).unwrap();
    for part in
        ["# walk at scale mini", "Which walk ends lowest?", "8 (8 done, 0 diverged", "| bounded |", "± "]
    {
        assert!(readme.contains(part), "{part} in {readme}");
    }
}

#[test]
fn the_best_tuned_point_is_chosen_and_an_end_of_range_is_told() {
    let study = Study::new(&format!(
        "{FILE}[nuisance]\nrate_multiplier = [0.5, 1, 2, 4]\n[nuisance.method.plain]\nrank = [1, 2]\n"
    ));
    study.run(&["method.bounded.rate=0.8"]);
    let summary = study.rows("summary.csv");
    let trials = study.rows("trials.csv");
    for row in &summary {
        let mut means: BTreeMap<(String, String), f64> = BTreeMap::new();
        for trial in trials.iter().filter(|trial| trial["method"] == row["method"]) {
            let point = (trial["config.rate_multiplier"].clone(), trial["config.method.rank"].clone());
            *means.entry(point).or_default() += trial["score"].parse::<f64>().unwrap() / 4.0;
        }
        let best = means.values().copied().fold(f64::NEG_INFINITY, f64::max);
        assert!((row["score_mean"].parse::<f64>().unwrap() - best).abs() < 1e-12);
        let chosen = (row["best.rate_multiplier"].clone(), row["best.method.rank"].clone());
        assert!((means[&chosen] - best).abs() < 1e-12);
    }
    assert_eq!(column(&summary, "best.rate_multiplier"), ["4", "1"]);
    assert_eq!(column(&summary, "at_range_end"), ["rate_multiplier", ""]);
    assert_eq!(column(&summary, "n"), ["4", "4"]);
}

#[test]
fn a_grown_grid_runs_only_what_is_new() {
    let study = Study::new(FILE);
    study.run(&[]);
    let old = column(&study.rows("trials.csv"), "trial_id");
    let report = study.run(&["seeds=0,1,2"]);
    assert_eq!((report.done, report.skipped), (4, 8));
    assert!(study.toy.banks.borrow().iter().flatten().all(|id| !old.contains(id)));
    assert_eq!(study.rows("trials.csv").len(), 12);
    study.run(&[]);
    assert_eq!(column(&study.rows("trials.csv"), "trial_id"), old);
}

#[test]
fn divergence_is_a_result_and_is_not_run_again() {
    let study = Study::new(FILE);
    let sets = ["method=plain,wild", "method.wild.rate=30"];
    let report = study.run(&sets);
    assert_eq!((report.done, report.diverged, report.exit_code()), (4, 4, 0));
    let rows = study.rows("trials.csv");
    assert_eq!(column(&rows[4..], "status"), ["diverged"; 4]);
    assert!(rows[4..].iter().all(|row| row["diverged_step"].parse::<u64>().unwrap() > 0));
    // The last finite metrics of a diverged trial are in the table, and its step is there once.
    assert!(rows[4..].iter().all(|row| row["score"].parse::<f64>().unwrap() < -1e6));
    let header = std::fs::read_to_string(study.root().join("trials.csv")).unwrap();
    assert_eq!(header.lines().next().unwrap().matches("diverged_step").count(), 1);
    assert_eq!(study.counts(&sets), [("done", 4), ("diverged", 4)]);
    let summary = study.rows("summary.csv");
    assert_eq!(column(&summary, "diverged"), ["0", "4"]);
    assert_eq!(column(&summary, "n"), ["4", "0"]);
    assert_eq!(column(&summary, "score_mean")[1], "", "means are of finished trials");
    assert_eq!(study.run(&sets).skipped, 8);
}

/// Options that begin no bank after a failure.
fn failing_fast(study: &Study) -> RunOptions {
    RunOptions { max_failures: Some(1), ..study.options() }
}

#[test]
fn a_failing_bank_does_not_stop_the_others_and_is_tried_again() {
    for (fault, message, checkpoints) in [
        ("error", "reading the pictures: the disk is gone", 1),
        ("panic", "the workload panicked: index out of bounds in slot 0", 1),
        ("silent", "the workload returned no outcome for this trial", 0),
        ("not_a_number", "metric `score` is NaN", 0),
    ] {
        let study =
            Study::new(&FILE.replace("[method.plain]", &format!("[method.plain]\nfault = \"{fault}\"")));
        let left = || study.banks().len();
        let once = run(&study.experiment(&[]), &study.toy, &failing_fast(&study)).unwrap();
        let failed = (once.failed.len(), study.bank_sizes());
        assert_eq!(failed, (4, vec![4]), "fail_fast stops after the first bank");
        assert_eq!(left(), checkpoints, "what was trained before the fault is kept for a retry");
        let report = study.run(&[]);
        assert_eq!((report.done, report.failed.len(), report.exit_code()), (4, 4, 1), "{fault}");
        assert_eq!(report.failed[0].1, message);
        assert_eq!(left(), 0, "a checkpoint that failed twice may itself be the fault");
        assert_eq!(study.counts(&[]), [("done", 4), ("failed", 4)]);
        let rows = study.rows("trials.csv");
        assert_eq!(column(&rows, "status"), [["failed"; 4], ["done"; 4]].concat());
        assert_eq!(column(&rows[..4], "message"), [message; 4]);
        assert_eq!(study.run(&[]).skipped, 4, "only failed trials are tried again");
    }
}

#[test]
fn trials_reported_before_a_fault_in_their_bank_are_kept() {
    // With the method varying after the subject, each bank holds two plain trials, then two that fail it.
    let lists = ["method = [\"plain\", \"bounded\"]", "subject = { first = 2 }"];
    let swapped = FILE.replace(&lists.join("\n"), &[lists[1], lists[0]].join("\n"));
    let study = Study::new(&swapped.replace("rank = 4", "fault = \"panic\""));
    let report = study.run(&[]);
    let expected = ["done", "failed", "failed", "failed"];
    assert_eq!(column(&study.rows("trials.csv"), "status"), [expected, expected].concat());
    assert_eq!((report.done, report.failed.len()), (2, 6));
}

#[test]
fn an_outcome_without_the_metric_of_the_experiment_is_told() {
    let study = Study::new(&FILE.replace("metric = \"score\"", "metric = \"scroe\""));
    study.run(&[]);
    let notice = rebuild(&study.experiment(&[]), &study.toy, &study.results()).unwrap();
    assert!(notice.unwrap().starts_with("no trial has measured `scroe`"));
    assert_eq!(column(&study.rows("summary.csv"), "scroe_mean"), ["", ""]);
}

#[test]
fn a_bank_that_runs_out_of_memory_is_halved_until_it_fits() {
    let study = Study { toy: Toy { memory: Some(1), ..Toy::default() }, ..Study::new(FILE) };
    let report = study.run(&[]);
    assert_eq!((report.done, report.failed.len(), report.exit_code()), (8, 0, 0));
    // 4 fails, then 2 fails; from then on the limit of 1 is known, for each method by itself.
    assert_eq!((report.splits, study.bank_sizes()), (4, [[4, 2, 1, 1, 1, 1]; 2].concat()));
    let whole = Study::new(FILE);
    whole.run(&[]);
    assert_eq!(column(&whole.rows("trials.csv"), "score"), column(&study.rows("trials.csv"), "score"));

    let none = Study { toy: Toy { memory: Some(0), ..Toy::default() }, ..Study::new(FILE) };
    let report = none.run(&[]);
    assert_eq!((report.done, report.failed.len(), report.exit_code()), (0, 8, 1));
    assert!(report.failed[0].1.contains("out of memory"));
}

#[test]
fn a_trained_bank_that_cannot_be_scored_is_not_halved_and_goes_on_from_its_checkpoint() {
    let mut study = Study { toy: Toy { unscored: true, ..Toy::default() }, ..Study::new(FILE) };
    let report = study.run(&[]);
    assert_eq!((report.done, report.failed.len(), report.splits), (0, 8, 0));
    assert!(report.failed[0].1.contains("the training is kept"), "{}", report.failed[0].1);
    let states = || {
        let of_bank = |bank: PathBuf| std::fs::read_dir(bank).unwrap().map(|entry| entry.unwrap().path());
        study.banks().into_iter().flat_map(of_bank).filter(|path| path.join("state.json").exists()).count()
    };
    assert_eq!(states(), 2);
    study.toy.unscored = false;
    assert_eq!((study.run(&[]).done, study.bank_sizes()), (8, vec![4, 4]));
    let whole = Study::new(FILE);
    whole.run(&[]);
    assert_eq!(column(&whole.rows("trials.csv"), "score"), column(&study.rows("trials.csv"), "score"));
}

#[test]
fn a_method_that_needs_more_memory_halves_no_banks_of_others() {
    let hungry = FILE.replace("seeds = [0, 1]", "seeds = [0, 1, 2, 3]");
    let study = Study::new(&hungry.replace("[method.plain]", "[method.plain]\nfault = \"hungry\""));
    let report = study.run(&[]);
    assert_eq!((report.done, report.splits), (16, 1));
    assert_eq!(study.bank_sizes(), [4, 2, 2, 2, 2, 4, 4], "plain, then bounded");
}

#[test]
fn banks_side_by_side_give_the_tables_of_banks_in_turn() {
    let lists = |text: &str| text.replace("seeds = [0, 1]", "seeds = [0, 1, 2, 3, 4]");
    let (in_turn, mut side_by_side) = (Study::new(&lists(FILE)), Study::new(&lists(FILE)));
    side_by_side.toy.workers = 3;
    assert_eq!(in_turn.run(&[]).done, 20);
    let report = side_by_side.run(&[]);
    assert_eq!((report.done, report.skipped, report.exit_code()), (20, 0, 0));
    assert_eq!(side_by_side.bank_sizes(), [0; 0], "every bank went to a worker");
    for column_name in ["trial_id", "status", "score"] {
        let values = |study: &Study| column(&study.rows("trials.csv"), column_name);
        assert_eq!(values(&side_by_side), values(&in_turn));
    }
    assert_eq!(side_by_side.rows("summary.csv"), in_turn.rows("summary.csv"));
    assert!(is_empty(&side_by_side.root().join("checkpoints")));
    assert_eq!(side_by_side.run(&[]).skipped, 20);
}

#[test]
fn a_device_that_breaks_is_left_aside_and_its_bank_goes_to_another() {
    let many = FILE.replace("seeds = [0, 1]", "seeds = [0, 1, 2, 3, 4]");
    let toy = |broken: &[usize]| Toy { workers: 2, broken: broken.to_vec(), ..Toy::default() };
    let study = Study { toy: toy(&[1]), ..Study::new(&many) };
    let report = study.run(&[]);
    assert_eq!((report.done, report.left, report.exit_code()), (20, 0, 0));
    assert_eq!(report.broken_devices, ["cpu:1"]);
    let devices = column(&study.rows("trials.csv"), "device");
    assert!(devices.iter().all(|device| device == "cpu:0"), "{devices:?}");

    let none = Study { toy: toy(&[0, 1]), ..Study::new(&many) };
    let report = none.run(&[]);
    assert_eq!((report.done, report.failed.len(), report.left, report.exit_code()), (0, 0, 20, 1));
    assert_eq!(report.broken_devices.len(), 2);
}

#[test]
fn workers_share_what_failed_and_what_did_not_fit() {
    let faulty = FILE.replace("[method.plain]", "[method.plain]\nfault = \"panic\"");
    let study = Study { toy: Toy { memory: Some(2), workers: 2, ..Toy::default() }, ..Study::new(&faulty) };
    let report = study.run(&[]);
    assert_eq!((report.done, report.failed.len(), report.exit_code()), (4, 4, 1));
    assert!(report.splits >= 1);
    let once = Study { toy: Toy { workers: 2, ..Toy::default() }, ..Study::new(&faulty) };
    let report = run(&once.experiment(&[]), &once.toy, &failing_fast(&once)).unwrap();
    assert_eq!(report.failed.len(), 4, "fail_fast begins no bank after a failure");
}

#[test]
fn a_damaged_file_is_reported_and_only_that_trial_is_run_again() {
    let study = Study::new(FILE);
    study.run(&[]);
    let scores = column(&study.rows("trials.csv"), "score");
    let victim = column(&study.rows("trials.csv"), "trial_id")[2].clone();
    let file = study.root().join(format!("trials/{victim}.json"));
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("\"status\":\"done\"", "\"status\":\"gone\"", 1)).unwrap();
    assert_eq!(study.counts(&[]), [("done", 7), ("damaged", 1)]);
    let report = study.run(&[]);
    assert_eq!((report.done, report.skipped, report.damaged.len()), (1, 7, 1));
    let told = &report.damaged[0];
    assert!(told.contains(&victim) && told.contains("checksum"), "{told}");
    assert_eq!(*study.toy.banks.borrow(), [vec![victim]]);
    assert_eq!(column(&study.rows("trials.csv"), "score"), scores);
}

#[test]
fn results_of_another_experiment_are_taken_with_their_pictures() {
    let study = Study::new(FILE);
    study.run(&[]);
    let mut other = Study::new(&FILE.replace("\"walk\"", "\"stroll\"").replace("Which walk", "Which stroll"));
    other.folder = study.folder;
    let report = other.run(&["seeds=1,2"]);
    assert_eq!((report.done, report.reused, report.skipped, report.exit_code()), (4, 4, 0, 0));
    let root = other.folder.path().join("results/stroll/mini");
    assert_eq!(std::fs::read_dir(root.join("pictures")).unwrap().count(), 8);
    let report = other.run(&["seeds=1,2"]);
    assert_eq!((report.reused, report.skipped), (0, 8));
}

#[test]
fn a_plan_tells_trials_banks_time_and_memory_without_running() {
    let study = Study::new(FILE);
    let results = study.results();
    let all = Selection::default();
    let text = plan(&study.experiment(&[]), &study.toy, &results, &all).unwrap().to_string();
    let expected = "walk at scale mini: 8 trials (8 open)\n2 banks of 4, 4 trials, 0 of them begun, one at a time\n\
        expected time: 4m00s\nexpected memory: 4.0 GB, 400 MB of it for what the trials train\n";
    assert_eq!(text, expected);
    assert!(!results.exists());
    study.run(&["seeds=0"]);
    let plan = plan(&study.experiment(&[]), &study.toy, &results, &all).unwrap();
    assert_eq!((plan.open(), plan.states.iter().filter(|state| **state == State::Done).count()), (4, 4));
    let listing = plan.listing();
    let first = listing.lines().next().unwrap();
    assert!(first.ends_with("done     method=plain subject=ant seed=0"), "{listing}");
}

#[test]
fn of_banks_side_by_side_those_that_take_longest_begin_first() {
    let text = FILE.replace("seeds = [0, 1]", "seeds = [0, 1, 2, 3, 4]").replace("\nsteps = 5", "");
    let text = text.replace(
        "method = [\"plain\", \"bounded\"]\nsubject = { first = 2 }",
        "method = [\"plain\"]\nsteps = [3, 5]\nsubject = { first = 1 }",
    );
    let text = text.replace("[method.bounded]\nrate = 0.2\nrank = 4\n", "");
    let sizes = |measured: bool| {
        let mut study = Study::new(&text);
        (study.toy.workers, study.toy.measured) = (2, measured);
        let plan = plan(&study.experiment(&[]), &study.toy, &study.results(), &Selection::default()).unwrap();
        plan.banks.iter().map(|bank| bank.members.len()).collect::<Vec<_>>()
    };
    assert_eq!(sizes(false), [2, 3, 2, 3]);
    assert_eq!(sizes(true), [3, 3, 2, 2]);
}
