//! Mistakes in experiment files and in options, each with the message that a user sees.
//!
//! To see what changed: `cargo insta review`, or read the snapshot's difference.

use std::fmt::Write;

use crate::mistake as message;

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

[nuisance]
rate_multiplier = [1, 2]

[scale.mini]
steps = 3

[scale.smoke]
seeds = [7]
"#;

/// What a user did, the text that was replaced, and what stands there instead.
const IN_THE_FILE: [(&str, &str, &str); 47] = [
    // TOML
    ("a value is missing", "steps = 5", "steps ="),
    ("two equal signs", "steps = 5", "steps = = 5"),
    ("a bracket is not closed", "seeds = [0, 1]", "seeds = [0, 1"),
    ("a quote is not closed", "\"walk\"", "\"walk"),
    ("a name without quotes", "\"maximize\"", "maximize"),
    ("a key stands twice", "steps = 5", "steps = 5\nsteps = 6"),
    ("a table stands twice", "[nuisance]", "[method.plain]\nrank = 1\n[nuisance]"),
    ("a decimal comma", "rate = 0.1\n", "rate = 0,1\n"),
    ("a date", "steps = 5", "steps = 2026-01-31"),
    ("not a number", "steps = 5", "steps = nan"),
    ("infinity", "rate = 0.1\n", "rate = inf\n"),
    ("a dot in a quoted key", "steps = 5", "\"steps.more\" = 5"),
    // the header
    ("no name", "name = \"walk\"\n", ""),
    ("no question", "question = \"Which walk ends lowest?\"\n", ""),
    ("no metric", "metric = \"score\"\n", ""),
    ("no direction", "direction = \"maximize\"\n", ""),
    ("a direction that is none", "\"maximize\"", "\"up\""),
    ("a metric that is a list", "\"score\"", "[\"score\"]"),
    ("a name with a slash", "\"walk\"", "\"my/walk\""),
    ("an empty name", "\"walk\"", "\"\""),
    ("seed instead of seeds", "seeds = [0, 1]", "seed = [0, 1]"),
    ("one seed without brackets", "seeds = [0, 1]", "seeds = 3"),
    ("a seed below zero", "seeds = [0, 1]", "seeds = [-1]"),
    ("a seed that is a word", "seeds = [0, 1]", "seeds = [\"zero\"]"),
    ("no seed", "seeds = [0, 1]", "seeds = []"),
    ("a seed twice", "seeds = [0, 1]", "seeds = [0, 0]"),
    ("replicates of something that is no axis", "\"subject\"]", "\"subjects\"]"),
    ("a misspelt section", "[fixed]", "[fixd]"),
    ("a setting above the sections", "task = \"toy\"", "task = \"toy\"\nsteps = 3"),
    ("a section that there is not", "[fixed]", "[extra]\nsteps = 1\n[fixed]"),
    ("a section that is a value", "[fixed]\nsteps = 5\n", "fixed = 5\n"),
    ("another task", "\"toy\"", "\"tyo\""),
    // settings
    ("a misspelt setting", "steps = 5", "stesp = 5"),
    ("a misspelt setting of a scale", "[scale.mini]\nsteps", "[scale.mini]\nstep"),
    ("a misspelt setting of a method", "rank = 4", "rnak = 4"),
    ("a setting of a method that it does not have", "rank = 4", "rank = 4\nmomentum = 0.9"),
    ("a text for a number", "rate = 0.1\n", "rate = \"fast\"\n"),
    ("a fraction for a whole number", "rank = 4", "rank = 4.5"),
    ("a list for a fixed number", "steps = 3", "steps = [3]"),
    ("a value out of its range", "rate = 0.1\n", "rate = -0.1\n"),
    ("one bad value in a list", "rate = [0.1, 0.2]", "rate = [0.1, 0]"),
    ("a value twice in a list", "rate = [0.1, 0.2]", "rate = [0.1, 1e-1]"),
    ("an empty list", "rate = [0.1, 0.2]", "rate = []"),
    ("a missing setting", "rate = 0.1\n", ""),
    ("one setting in two sections", "steps = 5", "steps = 5\nrate_multiplier = 1"),
    ("a seed among the settings", "steps = 5", "steps = 5\nseed = 3"),
    ("a misspelt choice of subjects", "{ first = 2 }", "{ frist = 2, first = 1 }"),
];

