//! Several workers on one folder, and what can happen to one of them. `MOMENTS` is how many moments each fault gets, 20 by
//! default.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use crate::locks::contained;
use crate::signals::signal;
use crate::study::{Study, TRIALS, stop, texts};

/// Silence after which a worker counts as gone.
const LEASE: &str = "lease_ms=600";
const OPTIONS: [&str; 4] = ["worker=1", "workers=1", "pause_ms=8", LEASE];
/// Trials of a bank.
const BANK: usize = 4;

fn moments() -> impl Iterator<Item = (u64, Duration)> {
    let count = std::env::var("MOMENTS").map_or(20, |count| count.parse().unwrap());
    (0..count).map(|number: u64| {
        let hash = blake3::hash(format!("moment {number}").as_bytes());
        (number, Duration::from_millis(2 + u64::from(hash.as_bytes()[0]) * 3 / 2))
    })
}

fn worker(study: &Study) -> Command {
    study.command(&OPTIONS)
}

type Records = BTreeMap<PathBuf, Vec<u8>>;

/// A study that a fault is tried on, with what an undisturbed run gives.
struct Trial {
    expected: BTreeMap<&'static str, Vec<Vec<String>>>,
    faults: usize,
    finished_before: usize,
}

impl Trial {
    fn new() -> Trial {
        let undisturbed = Study::new();
        undisturbed.finish();
        Trial { expected: undisturbed.tables(), faults: 0, finished_before: 0 }
    }

    /// Waits for workers, of which only some may fail, and asserts that nothing was lost or run more often than it must.
    fn settle(&mut self, study: &Study, workers: Vec<Child>, before: &Records, mut may_fail: usize) {
        for worker in workers {
            let output = worker.wait_with_output().unwrap();
            if !output.status.success() {
                assert!(may_fail > 0, "{:?}", texts(&output));
                may_fail -= 1;
            }
        }
        let records = study.records();
        assert_eq!(records.len(), TRIALS, "the workers that are left finish everything");
        for (path, bytes) in before {
            assert_eq!(records.get(path), Some(bytes), "{} was lost or written again", path.display());
        }
        let runs = study.log_lines().len();
        assert!(runs <= TRIALS + BANK, "{runs} trials were begun, where one bank was lost");
        study.recover(&records, &self.expected);
        self.faults += 1;
        self.finished_before += before.len();
    }

    /// Kills a worker at a moment; the others have to finish everything.
    fn kill(&mut self, study: &Study, mut victim: Child, others: Vec<Child>, moment: Duration) {
        std::thread::sleep(moment);
        let before = study.records();
        stop(&mut victim);
        self.settle(study, others, &before, 0);
    }

    fn tell(&self, fault: &str) {
        println!(
            "{} times {fault}: {} results stood at that moment, 0 were lost",
            self.faults, self.finished_before
        );
    }
}

#[test]
fn workers_share_a_sweep_and_each_trial_is_run_once() {
    let mut trial = Trial::new();
    for (number, moment) in moments() {
        let study = Study::new();
        // Two submissions of one experiment are workers that come later.
        let mut workers: Vec<Child> = (0..2).map(|_| worker(&study).spawn().unwrap()).collect();
        std::thread::sleep(moment / 2);
        workers.extend((0..2).map(|_| worker(&study).spawn().unwrap()));
        trial.settle(&study, workers, &Records::new(), 0);
        assert_eq!(study.log_lines().len(), TRIALS, "number {number}");
    }
    trial.tell("two submissions");
}

#[test]
fn a_worker_that_is_killed_loses_its_bank_to_another_which_goes_on_from_the_checkpoint() {
    let mut trial = Trial::new();
    for (_, moment) in moments() {
        let study = Study::new();
        let victim = worker(&study).spawn().unwrap();
        let others = (0..2).map(|_| worker(&study).spawn().unwrap()).collect();
        trial.kill(&study, victim, others, moment);
    }
    trial.tell("a worker was killed");
}

