//! Experiment files that include others.

use runner::{Experiment, Grid};
use tempfile::TempDir;

use crate::{assert_says, grid_of};

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
        .map_err(|error| error.to_string())
        .and_then(|experiment| grid_of(&experiment))
        .map_err(|message| message.replace(&format!("{}/", folder.path().display()), ""))
}

#[track_caller]
fn assert_mistake((main, ant, bee): (&str, &str, &str), expected: &str) {
    assert_says(&load(main, ant, bee, &[]).unwrap_err(), expected);
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
    let ids = |grid: Grid| grid.trials.iter().map(|trial| trial.id.clone()).collect::<Vec<_>>();
    let written = FILE.replace("include = [\"tasks/ant.toml\", \"tasks/bee.toml\"]\n", "") + ANT + BEE;
    assert_eq!(ids(load(FILE, ANT, BEE, &[]).unwrap()), ids(load(&written, "", "", &[]).unwrap()));
}

#[test]
fn mistakes_in_an_included_file_name_it_and_its_line() {
    let key = "tasks/ant.toml:2: subject.ant.stesp: unknown key; did you mean `steps`?";
    assert_mistake((FILE, &ANT.replace("steps", "stesp"), BEE), key);
    let rank = "tasks/ant.toml:4: subject.ant.method.plain.rank: found -3…";
    assert_mistake((FILE, &ANT.replace("rank = 3", "rank = -3"), BEE), rank);
    for (bee, expected) in [
        ("[subject.bee]\nsteps = = 4", "tasks/bee.toml:2: …"),
        ("[subject.bee]\nsteps = nan", "tasks/bee.toml:2: subject.bee.steps: found NaN…"),
        (
            "steps = 4\n",
            "tasks/bee.toml:1: steps: unknown key; did you mean `seeds`? settings of the trials belong under [fixed]",
        ),
    ] {
        assert_mistake((FILE, ANT, bee), expected);
    }
    let wrong = format!("{FILE}[subject.ant]\nsteps = \"few\"\n");
    assert_mistake((&wrong, ANT, BEE), "walk.toml:21: subject.ant.steps: found \"few\"…");
}

#[test]
fn a_key_in_two_included_files_is_an_error_that_names_both() {
    let twice = format!("{BEE}[subject.ant.method.plain]\nrank = 5\n");
    let rank = "tasks/bee.toml:4: subject.ant.method.plain.rank";
    assert_mistake((FILE, ANT, &twice), &format!("{rank}: stands in tasks/ant.toml:4 too; keep one of them"));
    // A table in both is no clash, but a table and a value are.
    let other = format!("{BEE}[subject.ant.method.plain]\nrate = 0.5\n[subject.ant.nuisance]\n");
    assert!(load(FILE, ANT, &other, &[]).is_ok());
    let clash = "tasks/bee.toml:2: subject.ant.method: stands in tasks/ant.toml:3 too…";
    assert_mistake((FILE, ANT, "[subject.ant]\nmethod = 3\n"), clash);
}

#[test]
fn included_files_hold_settings_only() {
    let expected = "an included file holds tables of settings only; this goes into walk.toml";
    for key in ["seeds = [1]", "include = [\"bee.toml\"]", "metric = \"score\"", "defaults_by = []"] {
        let name = key.split(' ').next().unwrap();
        let ant = format!("{key}\n{ANT}");
        assert_mistake((FILE, &ant, BEE), &format!("tasks/ant.toml:1: {name}: {expected}"));
    }
}

#[test]
fn the_list_of_files_is_checked() {
    let no_list = "walk.toml:6: include: found \"tasks/ant.toml\"; write a list of files…";
    let twice = "walk.toml:6: include: \"tasks/ant.toml\" stands twice; remove one";
    for (list, expected) in [
        ("\"tasks/ant.toml\"", no_list),
        ("[\"tasks/ant.toml\", \"tasks/ant.toml\"]", twice),
        ("[\"tasks/cat.toml\"]", "walk.toml:6: include: cannot read tasks/cat.toml: …"),
        ("[\"tasks/cat.toml\"]", "…paths are relative to this file"),
    ] {
        assert_mistake((&FILE.replace("[\"tasks/ant.toml\", \"tasks/bee.toml\"]", list), ANT, BEE), expected);
    }
    assert!(load(FILE, ANT, BEE, &["include=[]"]).unwrap_err().contains("is the same at every scale"));
}

#[test]
fn a_shared_file_may_have_names_that_are_not_compared_but_none_that_the_task_does_not_know() {
    let shared =
        "[subject.dog]\nsteps = 4\n[subject.ant.method.bounded]\nrank = 1\n[method.wild]\nrate = 1\n";
    let grid = load(FILE, ANT, &format!("{shared}[subject.bee]\nsteps = 4\n"), &[]).unwrap();
    assert_eq!(settings(&grid, "/steps"), [2, 4]);
    for (bee, expected) in [
        (
            "[subject.dgo]\nsteps = 4\n",
            "tasks/bee.toml:1: subject.dgo: `dgo`: unknown subject; did you mean `dog`?",
        ),
        (
            "[subject.ant.method.bouded]\nrank = 4\n",
            "tasks/bee.toml:1: subject.ant.method.bouded: `bouded`: unknown method; did you mean `bounded`?",
        ),
    ] {
        assert_mistake((FILE, ANT, bee), expected);
    }
}
