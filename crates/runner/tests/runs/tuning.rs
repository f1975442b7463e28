//! Settings chosen with some seeds, and tested with all.

use std::collections::BTreeMap;

use runner::{Experiment, Only, RunOptions, Selection, plan, run, status};

use crate::study::{Study, column};
use crate::toy::Toy;

/// The rate of `plain` is tuned; `bounded` has nothing to tune. A higher rate ends lower.
const FILE: &str = r#"
name = "walk"
question = "Which walk ends lowest?"
task = "toy"
metric = "score"
direction = "maximize"
seeds = [0, 1, 2]
replicates = ["seed", "subject"]
[tuning]
seeds = [0]
metric = "score"
[fixed]
steps = 5
[scientific]
method = ["plain", "bounded"]
subject = { first = 2 }
[method.bounded]
rate = 0.2
[nuisance.method.plain]
rate = [0.1, 0.2, 0.3]
"#;

type Rows = Vec<BTreeMap<String, String>>;

fn of_phase<'a>(rows: &'a Rows, method: &str, phase: &str) -> Vec<&'a BTreeMap<String, String>> {
    rows.iter().filter(|row| row["method"] == method && row["phase"] == phase).collect()
}

/// Tables without the columns that hold times.
fn tables(study: &Study) -> Vec<Rows> {
    let without_times = |mut rows: Rows| {
        for row in &mut rows {
            row.retain(|name, _| !["train_seconds", "started", "finished"].contains(&name.as_str()));
        }
        rows
    };
    ["trials.csv", "curves.csv", "summary.csv"].map(|name| without_times(study.rows(name))).into()
}

fn plan_text(study: &Study, sets: &[&str]) -> String {
    plan(&study.experiment(sets), &study.toy, &study.results(), &Selection::default()).unwrap().to_string()
}

/// Ids of the trials that are needed before anything is chosen.
fn first_round(study: &Study) -> Vec<String> {
    let plan = status(&study.experiment(&[]), &study.toy, &study.results()).unwrap();
    plan.grid.trials.iter().map(|trial| trial.id.clone()).collect()
}

#[test]
fn the_best_by_the_tuning_seeds_is_tested_with_all_seeds_in_one_run() {
    let study = Study::new(FILE);
    let report = study.run(&[]);
    // plain: 3 rates x 2 subjects, then the chosen one with 2 more seeds; bounded: 2 subjects x 3 seeds.
    assert_eq!((report.taken, report.done, report.skipped, report.left), (6 + 4 + 6, 16, 0, 0));
    let rows = study.rows("trials.csv");
    assert_eq!(rows.len(), 16);
    let tuned = |method| of_phase(&rows, method, "tuning").len();
    assert_eq!((tuned("plain"), tuned("bounded")), (4, 0));
    let tested = of_phase(&rows, "plain", "test");
    assert_eq!((tested.len(), of_phase(&rows, "bounded", "test").len()), (6, 6));
    assert!(tested.iter().all(|row| row["config.method.rate"] == "0.3"));

    let summary = study.rows("summary.csv");
    assert_eq!(column(&summary, "n"), ["6", "6"]);
    assert_eq!(column(&summary, "best.method.rate"), ["0.3", "0.2"]);
    assert_eq!(column(&summary, "at_range_end"), ["method.rate", ""]);
    let mean = tested.iter().map(|row| row["score"].parse::<f64>().unwrap()).sum::<f64>() / 6.0;
    assert!((summary[0]["score_mean"].parse::<f64>().unwrap() - mean).abs() < 1e-12);
    let readme = std::fs::read_to_string(study.root().join("README.md")).unwrap();
    for part in
        ["with seeds 0 by `score`; settings of 1 of 1 points are chosen", "| plain | 0.3 * |", "16 (16 done"]
    {
        assert!(readme.contains(part), "{part} in {readme}");
    }

    let before = tables(&study);
    let report = study.run(&[]);
    assert_eq!((report.taken, report.skipped), (0, 16));
    assert_eq!(tables(&study), before);
}

