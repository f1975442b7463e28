//! The program when nobody reads what it prints, or when it cannot be written.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

fn delora(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_delora"));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The first `lines` lines of standard output, which is closed then, as `head` does; exit status and standard error.
fn head(mut child: Child, lines: usize) -> (Vec<String>, ExitStatus, String) {
    let out = BufReader::new(child.stdout.take().unwrap());
    let read = out.lines().take(lines).map(Result::unwrap).collect();
    let output = child.wait_with_output().unwrap();
    (read, output.status, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_run_whose_output_nobody_reads_goes_on_to_its_end_and_writes_everything() {
    let folder = tempfile::tempdir().unwrap();
    let [results, plots] = ["results", "plots"].map(|name| folder.path().join(name));
    let run = |results: &Path| {
        let at = [results.to_str().unwrap(), "--plots", plots.to_str().unwrap()];
        let set = ["--set", "method=real_images", "--set", "figures=[\"table1\"]"];
        delora(
            &[&["run", "experiments/table1.toml", "--scale", "smoke", "--results"], &at[..], &set].concat(),
        )
    };
    // Closed before the first line, on both sides.
    let mut child = run(&results).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let rows = |results: &Path| {
        let text = fs::read_to_string(results.join("table1/smoke/trials.csv")).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let status = reader.headers().unwrap().iter().position(|name| name == "status").unwrap();
        reader.records().map(|row| row.unwrap()[status].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(rows(&results), ["done"]);
    assert!(plots.join("table1/smoke/table1.md").is_file(), "figures are drawn too");
    assert!(!results.join("table1/smoke/lock").exists());

    // What happens in `delora run … | head -1`.
    let again = folder.path().join("again");
    let (read, status, error) = head(run(&again).spawn().unwrap(), 1);
    assert_eq!((read.len(), status.code()), (1, Some(0)), "{error}");
    assert_eq!(rows(&again), ["done"]);
}

#[test]
fn a_list_of_which_only_the_beginning_is_read_ends_quietly() {
    let long: [&[&str]; 6] = [
        &["doctor"],
        &["methods"],
        &["methods", "delora"],
        &["fetch"],
        &["params", "--model", "sd15"],
        &["plan", "experiments/table1.toml", "--scale", "smoke"],
    ];
    for words in long {
        let expected = delora(words).output().unwrap().status.code();
        let (read, status, error) = head(delora(words).spawn().unwrap(), 1);
        assert_eq!((read.len(), status.code(), error.as_str()), (1, expected, ""), "{words:?}");
    }
}

#[test]
fn watching_ends_when_nobody_reads() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().to_str().unwrap();
    let words = ["status", "experiments/table1.toml", "--scale", "smoke", "--results", results];
    let mut child = delora(&[&words[..], &["--watch", "0.1"]].concat()).spawn().unwrap();
    // Nothing is done here and nothing runs, so it would watch for ever.
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_list_that_cannot_be_written_is_an_error() {
    let Ok(full) = File::create("/dev/full") else { return };
    let output = delora(&["methods"]).stdout(full).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.starts_with("error: cannot write to standard output: No space left on device"), "{error}");
}
