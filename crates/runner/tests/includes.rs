//! Experiment files that include others.

#[path = "../examples/toy/workload.rs"]
mod toy;

use runner::{Experiment, Grid};
use tempfile::TempDir;
use toy::Toy;

const FILE: &str = r#"name = "walk"
question = "Which walk ends lowest?"
task = "toy"
metric = "score"
direction = "maximize"
include = ["tasks/ant.toml", "tasks/bee.toml"]
defaults_by = ["subject"]

[fixed]
steps = 1

[scientific]
method = ["plain"]
subject = ["ant", "bee"]

[method.plain]
rate = 0.1

[scale.mini]
"#;

const ANT: &str = "[subject.ant]\nsteps = 2\n[subject.ant.method.plain]\nrank = 3\n";
const BEE: &str = "[subject.bee]\nsteps = 4\n";

fn folder(main: &str, ant: &str, bee: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tasks")).unwrap();
    for (name, text) in [("walk.toml", main), ("tasks/ant.toml", ant), ("tasks/bee.toml", bee)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn load(main: &str, ant: &str, bee: &str, sets: &[&str]) -> Result<Grid, String> {
    let folder = folder(main, ant, bee);
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    Experiment::load(&folder.path().join("walk.toml"), "mini", &sets)
        .and_then(|experiment| experiment.grid(&Toy::default()))
        .map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

fn mistake(main: &str, ant: &str, bee: &str) -> String {
    load(main, ant, bee, &[]).unwrap_err()
}

fn settings(grid: &Grid, key: &str) -> Vec<i64> {
    grid.trials
        .iter()
        .map(|trial| trial.config.pointer(key).and_then(|value| value.as_i64()).unwrap_or(0))
        .collect()
}

#[test]
fn included_settings_lie_beneath_the_files_own_and_beneath_options() {
    let grid = load(FILE, ANT, BEE, &[]).unwrap();
    assert_eq!((settings(&grid, "/steps"), settings(&grid, "/method/rank")), (vec![2, 4], vec![3, 0]));
    let own = format!("{FILE}[subject.ant]\nsteps = 7\n");
    let grid = load(&own, ANT, BEE, &[]).unwrap();
    assert_eq!((settings(&grid, "/steps"), settings(&grid, "/method/rank")), (vec![7, 4], vec![3, 0]));
    let grid = load(&own, ANT, BEE, &["subject.ant.steps=9", "method.plain.rank=5"]).unwrap();
    assert_eq!((settings(&grid, "/steps"), settings(&grid, "/method/rank")), (vec![9, 4], vec![5, 5]));
    let grid = load(FILE, ANT, "[fixed]\nsteps = 6\n[scale.mini.method.plain]\nrank = 8\n", &[]).unwrap();
    assert_eq!((settings(&grid, "/steps"), settings(&grid, "/method/rank")), (vec![2, 1], vec![8, 8]));
}

#[test]
fn what_is_included_and_what_is_written_out_are_the_same_trials() {
    let ids = |grid: Grid| grid.trials.into_iter().map(|trial| trial.id).collect::<Vec<_>>();
    let written = FILE.replace("include = [\"tasks/ant.toml\", \"tasks/bee.toml\"]\n", "") + ANT + BEE;
    assert_eq!(ids(load(FILE, ANT, BEE, &[]).unwrap()), ids(load(&written, "", "", &[]).unwrap()));
}

#[test]
fn mistakes_in_an_included_file_name_it_and_its_line() {
    let wrong = ANT.replace("steps", "stesp");
    assert_eq!(
        mistake(FILE, &wrong, BEE),
        "tasks/ant.toml:2: subject.ant.stesp: unknown key; did you mean `steps`?"
    );
    let wrong = ANT.replace("rank = 3", "rank = -3");
    assert!(
        mistake(FILE, &wrong, BEE).starts_with("tasks/ant.toml:4: subject.ant.method.plain.rank: found -3")
    );
    assert!(mistake(FILE, ANT, "[subject.bee]\nsteps = = 4").starts_with("tasks/bee.toml:2: "));
    assert!(
        mistake(FILE, ANT, "[subject.bee]\nsteps = nan")
            .starts_with("tasks/bee.toml:2: subject.bee.steps: found NaN")
    );
    assert_eq!(
        mistake(FILE, ANT, "steps = 4\n"),
        "tasks/bee.toml:1: steps: unknown key; did you mean `seeds`? settings of the trials belong under [fixed]"
    );
    let wrong = format!("{FILE}[subject.ant]\nsteps = \"few\"\n");
    assert!(mistake(&wrong, ANT, BEE).starts_with("walk.toml:21: subject.ant.steps: found \"few\""));
}

#[test]
fn a_key_in_two_included_files_is_an_error_that_names_both() {
    let twice = format!("{BEE}[subject.ant.method.plain]\nrank = 5\n");
    assert_eq!(
        mistake(FILE, ANT, &twice),
        "tasks/bee.toml:4: subject.ant.method.plain.rank: stands in tasks/ant.toml:4 too; keep one of them"
    );
    // A table in both is no clash, but a table and a value are.
    assert!(
        load(
            FILE,
            ANT,
            &format!("{BEE}[subject.ant.method.plain]\nrate = 0.5\n[subject.ant.nuisance]\n"),
            &[]
        )
        .is_ok()
    );
    assert!(
        mistake(FILE, ANT, "[subject.ant]\nmethod = 3\n")
            .starts_with("tasks/bee.toml:2: subject.ant.method: stands in tasks/ant.toml:3 too")
    );
}

#[test]
fn included_files_hold_settings_only() {
    let expected = "an included file holds tables of settings only; this goes into walk.toml";
    for key in ["seeds = [1]", "include = [\"bee.toml\"]", "metric = \"score\"", "defaults_by = []"] {
        let name = key.split(' ').next().unwrap();
        assert_eq!(
            mistake(FILE, &format!("{key}\n{ANT}"), BEE),
            format!("tasks/ant.toml:1: {name}: {expected}")
        );
    }
}

#[test]
fn the_list_of_files_is_checked() {
    let found =
        |list: &str| mistake(&FILE.replace("[\"tasks/ant.toml\", \"tasks/bee.toml\"]", list), ANT, BEE);
    assert!(
        found("\"tasks/ant.toml\"")
            .starts_with("walk.toml:6: include: found \"tasks/ant.toml\"; write a list of files")
    );
    assert_eq!(
        found("[\"tasks/ant.toml\", \"tasks/ant.toml\"]"),
        "walk.toml:6: include: \"tasks/ant.toml\" stands twice; remove one"
    );
    let message = found("[\"tasks/cat.toml\"]");
    assert!(message.starts_with("walk.toml:6: include: cannot read tasks/cat.toml: "), "{message}");
    assert!(message.ends_with("paths are relative to this file"), "{message}");
    assert!(load(FILE, ANT, BEE, &["include=[]"]).unwrap_err().contains("is the same at every scale"));
}

#[test]
fn a_shared_file_may_have_names_that_are_not_compared_but_none_that_the_task_does_not_know() {
    let shared =
        "[subject.dog]\nsteps = 4\n[subject.ant.method.bounded]\nrank = 1\n[method.wild]\nrate = 1\n";
    let grid = load(FILE, ANT, &format!("{shared}[subject.bee]\nsteps = 4\n"), &[]).unwrap();
    assert_eq!(settings(&grid, "/steps"), [2, 4]);
    assert_eq!(
        mistake(FILE, ANT, "[subject.dgo]\nsteps = 4\n"),
        "tasks/bee.toml:1: subject.dgo: `dgo`: unknown subject; did you mean `dog`?"
    );
    assert_eq!(
        mistake(FILE, ANT, "[subject.ant.method.bouded]\nrank = 4\n"),
        "tasks/bee.toml:1: subject.ant.method.bouded: `bouded`: unknown method; did you mean `bounded`?"
    );
}