#[test]
fn a_worker_that_is_stopped_until_its_lease_has_gone_finishes_nothing_when_it_wakes() {
    let mut trial = Trial::new();
    let mut lost = 0;
    for (_, moment) in moments() {
        let study = Study::new();
        let sleeper = worker(&study).spawn().unwrap();
        let others: Vec<Child> = (0..2).map(|_| worker(&study).spawn().unwrap()).collect();
        std::thread::sleep(moment);
        signal(&sleeper, "-STOP");
        for other in others {
            let output = other.wait_with_output().unwrap();
            assert!(output.status.success(), "{:?}", texts(&output));
        }
        let before = study.records();
        assert_eq!(before.len(), TRIALS);
        signal(&sleeper, "-CONT");
        let output = sleeper.wait_with_output().unwrap();
        assert!(output.status.success(), "{:?}", texts(&output));
        lost += usize::from(texts(&output)[1].contains("was taken by another worker"));
        trial.settle(&study, Vec::new(), &before, 0);
    }
    trial.tell("a worker was stopped until its lease had gone");
    assert!(lost > 0, "no sleeper had a bank");
}

#[test]
fn a_disk_that_is_full_or_read_only_for_one_worker_is_its_matter_alone() {
    let mut trial = Trial::new();
    let mut failed = 0;
    for (number, _) in moments() {
        let fault = if number % 2 == 0 { "full" } else { "read-only" };
        let study = Study::new();
        let mut victim = worker(&study);
        let victim = victim.env("RUNNER_FAULT", format!("{fault}:{}", 5 + 17 * number)).spawn().unwrap();
        let others: Vec<Child> = (0..2).map(|_| worker(&study).spawn().unwrap()).collect();
        let output = victim.wait_with_output().unwrap();
        if !output.status.success() {
            failed += 1;
            let [_, error] = texts(&output);
            let told = if fault == "full" { "make space" } else { "nothing can be written" };
            assert!(error.contains(told) || error.contains("failed:"), "{error}");
        }
        for other in others {
            let output = other.wait_with_output().unwrap();
            assert!(output.status.success(), "{:?}", texts(&output));
        }
        // A trial whose checkpoint or picture could not be written has failed, and is tried again by a run.
        let is_result = |bytes: &[u8]| !String::from_utf8_lossy(bytes).contains(r#""status":"failed""#);
        let before: Records = study.records().into_iter().filter(|(_, bytes)| is_result(bytes)).collect();
        study.recover(&before, &trial.expected);
        trial.faults += 1;
        trial.finished_before += before.len();
    }
    trial.tell("a disk was full or read-only for a while");
    assert!(failed > 5, "{failed}");
}

#[test]
fn a_clock_that_jumps_takes_no_bank_from_a_living_worker() {
    let mut trial = Trial::new();
    for (_, moment) in moments() {
        let study = Study::new();
        let victim = worker(&study).spawn().unwrap();
        let jump = || worker(&study).env("RUNNER_FAULT_CLOCK", "backwards").spawn().unwrap();
        let others = vec![jump(), jump()];
        trial.kill(&study, victim, others, moment);
    }
    trial.tell("clocks jumped, and a worker was killed");
}

#[test]
fn workers_of_two_containers_share_a_folder_and_one_goes_on_for_the_other() {
    let mut trial = Trial::new();
    for (_, moment) in moments() {
        let study = Study::new();
        let (Some(mut first), Some(mut second)) = (contained(&study, &OPTIONS), contained(&study, &OPTIONS))
        else {
            return;
        };
        let first = first.spawn().unwrap();
        let second = second.spawn().unwrap();
        trial.kill(&study, first, vec![second], moment);
    }
    trial.tell("one of two containers was killed");
}

#[test]
fn without_locks_silence_alone_tells_that_a_worker_is_gone() {
    let mut trial = Trial::new();
    for (_, moment) in moments() {
        let study = Study::new();
        let start =
            |command: Option<Command>| Some(command?.env("RUNNER_FAULT_LOCKS", "none").spawn().unwrap());
        // In containers no process is seen, either.
        let Some(mut first) = start(contained(&study, &OPTIONS)) else { return };
        let second = start(contained(&study, &OPTIONS)).unwrap();
        std::thread::sleep(moment);
        let before = study.records();
        stop(&mut first);
        let output = second.wait_with_output().unwrap();
        assert!(output.status.success(), "{:?}", texts(&output));
        // The file of one who cannot be seen stays: it might wake.
        let _ = std::fs::remove_dir_all(study.root().join("workers"));
        trial.settle(&study, Vec::new(), &before, 0);
    }
    trial.tell("a worker was killed where there are no locks");
}
