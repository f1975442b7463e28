//! Experiment files: layers, grids, identities, and what is said about mistakes.

use std::collections::BTreeSet;

use runner::Grid;
use serde_json::{Value, json};

use crate::toy::Toy;
use crate::{assert_change, assert_mistake, assert_option, assert_says, grid, load, mistake};

const FILE: &str = r#"name = "walk"
question = "Which walk ends lowest?"
task = "toy"
metric = "score"
direction = "maximize"
seeds = [0, 1]
replicates = ["seed", "subject"]

[fixed]
steps = 5

[scientific]
method = ["plain", "bounded"]
subject = { first = 2 }

[method.plain]
rate = 0.1

[method.bounded]
rate = [0.1, 0.2]
rank = 4

[scale.mini]
steps = 3

[scale.smoke]
seeds = [7]
scientific.method = ["plain"]

[scale.smoke.method.plain]
rank = 2
"#;

fn ids(grid: &Grid) -> BTreeSet<String> {
    grid.trials.iter().map(|trial| trial.id.clone()).collect()
}

#[test]
fn the_grid_is_every_combination_in_the_order_of_the_file() {
    let grid = grid(FILE, "mini", &[]);
    // plain: 2 subjects x 2 seeds; bounded: 2 subjects x 2 rates x 2 seeds.
    assert_eq!(grid.trials.len(), 4 + 8);
    assert_eq!(grid.compared, ["method", "subject", "method.rate"]);
    let first = json!({"steps": 3, "seed": 0, "subject": "ant", "method": {"name": "plain", "rate": 0.1}});
    let last = json!({"steps": 3, "seed": 1, "subject": "bee", "method": {"name": "bounded", "rate": 0.2, "rank": 4}});
    assert_eq!((&grid.trials[0].config, &grid.trials[11].config), (&first, &last));
    assert_eq!(ids(&grid).len(), 12);
}

#[test]
fn a_scale_overrides_header_axes_and_method_settings() {
    let grid = grid(FILE, "smoke", &[]);
    let configs: Vec<&Value> = grid.trials.iter().map(|trial| &trial.config).collect();
    let config = |subject| json!({"steps": 5, "seed": 7, "subject": subject, "method": {"name": "plain", "rate": 0.1, "rank": 2}});
    assert_eq!(configs, [&config("ant"), &config("bee")]);
}

#[test]
fn options_override_the_scale_leaf_by_leaf() {
    let sets = [
        "steps=9",
        "method=bounded",
        "method.bounded.rate=0.5",
        "seeds=3,4",
        "subject.folder=my dog",
        "subject.class=dog",
    ];
    let configs: Vec<Value> =
        grid(FILE, "mini", &sets).trials.iter().map(|trial| trial.config.clone()).collect();
    let config = |seed: u64| {
        json!({"steps": 9, "seed": seed, "subject": {"folder": "my dog", "class": "dog"},
            "method": {"name": "bounded", "rate": 0.5, "rank": 4}})
    };
    assert_eq!(configs, [config(3), config(4)]);
}

#[test]
fn selections_can_skip_and_tuned_lists_multiply() {
    let tuned =
        format!("{FILE}\n[nuisance]\nrate_multiplier = [1, 2, 4]\n[nuisance.method.plain]\nrank = [1, 2]\n");
    let grid = grid(&tuned, "mini", &["subject.skip=3", "seeds=[0]"]);
    assert_eq!(grid.trials.len(), 3 * 2 + 2 * 3); // plain: multipliers x ranks; bounded: rates x multipliers
    assert!(grid.trials.iter().all(|trial| trial.config["subject"] == "dog"));
    let tuned: Vec<_> = grid.tuned.iter().map(|axis| (axis.path.as_str(), axis.method.as_deref())).collect();
    assert_eq!(tuned, [("rate_multiplier", None), ("method.rank", Some("plain"))]);
}

#[test]
fn a_list_in_fixed_settings_is_a_value() {
    let text = FILE.replace("steps = 5", "steps = 5\nbetas = [0.9, 0.99]");
    let experiment = load(&text, "mini", &[]).unwrap();
    let message = experiment.grid(&Toy::default()).unwrap_err().to_string();
    assert_says(&message, "walk.toml:11: fixed.betas: unknown key…");
}

