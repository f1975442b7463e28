//! Settings for the trials of one value of a compared setting: which layer wins, and what is said about mistakes.

use runner::Grid;
use serde_json::{Value, json};

use crate::{assert_change, assert_mistake, assert_option, grid};

const FILE: &str = r#"name = "walk"
question = "Which walk ends lowest?"
task = "toy"
metric = "score"
direction = "maximize"
defaults_by = ["subject"]

[fixed]
steps = 1

[scientific]
method = ["plain", "bounded"]
subject = ["ant", "bee"]

[method.plain]
rate = 0.1
[method.bounded]
rate = 0.2
rank = 4

[subject.ant]
steps = 2
[subject.ant.method.bounded]
rank = 8

[scale.mini]
[scale.smoke]
scientific.subject = ["bee"]
[scale.fast]
steps = 3
[scale.tuned.subject.ant]
steps = 4
[scale.tuned.subject.ant.method.bounded]
rank = 16
"#;

/// One setting of plain ant, plain bee, bounded ant, bounded bee.
fn values(grid: &Grid, path: &str) -> Vec<Value> {
    let get = |config: &Value| config.pointer(&format!("/{}", path.replace('.', "/"))).cloned();
    grid.trials.iter().map(|trial| get(&trial.config).unwrap_or_default()).collect()
}

#[test]
fn a_table_of_a_value_is_for_its_trials_and_is_no_setting_itself() {
    let grid = grid(FILE, "mini", &[]);
    let configs: Vec<&Value> = grid.trials.iter().map(|trial| &trial.config).collect();
    let config =
        |subject, steps, method| json!({"steps": steps, "seed": 0, "subject": subject, "method": method});
    let plain = json!({"name": "plain", "rate": 0.1});
    let bounded = |rank| json!({"name": "bounded", "rate": 0.2, "rank": rank});
    let of_plain = [config("ant", 2, plain.clone()), config("bee", 1, plain)];
    let of_bounded = [config("ant", 2, bounded(8)), config("bee", 1, bounded(4))];
    assert_eq!(configs, of_plain.iter().chain(&of_bounded).collect::<Vec<_>>());
    assert_eq!(grid.compared, ["method", "subject"]);
}

#[test]
fn each_layer_wins_over_the_ones_before() {
    let steps = |scale, sets: &[&str]| values(&grid(FILE, scale, sets), "steps");
    let ranks = |scale, sets: &[&str]| values(&grid(FILE, scale, sets), "method.rank");
    assert_eq!(steps("mini", &[]), [2, 1, 2, 1]);
    assert_eq!(steps("fast", &[]), [3; 4], "the scale's general settings over the file's tables");
    assert_eq!(steps("tuned", &[]), [4, 1, 4, 1]);
    assert_eq!(steps("tuned", &["steps=9"]), [9; 4], "a general option over every table");
    assert_eq!(steps("tuned", &["subject.ant.steps=7", "steps=9"]), [7, 9, 7, 9]);
    assert_eq!(steps("mini", &["subject.bee.steps=7"]), [2, 7, 2, 7]);
    assert_eq!(ranks("mini", &[])[2..], [8, 4]);
    assert_eq!(ranks("tuned", &[])[2..], [16, 4]);
    assert_eq!(ranks("tuned", &["method.bounded.rank=32"])[2..], [32, 32]);
    assert_eq!(ranks("mini", &["subject.bee.method.bounded.rank=2"])[2..], [8, 2]);
    assert_eq!(grid(FILE, "mini", &["subject={skip=3, first=1}"]).trials[0].config["subject"], "dog");
}

