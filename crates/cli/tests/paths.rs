//! Paths in settings and options: what is not there, `~`, and names with commas, spaces and digits.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Exit code, and what was printed.
fn delora_at(home: &Path, words: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_delora"));
    command.current_dir(root()).args(words).env("HOME", home).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

fn delora(words: &[&str]) -> (i32, String) {
    delora_at(Path::new("/nowhere"), words)
}

/// Links `name` in a new folder to the mini world's subjects.
fn subjects(folder: &Path, name: &str) {
    symlink(root().join("assets/mini/subjects/dataset"), folder.join(name)).unwrap();
}

#[test]
fn a_missing_folder_is_told_by_setting_file_and_line_with_the_command_that_fetches_it() {
    let here = root();
    let line = |key: &str, value: &str| {
        let text = fs::read_to_string(here.join("experiments/table3.toml")).unwrap();
        let scale = text.lines().position(|line| line == "[scale.paper]").unwrap();
        let is = |line: &str| line.starts_with(key) && line.contains(value);
        scale + 1 + text.lines().skip(scale).position(is).unwrap()
    };
    let (code, text) = delora(&["plan", "experiments/table3.toml", "--scale", "paper"]);
    assert_eq!(code, 1, "{text}");
    for (setting, key, path) in [
        ("model", "model", "models/stable-diffusion-v1-5"),
        ("data", "data", "data/dreambooth/dataset"),
        ("evaluators", "evaluators.dino", "models/dino-vits16"),
        ("evaluators", "evaluators.clip", "models/clip-vit-large-patch14"),
    ] {
        let line = line(setting, path);
        let expected = format!("there is no file or folder `{path}` below {};", here.display());
        let found =
            text.lines().find(|line| line.contains(&expected)).unwrap_or_else(|| panic!("{path}: {text}"));
        assert!(found.starts_with(&format!("error: experiments/table3.toml:{line}: ")), "{found}");
        assert!(found.contains(&format!("scale.paper.{key}: ")), "{found}");
        assert!(found.contains("`just fetch table3 --scale paper --link .` puts it there"), "{found}");
        assert!(found.ends_with(&format!("or name another with `--set {key}=PATH`")), "{found}");
    }
    assert!(!text.contains('{') && text.lines().count() == 4, "{text}");
}

#[test]
fn each_task_names_the_setting_of_what_is_missing() {
    for (file, key) in [
        ("table1", "model"),
        ("table1", "evaluators.clip"),
        ("table1", "data"),
        ("ablation-table2", "evaluators.segmenter"),
        ("glue", "data"),
        ("instruct", "instructions"),
        ("instruct", "evaluation.tasks"),
    ] {
        let (file, set) = (format!("experiments/{file}.toml"), format!("{key}=/no/such, 2024"));
        let (code, text) = delora(&["status", &file, "--scale", "smoke", "--set", &set]);
        assert_eq!(code, 1, "{text}");
        let expected = format!(
            "{key}: there is no file or folder `/no/such, 2024`; name another with `--set {key}=PATH`"
        );
        let is_said = |line: &str| line.starts_with("error: --set ") && line.ends_with(&expected);
        assert!(text.lines().any(is_said), "{text}");
        assert!(!text.contains('{'), "{text}");
    }
}

#[test]
fn a_file_that_is_missing_in_a_folder_that_is_there_is_told_by_its_setting_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let set = format!("model={path}");
    let (code, text) = delora(&["status", "experiments/table1.toml", "--scale", "smoke", "--set", &set]);
    assert_eq!(code, 1, "{text}");
    assert!(text.starts_with(&format!("error: --set model=\"{path}\": model: {path}/unet")), "{text}");
    assert!(!text.contains('{') && text.lines().count() == 1, "{text}");
}

#[test]
fn a_folder_whose_name_has_commas_and_spaces_or_is_a_number_is_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    // Relative to the folder in which the program runs, so that the name is all there is.
    for link in ["assets", "experiments"] {
        symlink(root().join(link), folder.path().join(link)).unwrap();
    }
    for name in ["my dogs, 2024", "2024", "true", "it's [old] #2"] {
        subjects(folder.path(), name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_delora"));
        command.current_dir(folder.path()).args(["status", "experiments/table1.toml", "--scale", "smoke"]);
        let output = command.arg("--set").arg(format!("data={name}")).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_tilde_is_the_home_folder_in_settings_and_options_and_in_a_subject() {
    let home = tempfile::tempdir().unwrap();
    subjects(home.path(), "my dogs, 2024");
    let status = |more: &[&str]| {
        let words = ["status", "experiments/table1.toml", "--scale", "smoke"];
        delora_at(home.path(), &[&words[..], more].concat())
    };
    let (code, text) = status(&["--set", "data=~/my dogs, 2024"]);
    assert_eq!(code, 0, "{text}");
    let first = fs::read_dir(root().join("assets/mini/subjects/dataset")).unwrap().flatten();
    let subject = first.map(|entry| entry.path()).find(|path| path.is_dir()).unwrap();
    symlink(subject, home.path().join("2024")).unwrap();
    let (code, text) = status(&["--set", "subject.folder=~/2024", "--set", "subject.class=dog"]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = status(&["--set", "data=~/none"]);
    let expanded = home.path().join("none");
    assert!(code == 1 && text.contains(&format!("no file or folder `{}`", expanded.display())), "{text}");
    let only = ["--set", "method=real_images", "--set", "figures=[\"table1\"]"];
    let run = [&["run", "experiments/table1.toml", "--scale", "smoke"][..], &only].concat();
    let (code, text) = delora_at(home.path(), &[&run[..], &["--results=~/results"]].concat());
    assert_eq!(code, 0, "{text}");
    assert!(home.path().join("results/table1/smoke/trials.csv").is_file());
    let table = home.path().join("results/plots/table1/smoke/table1.md");
    assert!(table.is_file(), "figures follow their results");
    assert!(!root().join("~").exists());
}

/// `just`, where `justw` has put it or the machine has it.
fn just() -> Option<PathBuf> {
    let fetched = root().join(".tools/just/bin/just");
    let on_path = || {
        std::env::split_paths(&std::env::var_os("PATH")?).map(|at| at.join("just")).find(|it| it.is_file())
    };
    if fetched.is_file() { Some(fetched) } else { on_path() }
}

#[test]
fn just_real_photos_hands_over_the_folder_as_it_is_named() {
    let Some(just) = just() else {
        println!("skipped: no `just` here");
        return;
    };
    // A cargo that says what it was called with, a word a line.
    let tools = tempfile::tempdir().unwrap();
    let cargo = tools.path().join("cargo");
    fs::write(&cargo, "#!/bin/sh\nprintf '%s\\n' \"$@\"\n").unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(tools.path().join("include")).unwrap();
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    for folder in ["my dogs, 2024", "2024", "it's", "~/my dogs"] {
        let mut command = Command::new(&just);
        command.current_dir(root()).args(["real-photos", folder, "--scale", "smoke"]);
        let output = command.env("PATH", &path).env("LIBTORCH", tools.path()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        let words: Vec<&str> = text.lines().skip_while(|word| *word != "--").skip(1).collect();
        let set = format!("data={folder}");
        assert_eq!(words, ["run", "experiments/real-photos.toml", "--set", &set, "--scale", "smoke"]);
    }
}