#[test]
fn a_seed_that_only_tunes_is_not_averaged_over() {
    let study = Study::new(FILE);
    let report = study.run(&["seeds=1,2", "tuning.seeds=0"]);
    assert_eq!(report.done, 6 + 4 + 4);
    let rows = study.rows("trials.csv");
    let seeds =
        |phase| of_phase(&rows, "plain", phase).iter().map(|row| row["seed"].clone()).collect::<Vec<_>>();
    assert_eq!(seeds("tuning"), ["0"; 6]);
    assert_eq!(seeds("test"), ["1", "2", "1", "2"]);
    let untuned = of_phase(&rows, "bounded", "test");
    assert!(untuned.iter().all(|row| row["seed"] != "0"), "nothing to tune, no tuning seed");
    assert_eq!(column(&study.rows("summary.csv"), "n"), ["4", "4"]);
}

#[test]
fn of_a_replicated_axis_the_first_values_tune_and_all_are_tested() {
    let study = Study::new(&FILE.replace("[fixed]", "first = { subject = 1 }\n[fixed]"));
    study.run(&[]);
    let rows = study.rows("trials.csv");
    let of = |phase: &str| of_phase(&rows, "plain", phase);
    // Three rates on one subject with one seed, of which the best is a test too; then two subjects with three seeds.
    assert_eq!((of("tuning").len(), of("test").len()), (2, 6));
    let subjects: std::collections::BTreeSet<&str> =
        of("tuning").iter().map(|row| row["subject"].as_str()).collect();
    assert_eq!(subjects.len(), 1);
    assert_eq!(of_phase(&rows, "bounded", "test").len(), 6);
}

#[test]
fn the_tuning_metric_may_be_another_than_the_experiments() {
    let text = FILE.replace("rate = [0.1, 0.2, 0.3]", "rate = [0.1]\nrank = [1, 3, 2]");
    let study = Study::new(&text);
    study.run(&["tuning.metric=num_parameters"]);
    assert_eq!(column(&study.rows("summary.csv"), "best.method.rank"), ["3", ""]);
    study.run(&["tuning.metric=num_parameters", "direction=minimize"]);
    assert_eq!(column(&study.rows("summary.csv"), "best.method.rank"), ["1", ""]);
}

#[test]
fn a_metric_that_no_tuning_trial_has_chooses_nothing_and_is_told_with_its_line() {
    let study =
        Study::new(&FILE.replace("seeds = [0]\nmetric = \"score\"", "seeds = [0]\nmetric = \"scroe\""));
    let error = run(&study.experiment(&[]), &study.toy, &study.options()).unwrap_err().to_string();
    assert!(error.contains("walk.toml:11: tuning.metric: no tuning trial has measured `scroe`; measured: num_parameters, score"), "{error}");
    assert_eq!(study.rows("trials.csv").len(), 12, "what was run is kept");
    assert_eq!(study.run(&["tuning.metric=score"]).done, 4);
}

#[test]
fn a_plan_tells_the_first_phase_and_what_tuning_will_add() {
    let study = Study::new(FILE);
    let expected = "walk at scale mini: 12 trials (12 open)\n\
        tuning: 6 trials choose the settings of 1 point, 0 chosen; choosing the rest will add 4 trials\n\
        3 banks of 4, 4, 4 trials, 0 of them begun, one at a time\n\
        expected time: 6m00s, and 2m00s for what tuning will add\n\
        expected memory: 4.0 GB, 400 MB of it for what the trials train\n";
    assert_eq!(plan_text(&study, &[]), expected);
    let mut watched = status(&study.experiment(&[]), &study.toy, &study.results()).unwrap();
    assert_eq!((watched.counts(), watched.open()), (vec![("open", 12)], 12));
    study.run(&[]);
    watched.refresh();
    assert_eq!((watched.counts(), watched.open()), (vec![("done", 16)], 12));
    let listing = watched.listing();
    for (part, lines) in [(" done     tuning method=plain", 4), (" done     test   method=", 12)] {
        assert_eq!(listing.lines().filter(|line| line.contains(part)).count(), lines, "{listing}");
    }
    let text = plan_text(&study, &[]);
    let chosen = "tuning: 6 trials choose the settings of 1 point, 1 chosen\nnothing to run";
    assert!(text.contains(&format!("16 trials (16 done)\n{chosen}")), "{text}");
}