#[test]
fn a_method_has_plain_settings_for_all_its_trials_and_for_those_of_a_value() {
    let text = FILE.replace("rank = 4\n", "rank = 4\nfixed.steps = 5\n");
    let steps = |text: &str, scale, sets: &[&str]| values(&grid(text, scale, sets), "steps");
    assert_eq!(steps(&text, "mini", &[]), [2, 1, 2, 5], "a value's table wins over the method's");
    let both = text.replace("rank = 8\n", "rank = 8\nfixed = { steps = 6 }\n");
    assert_eq!(steps(&both, "mini", &[]), [2, 1, 6, 5], "a value's and a method's over both");
    assert_eq!(steps(&both, "fast", &[]), [3; 4]);
    assert_eq!(steps(&both, "mini", &["method.plain.fixed.steps=8"]), [8, 8, 6, 5]);
    let wrong = both.replace("fixed = { steps", "fixed = { stesp");
    let expected = "walk.toml:26: subject.ant.method.bounded.fixed.stesp: unknown key; did you mean `steps`?";
    assert_mistake(&wrong, expected);
}

#[test]
fn a_file_without_tables_of_values_has_the_ids_that_it_had() {
    let plain = |steps: u32| {
        let start = FILE.find("[subject.ant]").unwrap();
        FILE[..start]
            .replace("defaults_by = [\"subject\"]\n", "")
            .replace("steps = 1", &format!("steps = {steps}"))
    };
    let ids =
        |text: &str| grid(text, "mini", &[]).trials.iter().map(|trial| trial.id.clone()).collect::<Vec<_>>();
    let (one, two, tables) = (ids(&plain(1)), ids(&plain(2)), ids(FILE));
    assert_eq!((&tables[1], &tables[3]), (&one[1], &one[3]));
    assert_eq!(tables[0], two[0], "what a trial is does not depend on where its settings stand");
}

#[test]
fn a_table_replaces_the_list_of_an_axis_and_the_order_of_the_file_stays() {
    let tuned =
        format!("{FILE}[nuisance]\nrate_multiplier = [1, 2, 4]\n[nuisance.method.bounded]\nrank = [1, 2]\n");
    let text = tuned
        .replace("[subject.ant]\nsteps = 2", "[subject.ant]\nsteps = 2\nrate_multiplier = [4, 8]")
        .replace("rank = 4\n", "")
        .replace("rank = 8", "rank = 3");
    let grid = grid(&text, "mini", &[]);
    let rows: Vec<String> = grid
        .trials
        .iter()
        .map(|trial| {
            let settings = grid.settings(trial).filter(|(key, _)| *key != "seed");
            settings.map(|(_, value)| value).collect::<Vec<_>>().join(" ")
        })
        .collect();
    let plain = "plain ant 4, plain ant 8, plain bee 1, plain bee 2, plain bee 4";
    let of_ant = "bounded ant 4 3, bounded ant 8 3";
    let of_bee = [1, 2, 4].map(|rate| format!("bounded bee {rate} 1, bounded bee {rate} 2")).join(", ");
    assert_eq!(rows.join(", "), format!("{plain}, {of_ant}, {of_bee}"));
    let of_ant =
        grid.tuned.iter().find(|axis| axis.of == [("subject".to_string(), "ant".to_string())]).unwrap();
    assert_eq!((of_ant.path.as_str(), &of_ant.values), ("rate_multiplier", &vec![json!(4), json!(8)]));

    // A list for a setting that is no axis is a value.
    assert_change(FILE, ("steps = 2", "steps = [2, 3]", "walk.toml:22: subject.ant.steps: found a list…"));
    // For a method's own setting it is compared, as in the method's general table.
    let compared = crate::grid(&FILE.replace("rank = 8", "rank = [8, 9]"), "mini", &[]);
    assert_eq!(values(&compared, "method.rank")[2..], [8, 9, 4]);
    assert_eq!(compared.compared, ["method", "subject", "method.rank"]);
}

#[test]
fn an_axis_may_be_narrowed_although_other_values_have_tables() {
    assert_eq!(grid(FILE, "mini", &["subject=bee"]).trials.len(), 2);
    assert_eq!(grid(FILE, "smoke", &[]).trials.len(), 2);
    assert_eq!(values(&grid(FILE, "smoke", &["subject=ant"]), "steps"), [2, 2]);
    assert_eq!(grid(FILE, "mini", &["method=plain"]).trials.len(), 2);
}