/// The same, of methods and scales.
const OF_METHODS: [(&str, &str, &str); 10] = [
    ("a misspelt method", "\"bounded\"]", "\"bouned\"]"),
    ("a method that is not known", "\"bounded\"]", "\"bounded\", \"adam\"]"),
    ("a method's table of another name", "[method.bounded]", "[method.boundde]"),
    ("a method in the fixed settings", "steps = 5", "steps = 5\nmethod = \"plain\""),
    ("a method in the tuned settings", "rate_multiplier = [1, 2]", "method = [\"plain\"]"),
    ("methods that are numbers", "[\"plain\", \"bounded\"]", "[1, 2]"),
    ("a method twice", "[\"plain\", \"bounded\"]", "[\"plain\", \"bounded\", \"plain\"]"),
    ("no method", "[\"plain\", \"bounded\"]", "[]"),
    ("a method's settings that are a value", "[method.plain]\nrate = 0.1\n", "[method]\nplain = 0.1\n"),
    ("a scale that is a value", "[scale.smoke]\nseeds = [7]\n", "[scale]\nsmoke = 7\n"),
];

/// Options that were given.
const IN_OPTIONS: [(&str, &[&str]); 13] = [
    ("no equal sign", &["steps"]),
    ("no value", &["steps="]),
    ("no key", &["=5"]),
    ("two dots", &["method..rate=1"]),
    ("a misspelt setting", &["stpes=4"]),
    ("a text for a number", &["method.plain.rate=fast"]),
    ("a setting of all methods", &["method.rank=4"]),
    ("a setting of a misspelt method", &["method.bouded.rank=4"]),
    ("a misspelt method", &["method=plian"]),
    ("seed instead of seeds", &["seed=1"]),
    ("another name", &["name=other"]),
    ("a whole section", &["fixed=3"]),
    ("two mistakes at once", &["method.plain.rate=-1", "method.bounded.rank=no"]),
];

#[test]
fn each_mistake_has_a_message_that_says_where_what_and_what_would_be_right() {
    let mut told = String::new();
    for (mistake, from, to) in IN_THE_FILE.iter().chain(&OF_METHODS) {
        assert_eq!(FILE.matches(from).count(), 1, "{from:?}");
        let message = message(&FILE.replace(from, to), "mini", &[]);
        assert!(message.starts_with("walk.toml"), "{mistake}: {message}");
        writeln!(told, "{mistake}\n    {}\n", message.replace('\n', "\n    ")).unwrap();
    }
    for (mistake, sets) in IN_OPTIONS {
        let message = message(FILE, "mini", sets);
        assert!(message.starts_with("--set "), "{mistake}: {message}");
        writeln!(told, "option, {mistake}\n    {}\n", message.replace('\n', "\n    ")).unwrap();
    }
    for (mistake, scale) in [("a misspelt scale", "mni"), ("a scale that is not there", "paper")] {
        writeln!(told, "{mistake}\n    {}\n", message(FILE, scale, &[])).unwrap();
    }
    insta::assert_snapshot!(told.trim_end());
}

#[test]
fn a_mistake_that_an_option_makes_blames_the_option_and_no_line_of_the_file() {
    for sets in [
        ["method=[]"],
        ["method=[1, 2]"],
        ["scientific.method=3"],
        ["scientific.steps=[3, 4]"],
        ["nuisance.steps=[3, 4]"],
        ["nuisance.method=plain"],
        ["fixed.method=plain"],
        ["seeds=[]"],
        ["seeds=-1"],
        ["seeds=0,0"],
        ["replicates=[\"sbject\"]"],
        ["direction=up"],
        ["steps=[3]"],
        ["fixed.steps=-3"],
        ["method.bounded.rate=[0.1, 0.1]"],
        ["method.bounded.rate=[0.1, -0.1]"],
        ["method.bounded.fixed.steps=-1"],
        ["method.bounded={}"],
        ["rate_multiplier=[]"],
        ["nuisance.rate_multiplier=[1, 1]"],
        ["subject.first=0"],
        ["subject.skip=4"],
        ["subject.first=few"],
    ] {
        let message = message(FILE, "mini", &sets);
        assert!(message.starts_with(&format!("--set {}", sets[0])), "{sets:?}: {message}");
        assert!(!message.contains("walk.toml:"), "{sets:?}: {message}");
    }
    // A mistake of the file stays the file's, whatever the options.
    let text = FILE.replace("rank = 4", "rnak = 4");
    let told = message(&text, "mini", &["steps=4", "method.plain.rate=0.2"]);
    assert!(told.starts_with("walk.toml:21: method.bounded.rnak"), "{told}");
}
