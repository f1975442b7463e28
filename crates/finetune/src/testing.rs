//! For tests of tasks: banks that run by themselves, and whether a trial's identity follows the files that its loaders
//! open. And for their benches, what times come to.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use models::inputs::recorded;
use runner::{BankContext, Interrupted, Outcome, Progress, Trial, Workload};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::cost::seconds_of;

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
    let trial = |(index, config): (usize, &Value)| Trial {
        id: format!("{index}"),
        config: config.clone(),
        inputs: String::new(),
    };
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

/// `config` with another value of one setting.
pub fn with(mut config: Value, key: &str, value: Value) -> Value {
    config[key] = value;
    config
}

/// The curve of a trial's losses.
pub fn losses(outcome: &Outcome) -> Vec<f64> {
    outcome.curves.iter().filter(|point| point.metric == "loss").map(|point| point.value).collect()
}

/// Asserts that two outcomes of one trial differ by less than `tolerance` in each of `metrics`, and hardly in losses.
pub fn assert_alike<'a>(
    left: &Outcome,
    right: &Outcome,
    what: &str,
    (metrics, tolerance): (impl IntoIterator<Item = &'a str>, f64),
) {
    let (ours, theirs) = (losses(left), losses(right));
    assert_eq!(ours.len(), theirs.len());
    let gap = ours.iter().zip(&theirs).map(|(left, right)| (left - right).abs()).fold(0.0, f64::max);
    // Other shapes add in another order, over six to ten steps of AdamW.
    assert!(gap < 2e-4, "{what}: losses differ by {gap}");
    for name in metrics {
        let [left, right] = [left, right].map(|outcome| outcome.metrics.get(name).copied());
        let gap = left.zip(right).map_or(0.0, |(left, right)| (left - right).abs());
        assert!(gap < tolerance && left.is_some() == right.is_some(), "{what}: {name} {left:?}, {right:?}");
    }
}

/// Asserts that a bank which is asked to stop after a step, and run again, has the results of one that was not. Its
/// checkpoints and files are in `folder`.
pub fn assert_goes_on(workload: &dyn Workload, configs: &[Value], folder: &Path) -> Result<()> {
    let [whole, begun] = ["whole", "begun"].map(|name| folder.join(name));
    fs::create_dir_all(&whole)?;
    fs::create_dir_all(&begun)?;
    let whole = run_bank(workload, configs, &whole, (u64::MAX, false))?;
    let error = run_bank(workload, configs, &begun, (1, false)).expect_err("it was asked to stop");
    assert!(error.is::<Interrupted>(), "{error}");
    for (whole, resumed) in whole.iter().zip(&run_bank(workload, configs, &begun, (u64::MAX, false))?) {
        assert_eq!(losses(whole), losses(resumed));
        assert_eq!(whole.metrics, resumed.metrics);
    }
    Ok(())
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

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Rows and columns of the matrices whose product is timed.
const PEAK_SIZE: i64 = 2048;

/// Operations per second of the machine's own matrix product in `kind`, the best of five.
pub fn peak(kind: Kind, device: Device) -> f64 {
    let factor = || Tensor::randn([PEAK_SIZE, PEAK_SIZE], (Kind::Float, device)).to_kind(kind);
    let (left, right) = (factor(), factor());
    let product = |_| seconds_of(|| drop(f64::try_from(left.matmul(&right).get(0).get(0))));
    2.0 * (PEAK_SIZE as f64).powi(3) / (0..5).map(product).fold(f64::INFINITY, f64::min)
}