#[test]
fn a_run_that_ends_between_the_phases_or_within_one_goes_on() {
    let whole = Study::new(FILE);
    whole.run(&[]);
    // A run of only some trials does not go on to the test.
    let between = Study::new(FILE);
    let selection = Selection { trials: first_round(&between), ..Selection::default() };
    let report = between.run_with(&[], &RunOptions { selection, ..between.options() });
    assert_eq!((report.done, report.left), (12, 0));
    assert!(plan_text(&between, &[]).contains("16 trials (12 done, 4 open)"));
    let report = between.run(&[]);
    assert_eq!((report.done, report.skipped), (4, 12));
    assert_eq!(tables(&between), tables(&whole));

    let within = Study::new(FILE);
    let stopping = Toy { stop_after: Some(2), ..Toy::default() };
    let report = run(&within.experiment(&[]), &stopping, &within.options()).unwrap();
    assert!(report.interrupted && report.done == 0);
    let selection = Selection { trials: first_round(&within), ..Selection::default() };
    within.run_with(&[], &RunOptions { selection, ..within.options() });
    let report = run(&within.experiment(&[]), &stopping, &within.options()).unwrap();
    assert!(report.interrupted && report.left == 4, "the second phase stops too");
    assert!(plan_text(&within, &[]).contains("1 bank of 4 trials, 1 of them begun"));
    assert_eq!(within.run(&[]).done, 4);
    assert_eq!(tables(&within), tables(&whole));
}

#[test]
fn a_run_of_what_is_unfinished_tests_too_and_one_of_what_failed_does_not() {
    let mut study = Study::new(FILE);
    study.toy = Toy { memory: Some(0), ..Toy::default() };
    assert_eq!(study.run(&[]).failed.len(), 12);
    study.toy = Toy::default();
    assert_eq!(study.run_only(&[], Only::Failed).done, 12);
    assert_eq!(study.run_only(&[], Only::Unfinished).done, 4);
    let other = Study::new(FILE);
    assert_eq!(other.run_only(&[], Only::Unfinished).done, 16);
}

#[test]
fn a_changed_grid_tunes_what_is_new_and_may_choose_anew() {
    let study = Study::new(FILE);
    study.run(&[]);
    let before = tables(&study);
    let grown = ["nuisance.method.plain.rate=0.1,0.2,0.3,0.5"];
    let report = study.run(&grown);
    assert_eq!((report.done, report.skipped), (2 + 4, 12));
    let rows = study.rows("trials.csv");
    assert_eq!((rows.len(), of_phase(&rows, "plain", "tuning").len()), (18, 6));
    assert!(of_phase(&rows, "plain", "test").iter().all(|row| row["config.method.rate"] == "0.5"));
    assert_eq!(study.run(&[]).taken, 0, "the old choice has its results");
    assert_eq!(tables(&study), before);
    // A list with one value leaves nothing to choose.
    let report = study.run(&["nuisance.method.plain.rate=0.3"]);
    assert_eq!((report.taken, study.rows("trials.csv").len()), (0, 12));
    assert_eq!(column(&study.rows("trials.csv"), "phase"), ["test"; 12]);
}

/// Each subject is a point of its own; that of `ant` has another number of steps, so another bank.
fn by_subject(ant: &str) -> Study {
    let file = FILE.replace(
        "replicates = [\"seed\", \"subject\"]",
        "replicates = [\"seed\"]\ndefaults_by = [\"subject\"]",
    );
    let file =
        file.replace("{ first = 2 }", "[\"ant\", \"bee\"]").replace("\"plain\", \"bounded\"]", "\"plain\"]");
    let file = file.replace("[method.bounded]\nrate = 0.2\n", "");
    Study::new(&format!("{file}[subject.ant]\nsteps = 4\n{ant}"))
}

