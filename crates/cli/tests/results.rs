//! The program on a results folder: run, watch, choose, clean, and a lock that is held.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A command on one trial, that of real photographs, which trains nothing.
fn delora(results: &Path, subcommand: &str, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_delora"));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).stdin(Stdio::null());
    command.args([subcommand, "experiments/table1.toml", "--scale", "smoke", "--set", "method=real_images"]);
    command.arg("--results").arg(results).args(options);
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).to_string()
}

#[test]
fn one_trial_is_run_watched_chosen_and_cleaned_up_after() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path();
    let of = |subcommand: &str, options: &[&str]| delora(results, subcommand, options).output().unwrap();
    let plan = text(&of("plan", &["--only", "unfinished"]));
    assert!(plan.contains("1 bank of 1 trial, 0 of them begun, one at a time"), "{plan}");

    let watching = delora(results, "status", &["--watch", "0.2"]).stdout(Stdio::piped()).spawn().unwrap();
    let run = of("run", &["--no-figures", "--quiet"]);
    assert_eq!(run.status.code(), Some(0), "{}", text(&run));
    let watched = text(&watching.wait_with_output().unwrap());
    assert!(watched.ends_with("table1 at scale smoke: 1 done; no process is running\n"), "{watched}");

    let again = of("run", &["--no-figures", "--only", "failed"]);
    assert_eq!(again.status.code(), Some(0));
    assert!(text(&again).contains("nothing to run: no trial is failed"), "{}", text(&again));
    let unknown = of("run", &["--trial", "0123"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown).contains("`0123` is no trial of this experiment"), "{}", text(&unknown));
    assert!(text(&of("clean", &[])).contains("there is nothing to remove"));

    let torn = results.join("table1/smoke/trials/0123456789abcdef.json");
    std::fs::write(&torn, "torn").unwrap();
    assert!(text(&of("clean", &[])).ends_with("nothing was removed\n"), "no answer is no");
    let mut asking =
        delora(results, "clean", &[]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(asking.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("damaged files"));
    // Until it is answered, the folder is held.
    let refused = of("run", &["--no-figures"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains(&format!("is held by process {}", asking.id())), "{}", text(&refused));
    assert!(torn.exists());
    asking.stdin.take().unwrap().write_all(b"y\n").unwrap();
    assert!(asking.wait().unwrap().success());
    assert!(!torn.exists());
    assert_eq!(of("run", &["--no-figures"]).status.code(), Some(0));
}