#[test]
fn ids_do_not_depend_on_order_spelling_or_text() {
    let base = ids(&grid(FILE, "mini", &[]));
    let reordered = FILE
        .replace(r#"["plain", "bounded"]"#, r#"["bounded", "plain"]"#)
        .replace("[0.1, 0.2]\nrank = 4", "[2e-1, 0.10]\nrank = 4.0")
        .replace("Which walk ends lowest?", "Another question?")
        .replace("seeds = [0, 1]", "seeds = [1, 0]");
    // A whole float is no rank, but as a number it is the same.
    assert_mistake(&reordered, "…method.bounded.rank…");
    assert_eq!(ids(&grid(&reordered.replace("4.0", "4"), "mini", &[])), base);
    assert!(ids(&grid(FILE, "mini", &["steps=4"])).is_disjoint(&base));
}

#[test]
fn a_grown_grid_keeps_its_old_ids() {
    let base = ids(&grid(FILE, "mini", &[]));
    let grown = ids(&grid(FILE, "mini", &["seeds=0,1,2", "method.plain.rate=0.1,0.3"]));
    assert!(base.is_subset(&grown) && grown.len() == 12 + 12);
}

#[test]
fn unknown_keys_are_named_with_line_and_suggestion() {
    for change in [
        ("rank = 4", "rnak = 4", "walk.toml:21: method.bounded.rnak: unknown key; did you mean `rank`?"),
        ("steps = 3", "stesp = 3", "walk.toml:24: scale.mini.stesp: unknown key; did you mean `steps`?"),
        ("seeds = [0, 1]", "seed = [0, 1]", "walk.toml:6: seed: unknown key; did you mean `seeds`?"),
    ] {
        assert_change(FILE, change);
    }
    let expected =
        "`boundde` is no method of this experiment, which compares bounded, plain; did you mean `bounded`?";
    let expected = format!("walk.toml:19: method.boundde: {expected}");
    assert_mistake(&FILE.replace("[method.bounded]", "[method.boundde]"), &expected);
    let wrong = FILE.replace(r#""bounded"]"#, r#""bouned"]"#).replace("[method.bounded]", "[method.bouned]");
    let expected = "walk.toml:13: scientific.method: `bouned`: unknown method; did you mean `bounded`?";
    assert_mistake(&wrong, expected);
    assert_option(FILE, ("stpes=4", "--set stpes=4: stpes: unknown key; did you mean `steps`?"));
    assert_eq!(mistake(FILE, "mni", &[]), "walk.toml:23: scale: `mni`: unknown scale; did you mean `mini`?");
}

#[test]
fn wrong_types_and_values_say_what_was_found_and_what_is_right() {
    let direction = "walk.toml:5: direction: `upwards`: unknown value; known: maximize, minimize…";
    for change in [
        (
            "rate = 0.1\n",
            "rate = \"fast\"\n",
            "walk.toml:17: method.plain.rate: found \"fast\"; write a number…",
        ),
        ("[0.1, 0.2]", "[0.1, -0.2]", "walk.toml:20: method.bounded.rate: found -0.2; a rate is above 0"),
        ("\"maximize\"", "\"upwards\"", direction),
        ("seeds = [0, 1]", "seeds = 3", "walk.toml:6: seeds: found 3; write a list, as in [0, 1]…"),
        ("{ first = 2 }", "{ frist = 2, first = 1 }", "walk.toml:14: scientific.subject.frist: unknown key…"),
        ("steps = 5", "steps = nan", "walk.toml:10: fixed.steps: found NaN…"),
        ("[0.1, 0.2]", "[0.1, 1e-1]", "walk.toml:20: method.bounded.rate: 0.1 stands twice…"),
        ("[0.1, 0.2]", "[]", "walk.toml:20: method.bounded.rate: found an empty list…"),
        ("steps = 5", "steps = 5\nmethod = \"plain\"", "walk.toml:11: fixed.method…"),
        ("steps = 5", "steps = = 5", "walk.toml:10: …"),
        ("\"subject\"]", "\"subjects\"]", "…did you mean `subject`?"),
    ] {
        assert_change(FILE, change);
    }
}

#[test]
fn missing_keys_are_named() {
    assert_change(FILE, ("metric = \"score\"\n", "", "walk.toml: `metric` is missing"));
    assert_change(FILE, ("rate = 0.1\n", "", "walk.toml:16: method.plain: `rate` is missing"));
}

#[test]
fn every_mistake_of_a_file_comes_at_once() {
    let wrong = FILE.replace("rank = 4", "rnak = 4").replace("rate = 0.1\n", "rate = -1\n");
    let message = mistake(&wrong, "mini", &[]);
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines.len(), 2, "{message}");
    assert_says(lines[0], "walk.toml:17: method.plain.rate…");
    assert_says(lines[1], "walk.toml:21: …");
}

#[test]
fn options_that_cannot_be_read_are_errors() {
    for option in [
        ("steps", "…write `--set key.path=value`…"),
        ("name=other", "…same at every scale…"),
        ("seed=1", "…`seeds`…"),
        ("method.rank=4", "…method.<name>.<key>…"),
        ("method.plain.rate=fast", "--set method.plain.rate=fast: method.plain.rate: …"),
    ] {
        assert_option(FILE, option);
    }
}

#[test]
fn a_file_of_another_task_is_refused() {
    assert_change(
        FILE,
        ("\"toy\"", "\"tiy\"", "walk.toml is of task `tiy`, and this is the driver of `toy`"),
    );
}

#[test]
fn texts_are_found_in_fixed_and_in_compared_settings() {
    let sets =
        ["evaluators.dino=models/dino", "model=models/a", "steps=4", "subject=cat,dog", "method=plain"];
    let experiment = load(FILE, "mini", &sets).unwrap();
    let found: Vec<(String, Vec<&str>)> = experiment.texts();
    let found: Vec<(&str, &[&str])> = found.iter().map(|(key, texts)| (key.as_str(), &texts[..])).collect();
    let expected: [(&str, &[&str]); 4] = [
        ("evaluators.dino", &["models/dino"]),
        ("model", &["models/a"]),
        ("method", &["plain"]),
        ("subject", &["cat", "dog"]),
    ];
    assert_eq!(found, expected);
}
