//! A full disk and a read-only one: small file systems in a mount namespace of their own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use crate::study::{Study, texts, toy};

/// Runs a shell script in which mounts are private; nothing, with a printed reason, where that is not allowed.
fn in_namespace(script: &str, variables: &[(&str, &Path)]) -> Option<Output> {
    let run = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-ec", script]);
        command.envs(variables.iter().copied()).output()
    };
    let probe = "mkdir -p \"$WORK/probe\" && mount -t tmpfs -o size=64k tmpfs \"$WORK/probe\"";
    match run(probe) {
        Ok(output) if output.status.success() => Some(run(script).unwrap()),
        Ok(output) => {
            println!("skipped: a small file system cannot be mounted here: {}", texts(&output)[1].trim());
            None
        }
        Err(error) => {
            println!("skipped: `unshare` cannot be started: {error}");
            None
        }
    }
}

/// Fills a disk up to `free` KiB, runs, keeps what is there, makes space, and runs again.
const FULL: &str = r#"
mkdir -p "$WORK/results"
mount -t tmpfs -o size=4m tmpfs "$WORK/results"
head -c $((4096 * 1024 - FREE * 1024)) /dev/zero > "$WORK/results/filler" || true
"$TOY" "$WORK/walk.toml" "$WORK/results" log="$WORK/runs.log" > "$WORK/out" 2> "$WORK/err" && code=0 || code=$?
echo "$code" > "$WORK/code"
mkdir "$WORK/at-full"
cp -r "$WORK/results/walk" "$WORK/at-full" 2>/dev/null || true
rm "$WORK/results/filler"
mkdir "$WORK/after"
"$TOY" "$WORK/walk.toml" "$WORK/results" log="$WORK/runs.log"
cp -r "$WORK/results/walk" "$WORK/after"
"#;

#[test]
fn a_full_disk_is_told_corrupts_nothing_and_the_run_goes_on_when_there_is_space() {
    let undisturbed = Study::new();
    undisturbed.finish();
    let expected = undisturbed.tables();
    let (mut full, mut kept) = (0, 0);
    // From no space for the lock to space for all but the last tables.
    for free in [0, 8, 24, 40, 60, 80, 100, 120, 140] {
        let study = Study::new();
        let script = FULL.replace("FREE", &free.to_string());
        let Some(output) = in_namespace(&script, &[("WORK", study.path()), ("TOY", &toy())]) else { return };
        assert!(output.status.success(), "{free} KiB free: {:?}", texts(&output));
        let read = |name: &str| std::fs::read_to_string(study.path().join(name)).unwrap();
        let (code, error) = (read("code"), read("err"));
        if code.trim() != "0" {
            full += 1;
            assert_eq!(code.trim(), "1", "{free} KiB free: {error}");
            assert!(error.contains("No space left on device"), "{free} KiB free: {error}");
        }
        let records = |place: &str| -> BTreeMap<String, String> {
            let folder = study.path().join(place).join("walk/mini/trials");
            let records = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
            let text = |path: &Path| std::fs::read_to_string(path).unwrap();
            records
                .map(|path| (path.file_name().unwrap().to_string_lossy().to_string(), text(&path)))
                .collect()
        };
        let (at_full, after) = (records("at-full"), records("after"));
        for (name, text) in at_full.iter().filter(|(_, text)| !text.contains(r#""status":"failed""#)) {
            kept += 1;
            assert_eq!(after.get(name), Some(text), "{free} KiB free: {name} was lost or written again");
        }
        std::fs::rename(study.path().join("after"), study.results())
            .or_else(|_| {
                std::fs::remove_dir(study.results())?;
                std::fs::rename(study.path().join("after"), study.results())
            })
            .unwrap();
        assert_eq!(study.tables(), expected, "{free} KiB free");
        study.assert_tidy();
    }
    println!("{full} runs met a full disk; {kept} results stood at that moment, 0 were lost");
    assert!(full >= 4 && kept > 0, "{full} full, {kept} kept");
}

#[test]
fn a_read_only_folder_is_told_and_left_as_it_is() {
    let study = Study::new();
    study.finish();
    let before = (study.tables(), study.records());
    let script = r#"
mount --bind "$WORK/results" "$WORK/results"
mount -o remount,bind,ro "$WORK/results"
"$TOY" "$WORK/walk.toml" "$WORK/results"
"#;
    let Some(output) = in_namespace(script, &[("WORK", study.path()), ("TOY", &toy())]) else { return };
    let [_, error] = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("cannot write") && error.contains("Read-only file system"), "{error}");
    assert_eq!((study.tables(), study.records()), before);
    study.assert_tidy();
}
