//! The program itself, on a mutated file, in a process of its own.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::case::{Case, Kind, Verdict};
use crate::worker::Shared;

pub const PROGRAM: Kind = Kind { name: "program", share: 1, attempt };

fn attempt(case: &mut Case, _: &mut Shared) -> Verdict {
    let text = |path: &Path| path.display().to_string();
    let results = text(&case.folder.join("out"));
    let arguments: Vec<String> = match case.random.below(5) {
        0 => {
            let name = *case.random.pick(&["sd/vae", "dino", "encoder", "decoder", "clip"]);
            let folder = case.linked(&Path::new("assets/mini").join(name), "network");
            damage_any(case, &folder);
            vec!["check-weights".to_owned(), text(&folder)]
        }
        1 => {
            let folder = case.linked(Path::new("assets/mini/decoder"), "decoder");
            damage_any(case, &folder);
            let words = ["--instruction", "Say it", "--model"].map(str::to_owned);
            [vec!["generate".to_owned()], words.to_vec(), vec![text(&folder)]].concat()
        }
        2 => {
            let folder = case.linked(Path::new("experiments"), "experiments");
            let file = folder.join("glue.toml");
            case.damage(&file);
            [vec!["plan".to_owned(), text(&file)], words("--scale smoke --results"), vec![results]].concat()
        }
        3 => {
            let folder = case.linked(Path::new("results"), "results");
            let file = folder.join("glue/mini/trials.csv");
            case.damage(&file);
            let plots = words("plots experiments/glue.toml --results");
            [plots, vec![text(&folder), "--plots".to_owned(), results]].concat()
        }
        _ => {
            let data = case.linked(Path::new("assets/mini/glue"), "glue");
            let file = case.any_file(&data.join("cola"), |_| true);
            case.damage(&file);
            let run = "run experiments/glue.toml --scale smoke --set method=lora --set seeds=0";
            let rest = "--set glue_task=cola --no-figures --quiet --results";
            let sets = vec![results, "--set".to_owned(), format!("data={:?}", text(&data))];
            [words(run), words(rest), sets].concat()
        }
    };
    case.what.push(format!("delora {}", arguments.join(" ")));
    case.blamed.push(text(&case.folder));
    let mut command = Command::new(env!("CARGO_BIN_EXE_delora"));
    let output = command.args(&arguments).stdin(Stdio::null()).output().expect("the program starts");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if said.contains("panicked at") {
        let panic = said.lines().find(|line| line.contains("panicked at"));
        return Verdict::Wrong(panic.unwrap_or("").to_owned());
    }
    match output.status.code() {
        Some(0) => match said.contains("NaN") {
            true => Verdict::Wrong(format!("exit code 0, and NaN: {said}")),
            false => Verdict::Taken,
        },
        Some(1 | 3) => Verdict::Refused(said),
        _ => Verdict::Wrong(format!("{}: {said}", output.status)),
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn damage_any(case: &mut Case, folder: &Path) {
    let file = case.any_file(folder, |_| true);
    case.damage(&file);
}
