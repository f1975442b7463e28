//! The real binary of the toy workload, killed, interrupted and started twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const FILE: &str = r#"
name = "walk"
question = "Which walk ends lowest?"
task = "toy"
metric = "score"
direction = "maximize"
seeds = [0, 1, 2]
replicates = ["seed", "subject"]
[fixed]
steps = 10
[scientific]
method = ["plain", "wild"]
subject = { first = 2 }
[method.plain]
rate = 0.1
[method.wild]
rate = 30
"#;

const TRIALS: usize = 12;
const KILLS: usize = 20;

struct Study {
    folder: tempfile::TempDir,
}

impl Study {
    fn new() -> Study {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("walk.toml"), FILE).unwrap();
        Study { folder }
    }

    fn start(&self, pause_ms: u64) -> Child {
        let deps = std::env::current_exe().unwrap();
        let toy = deps.parent().unwrap().parent().unwrap().join("examples/toy");
        assert!(toy.exists(), "`cargo test -p runner` builds the example that this test runs");
        let (file, results) = (self.folder.path().join("walk.toml"), self.folder.path().join("results"));
        let mut command = Command::new(toy);
        command.args([&file, &results]).arg(pause_ms.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("results/walk/mini")
    }

    /// Runs to the end; standard output and error.
    fn finish(&self) -> (String, String) {
        let output = self.start(0).wait_with_output().unwrap();
        let [out, error] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(output.status.success(), "{out}{error}");
        (out, error)
    }

    /// Every table, without the columns that hold times.
    fn tables(&self) -> BTreeMap<&'static str, Vec<Vec<String>>> {
        let table = |name| (name, without_times(&self.root().join(name)));
        ["trials.csv", "curves.csv", "summary.csv"].map(table).into()
    }

    fn records(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = std::fs::read_dir(self.root().join("trials")).into_iter().flatten().flatten();
        let files =
            files.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "json"));
        files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    }

    fn wait_for(&self, what: &str, is_there: impl Fn() -> bool) {
        let started = Instant::now();
        while !is_there() {
            assert!(started.elapsed() < Duration::from_secs(20), "{what} in {}", self.root().display());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Step in the checkpoint of the bank that runs.
    fn checkpoint_step(&self) -> Option<u64> {
        let banks = std::fs::read_dir(self.root().join("checkpoints")).ok()?;
        let states = banks.flatten().filter_map(|bank| std::fs::read(bank.path().join("state.json")).ok());
        states.filter_map(|state| serde_json::from_slice::<serde_json::Value>(&state).ok()?[0].as_u64()).max()
    }
}

fn without_times(path: &Path) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(path).unwrap();
    let rows: Vec<Vec<String>> =
        reader.records().map(|row| row.unwrap().iter().map(String::from).collect()).collect();
    let times = ["train_seconds", "started", "finished"];
    let kept: Vec<usize> =
        (0..rows[0].len()).filter(|column| !times.contains(&rows[0][*column].as_str())).collect();
    rows.iter().map(|row| kept.iter().map(|column| row[*column].clone()).collect()).collect()
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn twenty_kills_at_random_moments_lose_no_finished_trial_and_change_no_result() {
    let uninterrupted = Study::new();
    uninterrupted.finish();
    let expected = uninterrupted.tables();
    assert_eq!(expected["trials.csv"].len(), 1 + TRIALS);

    let (mut kills, mut partial, mut studies) = (0, 0, 0);
    while kills < KILLS {
        let study = Study::new();
        studies += 1;
        let mut finished = BTreeMap::new();
        while kills < KILLS {
            let mut child = study.start(3);
            // Anywhere from before the lock to the last tables.
            let moment = blake3::hash(&[kills as u8, studies]).as_bytes()[0];
            std::thread::sleep(Duration::from_millis(5 + u64::from(moment)));
            child.kill().unwrap();
            let killed = child.wait().unwrap().code().is_none();
            let records = study.records();
            for (path, bytes) in &finished {
                assert_eq!(records.get(path), Some(bytes), "a finished trial is lost or was run again");
            }
            finished = records;
            if !killed {
                break;
            }
            kills += 1;
            partial += usize::from(!finished.is_empty() && finished.len() < TRIALS);
        }
        study.finish();
        let records = study.records();
        assert!(finished.iter().all(|(path, bytes)| records.get(path) == Some(bytes)));
        assert_eq!(study.tables(), expected);
        assert_eq!(std::fs::read_dir(study.root().join("checkpoints")).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(study.root().join("trials")).unwrap().count(), TRIALS);
    }
    assert!(partial > 0, "no kill met a study with some finished and some open trials");
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
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_second_run_is_refused_while_the_first_lives_and_takes_over_after_it_is_killed() {
    let study = Study::new();
    let mut first = study.start(30_000);
    study.wait_for("the lock", || study.root().join("lock").exists());
    let second = study.start(0).wait_with_output().unwrap();
    let message = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success() && message.contains(&format!("process {}", first.id())), "{message}");
    first.kill().unwrap();
    first.wait().unwrap();
    let (_, message) = study.finish();
    assert!(message.contains(&format!("going on after process {}", first.id())), "{message}");
}
