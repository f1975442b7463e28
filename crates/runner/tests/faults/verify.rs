//! `verify_resume` with a workload that resumes exactly, and with one that does not.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use runner::{Experiment, Verdict, Verification, verify_resume};

use crate::study::{FILE, Study, toy};
use crate::toy::Toy;

/// Most of the time is training, where a checkpoint matters.
fn long(text: &str) -> Study {
    Study::of(&text.replace("steps = 10", "steps = 30"))
}

fn verify(study: &Study, trials: Option<usize>) -> (Result<Verdict, String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = study.file();
    let command = |results: &Path, every: Duration, trials: &[String]| {
        let mut command = Command::new(toy());
        command.arg(&file).arg(results).args(["pause_ms=10", "workers=1"]);
        command
            .arg(format!("checkpoint_ms={}", every.as_millis()))
            .arg(format!("trials={}", trials.join(",")));
        command
    };
    let told = RefCell::new(Vec::new());
    let tell = |line: &str| told.borrow_mut().push(line.to_string());
    let verification =
        Verification { folder: folder.path(), kills: 6, seed: 1, trials, command: &command, tell: &tell };
    let experiment = Experiment::load(&file, "mini", &[]).unwrap();
    let verdict =
        verify_resume(&experiment, &Toy::default(), &verification).map_err(|error| error.to_string());
    (verdict, told.into_inner())
}

#[test]
fn a_workload_that_resumes_exactly_is_proved_to() {
    let (verdict, told) = verify(&long(FILE), None);
    let verdict = verdict.unwrap();
    assert_eq!((verdict.trials, verdict.kills, verdict.differences.len()), (4, 6, 0), "{told:#?}");
    assert!(verdict.is_proof() && verdict.with_checkpoint > 0, "{told:#?}");
    assert!(told[0].starts_with("undisturbed: 4 trials in "), "{told:#?}");
    let (verdict, _) = verify(&long(FILE), Some(6));
    assert_eq!(verdict.unwrap().trials, 6);
}

#[test]
fn a_workload_whose_checkpoint_is_off_by_a_hair_is_found_out() {
    let study = long(&FILE.replace("rate = 0.1", "rate = 0.1\nfault = \"forgetful\""));
    let (verdict, told) = verify(&study, None);
    let verdict = verdict.unwrap();
    assert!(verdict.with_checkpoint > 0 && !verdict.is_proof(), "{told:#?}");
    let what: Vec<&str> = verdict.differences.iter().map(|found| found.what.as_str()).collect();
    assert!(what.contains(&"metric score"), "{what:?}");
    assert!(what.iter().any(|what| what.starts_with("curve loss, first at step ")), "{what:?}");
    assert!(verdict.differences.iter().all(|found| found.left != found.right));
}

#[test]
fn a_run_that_fails_by_itself_is_told_with_its_last_words() {
    let study = long(&FILE.replace("rate = 0.1", "rate = 0.1\nfault = \"panic\""));
    let (verdict, _) = verify(&study, None);
    let message = verdict.unwrap_err();
    assert!(message.starts_with("the undisturbed run ended with exit status: 1"), "{message}");
}
