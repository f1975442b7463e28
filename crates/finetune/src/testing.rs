//! For tests of tasks: banks that run by themselves, and whether a trial's identity follows the files that its loaders
//! open.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use models::inputs::recorded;
use runner::{BankContext, Outcome, Progress, Trial, Workload};
use serde_json::Value;

/// Reports nothing.
pub struct Silent;

impl Progress for Silent {
    fn step(&self, _: u64, _: u64, _: &str) {}
}

/// Asks to stop after some steps.
struct StopAt<'a> {
    step: u64,
    stop: &'a AtomicBool,
}

impl Progress for StopAt<'_> {
    fn step(&self, done: u64, _: u64, _: &str) {
        if done >= self.step {
            self.stop.store(true, Ordering::SeqCst);
        }
    }
}

/// Outcomes of one bank, whose trials are named by their places in `configs`; its checkpoints and files are in
/// `folder`. It is asked to stop once `stop_at` steps are reported, and saves adapters where it is told to.
pub fn run_bank(
    workload: &dyn Workload,
    configs: &[Value],
    folder: &Path,
    (stop_at, save_adapters): (u64, bool),
) -> Result<Vec<Outcome>> {
    let trial = |(index, config): (usize, &Value)| Trial { id: format!("{index}"), config: config.clone() };
    let trials: Vec<Trial> = configs.iter().enumerate().map(trial).collect();
    let stop = AtomicBool::new(false);
    let finished = Mutex::new(Vec::new());
    let context = BankContext {
        checkpoint_dir: folder.to_owned(),
        artifacts_dir: folder.to_owned(),
        done: &vec![false; configs.len()],
        stop: &stop,
        progress: &StopAt { step: stop_at, stop: &stop },
        checkpoint_every: Duration::from_secs(3600),
        save_adapters,
        finished: &|outcome| finished.lock().expect("no thread has panicked").push(outcome),
    };
    let mut outcomes = workload.run_bank(&trials, &context)?;
    outcomes.extend(finished.into_inner().expect("no thread has panicked"));
    outcomes.sort_by_key(|outcome| outcome.trial_id.parse::<usize>().ok());
    Ok(outcomes)
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (entry, target) = (entry.path(), to.join(entry.file_name()));
        if entry.is_dir() {
            copy_folder(&entry, &target)?;
        } else {
            fs::copy(&entry, &target)?;
        }
    }
    Ok(())
}

/// Changes each file that `load` opens in turn, and gives how many there are and those after whose change `digest` is as
/// before.
pub fn unnoticed<T>(
    load: impl FnOnce() -> Result<T>,
    digest: impl Fn() -> Result<String>,
) -> Result<(Vec<String>, Vec<String>)> {
    let (loaded, opened) = recorded(load);
    drop(loaded?);
    let before = digest()?;
    ensure!(digest()? == before, "two digests of the same files differ");
    let mut unnoticed = Vec::new();
    for path in &opened {
        let bytes = fs::read(path)?;
        fs::write(path, [bytes.as_slice(), b" "].concat())?;
        if digest()? == before {
            unnoticed.push(path.display().to_string());
        }
        fs::write(path, bytes)?;
    }
    Ok((opened.iter().map(|path| path.display().to_string()).collect(), unnoticed))
}