#[test]
fn misspelt_values_methods_and_keys_are_named_with_their_line() {
    let unknown =
        "`atn` is no value of `subject` in this experiment, which compares ant, bee; did you mean `ant`?";
    let said = format!("walk.toml:21: subject.atn: {unknown}");
    assert_change(FILE, ("\n[subject.ant]\n", "\n[subject.atn]\n", &said));
    let said = format!("--set subject.atn.steps=3: subject.atn.steps: {unknown}");
    assert_option(FILE, ("subject.atn.steps=3", &said));
    let method = ("\n[subject.ant.method.bounded]", "\n[subject.ant.method.boundde]");
    assert_change(FILE, (method.0, method.1, "walk.toml:24: subject.ant.method.boundde.rank: …"));
    assert_change(FILE, (method.0, method.1, "…did you mean `bounded`?"));
    let same = "…walk.toml:22: subject.ant.seeds: `seeds` is the same for every value of `subject`…";
    for change in [
        ("steps = 2", "stesp = 2", "walk.toml:22: subject.ant.stesp: unknown key; did you mean `steps`?"),
        (
            "rank = 8",
            "rnak = 8",
            "walk.toml:24: subject.ant.method.bounded.rnak: unknown key; did you mean `rank`?",
        ),
        ("steps = 2", "seeds = [2]", same),
        ("steps = 2", "subject = \"bee\"", "…`subject` is the same for every value…"),
    ] {
        assert_change(FILE, change);
    }
    let wrong =
        FILE.replace("[scale.tuned.subject.ant]\nsteps = 4", "[scale.mini.subject.bee]\nsteps = \"few\"");
    let expected = "walk.toml:31: scale.mini.subject.bee.steps: found \"few\"…";
    assert_mistake(&wrong.replace("[scale.mini]\n", ""), expected);
    for option in [
        ("subject.ant.steps=few", "--set subject.ant.steps=few: subject.ant.steps: found \"few\"…"),
        ("subject.ant=3", "…settings for a value are a table, as in [subject.ant]…"),
    ] {
        assert_option(FILE, option);
    }
}

#[test]
fn what_has_tables_is_a_compared_setting_with_names() {
    let missing =
        "for tables of the values of `subject` write `defaults_by = [\"subject\"]` at the top of walk.toml";
    let [absent, empty] =
        ["walk.toml:21: subject", "walk.toml:6: defaults_by"].map(|place| format!("{place}: {missing}"));
    let misspelt = "walk.toml:6: defaults_by: `subejct`: unknown compared setting; did you mean `subject`?";
    let other = "walk.toml:6: defaults_by: `steps`: unknown compared setting; known: method, subject";
    let table =
        "walk.toml:17: method.plain.fixed: found \"few\"; write it as a table, as in [method.plain.fixed]";
    let twice = "walk.toml:13: scientific.subject: \"ant\" stands twice…";
    for change in [
        ("[\"subject\"]", "[\"subejct\"]", misspelt),
        ("defaults_by = [\"subject\"]\n", "\n", absent.as_str()),
        ("[\"subject\"]\n", "[]\n", empty.as_str()),
        ("rate = 0.1", "rate = 0.1\nfixed = \"few\"", table),
        ("[\"subject\"]", "[\"subject\", \"steps\"]", other),
        (
            "[\"subject\"]",
            "[\"subject\", \"method\"]",
            "walk.toml:6: defaults_by: `method` has its own tables…",
        ),
        ("[\"ant\", \"bee\"]", "[\"ant\", \"ant\"]", twice),
    ] {
        assert_change(FILE, change);
    }
    let names = "…found 1; `defaults_by` is for settings whose values are names…";
    assert_option(FILE, ("subject=1,2", names));
    assert_option(FILE, ("defaults_by=[]", "…is the same at every scale…"));
}
