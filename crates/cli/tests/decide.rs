//! `delora decide` and `delora adopt` on a tiny experiment: a design before its trials, looks, a changed design, and a ledger
//! that is gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const EXPERIMENT: &str = r#"
name = "tiny"
question = "Does one of them do better?"
task = "subject-driven"
metric = "dino"
direction = "maximize"
seeds = [0]
replicates = ["seed", "subject"]

[confirm]
seeds = [5]
along = "subject"
looks = [2, 3]
set.subject = { without = ["backpack_teal_striped"] }

[fixed]
identifier = "qwe"
train_steps = 2
batch = 1
resolution = 64
sampling = { steps = 2, guidance_scale = 4.0 }
pictures_per_prompt = 1
first_prompts = 1
bank = 9
model = "assets/mini/sd"
data = "assets/mini/subjects/dataset"
evaluators = { dino = "assets/mini/dino", clip = "assets/mini/clip" }

[scientific]
method = ["lora", "delora"]
subject = { first = 1 }

[method.lora]
rank = 2
learning_rate.angles = 1e-3

[method.delora]
rank = 2
lambda = 1
learning_rate = { angles = 1e-3, strength = 1e-3 }
"#;

const CLAIMS: &str = r#"
[margin.dino]
within = 0.02
reason = "a test"

[[claim]]
id = "better"
where = "Table 9"
statement = "DeLoRA is better."
experiment = "tiny"
test = { kind = "above", method = "delora", than = "lora", metric = "dino" }
"#;

struct Study(tempfile::TempDir);

impl Study {
    fn new() -> Study {
        let study = Study(tempfile::tempdir().unwrap());
        study.write("tiny.toml", EXPERIMENT);
        study.write("claims.toml", CLAIMS);
        study
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn delora(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_delora"));
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).stdin(Stdio::null());
        command.args(arguments).output().unwrap()
    }

    fn decide(&self, options: &[&str]) -> Output {
        let path = |name: &str| self.path().join(name).to_str().unwrap().to_owned();
        let (file, claims, results) = (path("tiny.toml"), path("claims.toml"), path("results"));
        let fixed = ["decide", &file, "--claims", &claims, "--results", &results, "--quiet"];
        self.delora(&[&fixed[..], options].concat())
    }

    /// A design that two subjects do not decide, and its folder.
    fn undecided() -> (Study, PathBuf) {
        let study = Study::new();
        study.write("claims.toml", &CLAIMS.replace("0.02", "1e-7"));
        let folder = study.path().join("results/tiny/mini-design1");
        (study, folder)
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).to_string()
}

#[test]
fn a_design_stands_before_its_trials_and_a_changed_one_beside_it() {
    let study = Study::new();
    let plan = text(&study.decide(&["--plan"]));
    assert!(plan.contains("tiny/mini-design1: 1 statements, 1 open; looks at 2, 3 subjects"), "{plan}");
    assert!(!study.path().join("results").exists(), "a plan writes nothing");

    let stopped = study.decide(&["--budget", "0s"]);
    assert_eq!(stopped.status.code(), Some(0), "{}", text(&stopped));
    let design = study.read("results/tiny/mini-design1/design.toml");
    assert!(!study.path().join("results/tiny/mini-design1/trials.csv").exists());
    for part in ["along = \"subject\"", "id = \"better\"", "less than 0.02 does not matter", "first = 2"] {
        assert!(design.contains(part), "{part}: {design}");
    }
    assert!(!design.contains("backpack_teal_striped"), "{design}");

    let run = text(&study.decide(&[]));
    assert!(run.contains("to the look at 2 of 3 subjects") && run.contains("better: "), "{run}");
    assert_eq!(study.read("results/tiny/mini-design1/design.toml"), design);
    let trials = study.read("results/tiny/mini-design1/trials.csv");
    let rows = |trials: &str| trials.lines().filter(|line| line.contains(",done,")).count();
    assert!([4, 6].contains(&rows(&trials)), "{trials}");
    let again = text(&study.decide(&[]));
    assert!(!again.contains("to the look"), "all looks are taken or all is decided: {again}");

    // The ledger is gone, the tables are not.
    let folder = study.path().join("results/tiny/mini-design1");
    fs::remove_dir_all(folder.join("trials")).unwrap();
    let (experiments, results) = (study.path().to_str().unwrap(), folder.to_str().unwrap());
    let adopted = text(&study.delora(&["adopt", results, "--experiments", experiments]));
    assert!(adopted.contains(&format!("{} trials taken", rows(&trials))), "{adopted}");
    assert!(!text(&study.decide(&[])).contains("to the look"), "nothing runs again");

    study.write("claims.toml", &CLAIMS.replace("0.02", "0.03"));
    let changed = text(&study.decide(&["--plan"]));
    assert!(changed.contains("tiny/mini-design2"), "{changed}");
    assert_eq!(study.read("results/tiny/mini-design1/design.toml"), design);
}

