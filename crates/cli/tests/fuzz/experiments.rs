//! Experiment files and `--set` options, up to the plan.

use std::path::{Path, PathBuf};

use runner::{Experiment, Selection, Workload};
use toml::Value;

use crate::case::{Case, Kind, Verdict};
use crate::worker::Shared;

pub const FILES: Kind = Kind { name: "experiment files", share: 12, attempt: files };
pub const SETS: Kind = Kind { name: "--set options", share: 6, attempt: sets };

/// Those with a scale of few steps.
const NAMES: [&str; 8] =
    ["table1", "ablation-table2", "glue", "glue-tuned", "instruct", "lr-sweep", "prolonged", "table3-tuned"];

const VALUES: [&str; 28] = [
    "-1",
    "0",
    "1",
    "nan",
    "inf",
    "-inf",
    "1e300",
    "1e-300",
    "9223372036854775807",
    "99999999999999999999",
    "1e999",
    "true",
    "",
    "\"\"",
    "[]",
    "{}",
    "[[]]",
    "[0,0]",
    "word",
    "\u{0}",
    "é🦀",
    "\"unclosed",
    "{a=1}",
    "0.5",
    "[1,\"a\"]",
    "1979-05-27",
    "../../..",
    "/dev/null",
];

/// The driver of a task; `None` for one that is not known, which the program refuses by name.
pub fn workload<'a>(shared: &'a Shared, task: &str) -> Option<&'a dyn Workload> {
    let known: [&dyn Workload; 4] =
        [&shared.subject_driven, &shared.semantic_map, &shared.glue, &shared.instruct];
    known.into_iter().find(|workload| workload.task() == task)
}

fn planned(case: &mut Case, shared: &Shared, file: &Path, scale: &str, sets: &[String]) -> Verdict {
    let experiment = match Experiment::load(file, scale, sets) {
        Ok(experiment) => experiment,
        Err(error) => return Verdict::Refused(format!("{:#}", anyhow::Error::from(error))),
    };
    let Some(workload) = workload(shared, &experiment.task) else { return Verdict::Taken };
    let results = case.folder.join("results");
    let plan = if case.random.percent(30) && scale == "smoke" {
        runner::plan(&experiment, workload, &results, &Selection::default())
    } else {
        runner::status(&experiment, workload, &results)
    };
    match plan {
        Err(error) => Verdict::Refused(format!("{:#}", anyhow::Error::from(error))),
        Ok(plan) => {
            let seconds = plan.seconds.unwrap_or(0.0);
            let text = plan.to_string();
            match seconds.is_finite() && seconds >= 0.0 && !text.contains("NaN") && !text.contains("inf ") {
                true => Verdict::Taken,
                false => Verdict::Wrong(format!("a plan of {seconds} s: {text}")),
            }
        }
    }
}

fn pairs_are_absent(name: &str) -> bool {
    name == "ablation-table2" && !Path::new("data/mini-pairs").is_dir()
}

fn file_of(case: &mut Case) -> (&'static str, PathBuf) {
    let known: Vec<&'static str> = NAMES.into_iter().filter(|name| !pairs_are_absent(name)).collect();
    let name = *case.random.pick(&known);
    let folder = case.linked(Path::new("experiments"), "experiments");
    (name, folder.join(format!("{name}.toml")))
}

fn files(case: &mut Case, shared: &mut Shared) -> Verdict {
    let (name, file) = file_of(case);
    let included = file.with_extension("");
    let damaged = match name {
        "glue" | "instruct" if case.random.percent(50) => case.any_file(&included, |_| true),
        _ => file.clone(),
    };
    case.damage(&damaged);
    // Included files and the one that includes them contradict each other; then either is named.
    case.blamed.push(format!("{name}.toml"));
    let scale = *case.random.pick(&["smoke", "mini"]);
    planned(case, shared, &file, scale, &[])
}

fn sets(case: &mut Case, shared: &mut Shared) -> Verdict {
    let (_, file) = file_of(case);
    let text = std::fs::read_to_string(&file).expect("the corpus can be read");
    let table: toml::Table = toml::from_str(&text).expect("the corpus is well formed");
    let mut keys = Vec::new();
    for section in ["fixed", "scientific", "nuisance"] {
        paths(table.get(section), "", &mut keys);
    }
    paths(table.get("scale").and_then(|scales| scales.get("smoke")), "", &mut keys);
    paths(table.get("method"), "method", &mut keys);
    let key = case.random.pick(&keys).clone();
    let value = *case.random.pick(&VALUES);
    let set = format!("{key}={value}");
    case.what.push(format!("--set {set}"));
    case.blamed.push("--set".to_owned());
    planned(case, shared, &file, "smoke", &[set])
}

fn paths(value: Option<&Value>, at: &str, found: &mut Vec<String>) {
    if !at.is_empty() {
        found.push(at.to_owned());
    }
    for (key, own) in value.and_then(Value::as_table).into_iter().flatten() {
        let dot = if at.is_empty() { "" } else { "." };
        paths(Some(own), &format!("{at}{dot}{key}"), found);
    }
}
