//! Interrupts and second runs: what a user does to a run.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::study::{Study, TRIALS, stop};

pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn an_interrupted_run_checkpoints_and_the_next_goes_on_from_there() {
    let uninterrupted = Study::new();
    uninterrupted.finish();
    for name in ["-INT", "-TERM"] {
        let study = Study::new();
        let child = study.start(80);
        study.wait_for("a checkpoint", || study.checkpoint_step().is_some_and(|step| step >= 3));
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
        let step = study.checkpoint_step().unwrap();
        assert!((3..10).contains(&step), "stopped at step {step}");
        assert!(!study.root().join("lock").exists());
        let (out, _) = study.finish();
        assert!(out.contains("2 of them begun") && out.contains("6 done, 6 diverged"), "{out}");
        assert_eq!(study.tables(), uninterrupted.tables());
    }
}

#[test]
fn a_second_signal_ends_the_run_at_once() {
    let study = Study::new();
    let mut child = study.start(30_000);
    study.wait_for("a bank", || {
        study.root().join("checkpoints").read_dir().is_ok_and(|banks| banks.count() > 0)
    });
    let started = Instant::now();
    signal(&child, "-INT");
    std::thread::sleep(Duration::from_millis(200));
    assert!(child.try_wait().unwrap().is_none(), "the first signal waits for a checkpoint");
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(started.elapsed() < Duration::from_secs(25));
}

#[test]
fn a_second_run_is_refused_while_the_first_lives_and_takes_over_after_it_is_killed() {
    let study = Study::new();
    let mut first = study.start(30_000);
    study.wait_for("the lock", || study.root().join("lock").exists());
    let second = study.start(0).wait_with_output().unwrap();
    let message = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success() && message.contains(&format!("process {}", first.id())), "{message}");
    stop(&mut first);
    let (_, message) = study.finish();
    assert!(message.contains(&format!("going on after process {}", first.id())), "{message}");
}

#[test]
fn runs_that_are_refused_do_the_first_no_harm() {
    let uninterrupted = Study::new();
    uninterrupted.finish();
    let study = Study::new();
    let first = study.start(20);
    study.wait_for("the lock", || study.root().join("lock").exists());
    let others: Vec<Child> = (0..4).map(|_| study.start(0)).collect();
    for other in others {
        let output = other.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let output = first.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(study.tables(), uninterrupted.tables());
    let mut runs = study.log_lines();
    runs.sort();
    runs.dedup();
    assert_eq!((runs.len(), study.log_lines().len()), (TRIALS, TRIALS), "each trial is run once");
    study.assert_tidy();
}

#[test]
fn of_runs_that_start_at_once_one_takes_an_abandoned_lock() {
    let study = Study::new();
    let mut dead = study.start(30_000);
    study.wait_for("a bank", || study.log_lines().len() >= TRIALS / 2);
    stop(&mut dead);
    let runs: Vec<Child> = (0..4).map(|_| study.start(10)).collect();
    let codes: Vec<Option<i32>> =
        runs.into_iter().map(|run| run.wait_with_output().unwrap().status.code()).collect();
    assert!(codes.contains(&Some(0)), "{codes:?}");
    study.finish();
    study.assert_tidy();
    // Two banks of the dead run, and each trial once after it.
    assert!(study.log_lines().len() <= 2 * TRIALS, "{:?}", study.log_lines());
}
