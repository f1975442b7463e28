//! A smoke sweep of the toy workload in child processes, and what must be true of its results folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub const FILE: &str = r#"
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

pub const TRIALS: usize = 12;

/// A results folder that is removed in the end.
pub struct Study {
    folder: tempfile::TempDir,
    name: &'static str,
}

impl Study {
    pub fn new() -> Study {
        Study::of(FILE)
    }

    pub fn of(text: &str) -> Study {
        // In memory where that is possible: a process that dies leaves the same files, and waits for no disk.
        let memory = Path::new("/dev/shm");
        let folder =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        std::fs::write(folder.path().join("walk.toml"), text).unwrap();
        Study { folder, name: "walk" }
    }

    /// The same experiment under another name, in the same results folder.
    pub fn renamed(mut self, name: &'static str) -> Study {
        let text = std::fs::read_to_string(self.file()).unwrap();
        self.name = name;
        std::fs::write(self.file(), text.replace("\"walk\"", &format!("{name:?}"))).unwrap();
        self
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self) -> PathBuf {
        self.path().join(format!("{}.toml", self.name))
    }

    pub fn results(&self) -> PathBuf {
        self.path().join("results")
    }

    /// Folder of the experiment's results.
    pub fn root(&self) -> PathBuf {
        self.results().join(self.name).join("mini")
    }

    /// The command that runs the sweep; `options` are the example's.
    pub fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(toy());
        command.arg(self.file()).arg(self.results()).args(options);
        command.arg(format!("log={}", self.log().display()));
        // Errors are many here, and a backtrace of each takes longer than the run.
        command.env("RUST_BACKTRACE", "0");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn start(&self, pause_ms: u64) -> Child {
        self.command(&[&format!("pause_ms={pause_ms}")]).spawn().unwrap()
    }

    /// Runs to the end with a fault, in one bank after another, so that the same fault meets the same moment.
    pub fn run_with(&self, fault: &str) -> Output {
        self.command(&["workers=1"]).env("RUNNER_FAULT", fault).output().unwrap()
    }

    /// Runs to the end; standard output and error.
    pub fn finish(&self) -> (String, String) {
        let output = self.start(0).wait_with_output().unwrap();
        let [out, error] = texts(&output);
        assert!(output.status.success(), "{out}{error}");
        (out, error)
    }

    /// Every table, without the columns that hold times.
    pub fn tables(&self) -> BTreeMap<&'static str, Vec<Vec<String>>> {
        let table = |name| (name, without_times(&self.root().join(name)));
        ["trials.csv", "curves.csv", "methods.csv", "summary.csv"].map(table).into()
    }

    pub fn records(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let is_record = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
        let files = files(&self.root().join("trials")).into_iter().filter(is_record);
        files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    }

    /// Runs to the end and asserts that nothing was lost, run twice or left behind.
    ///
    /// `before` are the records that were there when the last run ended.
    pub fn recover(&self, before: &BTreeMap<PathBuf, Vec<u8>>, expected: &BTreeMap<&str, Vec<Vec<String>>>) {
        let lines = self.log_lines();
        self.finish();
        let records = self.records();
        for (path, bytes) in before {
            assert_eq!(records.get(path), Some(bytes), "{} was lost or written again", path.display());
            let id = path.file_stem().unwrap().to_string_lossy().to_string();
            assert!(!self.log_lines()[lines.len()..].contains(&id), "{id} was finished and run again");
        }
        assert_eq!(self.tables(), *expected);
        let distinct: BTreeSet<&String> = expected["trials.csv"].iter().skip(1).map(|row| &row[0]).collect();
        assert_eq!((expected["trials.csv"].len(), distinct.len()), (1 + TRIALS, TRIALS), "one row per trial");
        self.assert_tidy();
    }

    /// Nothing but results is in the folder.
    pub fn assert_tidy(&self) {
        let names = |folder: &str| -> Vec<String> {
            let files = files(&self.root().join(folder));
            files.iter().map(|path| path.file_name().unwrap().to_string_lossy().to_string()).collect()
        };
        let expected =
            "README.md checkpoints curves.csv items.csv methods.csv pictures summary.csv trials trials.csv";
        assert_eq!(names("").join(" "), expected);
        assert_eq!(
            (names("checkpoints").len(), names("trials").len(), names("pictures").len()),
            (0, TRIALS, TRIALS)
        );
    }

    pub fn wait_for(&self, what: &str, is_there: impl Fn() -> bool) {
        let started = Instant::now();
        while !is_there() {
            assert!(started.elapsed() < Duration::from_secs(120), "{what} in {}", self.root().display());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Step in the checkpoint of the bank that runs.
    pub fn checkpoint_step(&self) -> Option<u64> {
        let states = self.state_files().into_iter().filter_map(|path| std::fs::read(path).ok());
        states.filter_map(|state| serde_json::from_slice::<serde_json::Value>(&state).ok()?[0].as_u64()).max()
    }

    /// What banks have saved: `checkpoints/<plan>/<bank>/<checkpoint>/state.json`.
    pub fn state_files(&self) -> Vec<PathBuf> {
        let below =
            |folders: Vec<PathBuf>| -> Vec<PathBuf> { folders.iter().flat_map(|path| files(path)).collect() };
        let checkpoints = below(below(files(&self.root().join("checkpoints"))));
        checkpoints.iter().map(|path| path.join("state.json")).filter(|path| path.exists()).collect()
    }

    fn log(&self) -> PathBuf {
        self.path().join("runs.log")
    }

    /// Ids of the trials that were run, in order.
    pub fn log_lines(&self) -> Vec<String> {
        std::fs::read_to_string(self.log()).unwrap_or_default().lines().map(String::from).collect()
    }
}

/// Kills a run, and waits until it is dead. Whether it was killed, and had not ended before.
pub fn stop(run: &mut Child) -> bool {
    run.kill().unwrap();
    run.wait().unwrap().code().is_none()
}

/// The example's program.
pub fn toy() -> PathBuf {
    let deps = std::env::current_exe().unwrap();
    let toy = deps.parent().unwrap().parent().unwrap().join("examples/toy");
    assert!(toy.exists(), "`cargo test -p runner` builds the example that this test runs");
    toy
}

/// Paths in a folder, sorted.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

pub fn texts(output: &Output) -> [String; 2] {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).to_string())
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