#[test]
fn a_point_with_a_failed_trial_waits_and_the_others_go_on() {
    let study = by_subject("[subject.ant.method.plain]\nfault = \"error\"\n");
    for _ in 0..2 {
        let report = study.run(&[]);
        assert_eq!((report.failed.len(), report.exit_code()), (3, 1), "each is tried once in a run");
    }
    let rows = study.rows("trials.csv");
    assert_eq!(column(&rows, "phase"), [&["tuning"; 5][..], &["test"; 3]].concat());
    let summary = study.rows("summary.csv");
    assert_eq!(column(&summary, "subject"), ["bee"]);
    assert_eq!(column(&summary, "n"), ["3"]);
    let readme = std::fs::read_to_string(study.root().join("README.md")).unwrap();
    assert!(readme.contains("1 of 2 points are chosen\n- Not in the table, since their settings are not chosen yet: method=plain subject=ant\n"), "{readme}");
    assert!(plan_text(&study, &[]).contains("2 points, 1 chosen; choosing the rest will add 2 trials"));
    // Once as many have failed as are allowed, nothing more is begun.
    let study = by_subject("[subject.ant.method.plain]\nfault = \"error\"\n");
    let report = study.run_with(&[], &RunOptions { max_failures: Some(3), ..study.options() });
    assert_eq!((report.failed.len(), report.done), (3, 0));
}

#[test]
fn a_diverged_setting_loses_and_where_all_do_the_first_is_tested() {
    let wild = "[subject.ant.nuisance.method.plain]\nrate = [60, 50, 0.1, 40]\n";
    let study = by_subject(wild);
    let report = study.run(&[]);
    assert_eq!((report.diverged, report.exit_code()), (3, 0));
    let summary = study.rows("summary.csv");
    assert_eq!(column(&summary, "best.method.rate"), ["0.1", "0.3"]);
    assert_eq!(column(&summary, "n"), ["3", "3"]);
    assert_eq!(column(&summary, "at_range_end")[0], "method.rate", "the range is that of the subject");

    let study = by_subject(&wild.replace("0.1, ", ""));
    let report = study.run(&[]);
    assert_eq!((report.diverged, report.exit_code()), (3 + 2, 0));
    let summary = study.rows("summary.csv");
    assert_eq!(["best.method.rate", "n", "diverged"].map(|name| summary[0][name].as_str()), ["60", "0", "3"]);
}

#[test]
fn results_of_another_experiment_are_taken_in_both_phases() {
    let study = Study::new(FILE);
    study.run(&[]);
    let mut other = Study::new(&FILE.replace("\"walk\"", "\"stroll\""));
    other.folder = study.folder;
    let report = other.run(&[]);
    assert_eq!((report.reused, report.taken, report.skipped), (16, 0, 0));
}

#[test]
fn mistakes_in_the_table_are_named() {
    let study = Study::new(FILE);
    let path = study.folder.path().join("walk.toml");
    let mistake = |from: &str, to: &str, sets: &[&str]| {
        assert!(FILE.contains(from), "{from:?}");
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        let experiment = Experiment::parse(&path, &FILE.replace(from, to), "mini", &sets);
        let error = experiment.and_then(|experiment| experiment.grid(&study.toy)).unwrap_err().to_string();
        error.replace(&format!("{}/", study.folder.path().display()), "")
    };
    let table = "[tuning]\nseeds = [0]\nmetric = \"score\"";
    for (from, to, expected) in [
        (table, "[tuning]\nseeds = [0]", "walk.toml:9: tuning: `metric` is missing"),
        ("seeds = [0]\n", "seed = [0]\n", "walk.toml:10: tuning.seed: unknown key; did you mean `seeds`?"),
        ("[0]\n", "[0, 0]\n", "walk.toml:10: tuning.seeds: 0 stands twice in the list; remove one"),
        (
            "[fixed]",
            "first = { subject = 0 }\n[fixed]",
            "walk.toml:12: tuning.first.subject: found 0; it has to be at least 1",
        ),
    ] {
        assert_eq!(mistake(from, to, &[]), expected);
    }
    for (from, to, sets, start) in [
        ("seeds = [0]\n", "seeds = []\n", &[][..], "walk.toml:10: tuning.seeds: found no seed"),
        (table, "tuning = 3", &[], "walk.toml:9: tuning: found 3"),
        ("[tuning]", "[tuning]", &["tuning.sed=1"], "--set tuning.sed=1: tuning.sed: unknown key"),
    ] {
        let message = mistake(from, to, sets);
        assert!(message.starts_with(start), "{message}");
    }
    let subjects = mistake("[fixed]", "first = { subjects = 1 }\n[fixed]", &[]);
    assert!(subjects.contains("did you mean `subject`"), "{subjects}");
}