#[test]
fn what_only_tables_have_is_not_run_again_and_other_trials_are_of_another_design() {
    let (study, folder) = Study::undecided();
    text(&study.decide(&[]));
    let design: toml::Table = study.read("results/tiny/mini-design1/design.toml").parse().unwrap();
    let last = design["values"][2].as_str().unwrap();
    let trials = study.read("results/tiny/mini-design1/trials.csv");
    let of_first: Vec<&str> = trials.lines().filter(|line| !line.contains(last)).collect();
    assert_eq!(of_first.len(), 1 + 4, "{trials}");
    study.write("results/tiny/mini-design1/trials.csv", &(of_first.join("\n") + "\n"));
    fs::remove_dir_all(folder.join("trials")).unwrap();
    let refused = study.decide(&[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused).contains(&format!("`delora adopt {}` takes them in", folder.display())),
        "{}",
        text(&refused)
    );
    study.delora(&["adopt", folder.to_str().unwrap(), "--experiments", study.path().to_str().unwrap()]);
    let gone_on = text(&study.decide(&[]));
    assert!(gone_on.contains("to the look at 3 of 3 subjects"), "{gone_on}");
    assert_eq!(study.read("results/tiny/mini-design1/trials.csv").lines().count(), 1 + 6);
    let (file, results) = (study.path().join("tiny.toml"), study.path().join("results"));
    let plots =
        ["plots", file.to_str().unwrap(), "--scale", "mini-design1", "--results", results.to_str().unwrap()];
    assert_eq!(study.delora(&plots).status.code(), Some(0), "the tables of a design are drawn as others are");
    let set = study.delora(&[&plots[..], &["--set", "train_steps=9"]].concat());
    assert!(text(&set).contains("results of a design"), "{}", text(&set));

    study.write("tiny.toml", &EXPERIMENT.replace("train_steps = 2", "train_steps = 3"));
    let plan = text(&study.decide(&["--plan"]));
    assert!(plan.contains("tiny/mini-design2"), "{plan}");
}

#[test]
fn workers_take_banks_of_the_same_look_and_go_on_together() {
    let (study, _) = Study::undecided();
    let outputs = std::thread::scope(|scope| {
        let workers = [(); 2].map(|()| scope.spawn(|| study.decide(&["--worker"])));
        workers.map(|worker| worker.join().unwrap())
    });
    for output in &outputs {
        assert_eq!(output.status.code(), Some(0), "{}", text(output));
        assert!(text(output).contains("of 3 units"), "both judge the last look: {}", text(output));
    }
    assert_eq!(outputs.iter().filter(|output| text(output).contains("wrote ")).count(), 1, "one design");
    assert_eq!(study.read("results/tiny/mini-design1/trials.csv").lines().count(), 1 + 6);
}

#[test]
fn mistakes_are_named() {
    for (from, to, message) in [
        ("[confirm]\nseeds = [5]", "[confirm]\nseeds = []", "confirm.seeds: found no seed"),
        ("looks = [2, 3]", "looks = [3, 2]", "confirm.looks: must be numbers from 2 up that grow"),
        ("looks = [2, 3]", "looks = [2, 99]", "subject.first: found 99"),
        ("along = \"subject\"", "along = \"seed\"", "must end with the number of seeds"),
        (
            "backpack_teal_striped",
            "backpack_teal",
            "`backpack_teal`: unknown subject; known: backpack_purple",
        ),
        ("along = \"subject\"", "alongs = \"subject\"", "confirm.alongs: unknown key; did you mean `along`"),
    ] {
        let study = Study::new();
        study.write("tiny.toml", &EXPERIMENT.replace(from, to));
        let output = study.decide(&["--plan"]);
        assert_eq!(output.status.code(), Some(1), "{from} -> {to}");
        assert!(text(&output).contains(message), "{message}: {}", text(&output));
    }
    let study = Study::new();
    study.write("claims.toml", &CLAIMS.replace("tiny", "other"));
    assert!(
        text(&study.decide(&["--plan"]))
            .contains("none of the experiments has a table [confirm] and a statement")
    );
}
