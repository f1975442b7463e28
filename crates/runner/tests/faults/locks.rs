//! Runs that meet on one folder from containers, and on file systems that have no locks.

use std::process::{Child, Command, Stdio};

use crate::study::{Study, stop, texts};

/// The command of a run that sees no process but its own, as in a container; nothing, with a printed reason, where
/// that is not allowed.
pub fn contained(study: &Study, options: &[&str]) -> Option<Command> {
    let unshare = ["--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let probe = Command::new("unshare").args(unshare).arg("true").output();
    if !probe.as_ref().is_ok_and(|output| output.status.success()) {
        println!("skipped: no process can be put in a namespace of its own here: {probe:?}");
        return None;
    }
    let run = study.command(options);
    let mut command = Command::new("unshare");
    command.args(unshare).arg(run.get_program()).args(run.get_args());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(command)
}

fn wait_until_named(study: &Study) {
    let lock = study.root().join("lock");
    study.wait_for("the lock", || std::fs::read_to_string(&lock).is_ok_and(|text| text.ends_with('}')));
}

fn refused(second: Child, by: &str) -> String {
    let output = second.wait_with_output().unwrap();
    let [_, message] = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(&format!("is held by process {by} of ")), "{message}");
    message
}

#[test]
fn a_run_in_another_container_is_refused_by_name_while_the_first_lives_and_goes_on_after_it() {
    let study = Study::new();
    let Some(mut first) = contained(&study, &["pause_ms=30000"]) else { return };
    let mut first = first.spawn().unwrap();
    wait_until_named(&study);
    // Process 1 of the first container: here that is another process, and in a second container it is the run itself.
    refused(study.start(0), "1");
    refused(contained(&study, &[]).unwrap().spawn().unwrap(), "1");
    stop(&mut first);
    let output = contained(&study, &[]).unwrap().output().unwrap();
    let [_, message] = texts(&output);
    assert!(output.status.success() && message.contains("going on after process 1 of "), "{message}");
    study.assert_tidy();
}

#[test]
fn a_run_is_refused_by_one_in_a_container_too() {
    let study = Study::new();
    let Some(mut contained) = contained(&study, &[]) else { return };
    let mut first = study.start(30_000);
    wait_until_named(&study);
    refused(contained.spawn().unwrap(), &first.id().to_string());
    stop(&mut first);
}

#[test]
fn without_locks_the_file_keeps_a_second_run_out_until_its_process_is_seen_to_be_over() {
    let study = Study::new();
    let start = |pause_ms: u64| {
        let mut command = study.command(&[&format!("pause_ms={pause_ms}")]);
        command.env("RUNNER_FAULT_LOCKS", "none").spawn().unwrap()
    };
    let mut first = start(30_000);
    wait_until_named(&study);
    let id = first.id().to_string();
    assert!(refused(start(0), &id).contains("wait for it or stop it"));
    // One whose machine has locks does not take it either.
    refused(study.start(0), &id);
    stop(&mut first);
    let output = start(0).wait_with_output().unwrap();
    let [_, message] = texts(&output);
    assert!(output.status.success(), "{message}");
    assert!(message.contains(&format!("going on after process {id} of ")), "{message}");
    assert!(message.contains("this file system has no locks"), "{message}");
    study.assert_tidy();
}

#[test]
fn without_locks_a_run_in_another_container_is_refused_and_told_which_file_to_remove() {
    let study = Study::new();
    let Some(mut first) = contained(&study, &["pause_ms=30000"]) else { return };
    let mut first = first.env("RUNNER_FAULT_LOCKS", "none").spawn().unwrap();
    wait_until_named(&study);
    let second = || study.command(&[]).env("RUNNER_FAULT_LOCKS", "none").spawn().unwrap();
    let lock = study.root().join("lock");
    let remedy = format!("remove {} if you know that it is over", lock.display());
    assert!(refused(second(), "1").contains(&remedy));
    stop(&mut first);
    assert!(refused(second(), "1").contains(&remedy), "whether it is over cannot be seen");
    std::fs::remove_file(lock).unwrap();
    assert!(second().wait_with_output().unwrap().status.success());
    study.assert_tidy();
}
