//! Engines that start workers on many machines: what they are given, what they say of it, and how it is taken back.
//!
//! An engine schedules processes and knows no trial; the results folder is where workers meet.

mod hyperqueue;
mod shell;
mod slurm;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// Workers to start, and what comes after the last of them.
pub struct Job {
    pub name: String,
    /// Where its files are: `jobs` in the results of the experiment at its scale.
    pub folder: PathBuf,
    /// Where commands run.
    pub directory: PathBuf,
    pub workers: usize,
    /// One worker.
    pub worker: Vec<String>,
    /// Tables and figures, once all workers have ended.
    pub figures: Vec<String>,
    /// Variables that commands need.
    pub variables: Vec<(String, String)>,
    pub request: Request,
}

/// What one worker needs.
pub struct Request {
    pub cpus: usize,
    pub gpus: usize,
    /// Host memory.
    pub gigabytes: u64,
    pub minutes: u64,
    pub partition: Option<String>,
    pub account: Option<String>,
    /// Lines for the head of a Slurm script, as they are.
    pub sbatch: Vec<String>,
    /// Time that a worker has for a last checkpoint before it is killed.
    pub grace_seconds: u64,
}

/// Something that was given to an engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Submitted {
    pub engine: String,
    pub id: String,
    /// Such as "workers" or "figures".
    pub what: String,
}

pub trait Engine: Sync {
    fn name(&self) -> &'static str;

    /// Names and texts of the files that it is given, or that a reader may start by hand.
    fn files(&self, job: &Job) -> Vec<(&'static str, String)>;

    /// Gives the files, which are in the job's folder, to the engine; nothing where a user starts them.
    fn submit(&self, job: &Job) -> anyhow::Result<Vec<Submitted>>;

    /// A line for each job and state, as in "Slurm job 12, workers: 2 running, 1 pending".
    fn states(&self, jobs: &[Submitted]) -> anyhow::Result<Vec<String>>;

    fn cancel(&self, jobs: &[Submitted]) -> anyhow::Result<()>;
}

/// Every engine, by the name that `--engine` takes.
pub const ENGINES: [&dyn Engine; 3] = [&slurm::Slurm, &hyperqueue::HyperQueue, &shell::Shell];

pub fn find(name: &str) -> Option<&'static dyn Engine> {
    ENGINES.into_iter().find(|engine| engine.name() == name)
}

const JOBS: &str = "jobs.json";

/// What was submitted for an experiment's results so far, oldest first.
pub fn submitted(folder: &Path) -> anyhow::Result<Vec<Submitted>> {
    let path = folder.join(JOBS);
    match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("{}: cannot be read", path.display())),
        Ok(bytes) => serde_json::from_slice(&bytes)
            .with_context(|| format!("{}: is no list of jobs; move it away", path.display())),
    }
}

/// Adds to what was submitted.
pub fn remember(folder: &Path, new: &[Submitted]) -> anyhow::Result<()> {
    let all = [submitted(folder)?, new.to_vec()].concat();
    let text = serde_json::to_string_pretty(&all).expect("plain fields");
    Ok(runner::write_atomically(&folder.join(JOBS), text.as_bytes())?)
}

/// Jobs by their engine.
pub fn by_engine(jobs: &[Submitted]) -> Vec<(&'static dyn Engine, Vec<Submitted>)> {
    let of_engine = |engine: &'static dyn Engine| {
        let own: Vec<Submitted> = jobs.iter().filter(|job| job.engine == engine.name()).cloned().collect();
        (!own.is_empty()).then_some((engine, own))
    };
    ENGINES.into_iter().filter_map(of_engine).collect()
}

/// What a program of an engine prints. An error says which program, and what it printed instead.
fn output(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).output();
    let output =
        output.with_context(|| format!("`{program}` cannot be started: is the engine on this machine?"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if !output.status.success() {
        let line = runner::shell_line([program].iter().chain(arguments).map(|word| word.to_string()));
        bail!("`{line}` failed with {}: {}", output.status, text(&output.stderr));
    }
    Ok(text(&output.stdout))
}

/// Counts of equal words, the most frequent first, as in "2 running, 1 pending".
fn counted(words: impl Iterator<Item = String>) -> String {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for word in words {
        match counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => counts.push((word, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let texts: Vec<String> = counts.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
    texts.join(", ")
}

/// A file's lines that set the folder and variables of what follows.
fn shell_head(job: &Job) -> String {
    let exports = job
        .variables
        .iter()
        .map(|(name, value)| format!("export {name}={}\n", runner::shell_line([value.clone()])));
    let directory = runner::shell_line([job.directory.display().to_string()]);
    format!("cd {directory}\n{}", exports.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(folder: &Path) -> Job {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect();
        Job {
            name: "delora-walk-mini".to_owned(),
            folder: folder.to_owned(),
            directory: "/home/a user/delora".into(),
            workers: 3,
            worker: words("/opt/delora run walk.toml --worker"),
            figures: words("/opt/delora plots walk.toml"),
            variables: vec![("LD_LIBRARY_PATH".to_owned(), "/opt/torch lib".to_owned())],
            request: Request {
                cpus: 2,
                gpus: 1,
                gigabytes: 9,
                minutes: 90,
                partition: Some("gpu".to_owned()),
                account: None,
                sbatch: vec!["--constraint=a100".to_owned()],
                grace_seconds: 120,
            },
        }
    }

    #[test]
    fn a_script_asks_for_what_a_worker_needs_and_for_nothing_that_was_not_said() {
        let job = job(Path::new("/shared/jobs"));
        let files = find("slurm").unwrap().files(&job);
        let script = &files[0].1;
        for line in [
            "#SBATCH --array=1-3",
            "#SBATCH --partition=gpu",
            "#SBATCH --gres=gpu:1",
            "#SBATCH --cpus-per-task=2",
            "#SBATCH --mem=9G",
            "#SBATCH --time=01:30:00",
            "#SBATCH --signal=TERM@120",
            "#SBATCH --requeue",
            "#SBATCH --constraint=a100",
            "cd '/home/a user/delora'",
            "export LD_LIBRARY_PATH='/opt/torch lib'",
        ] {
            assert!(script.lines().any(|own| own == line), "no `{line}` in\n{script}");
        }
        assert!(!script.contains("--account") && files[1].1.contains("/opt/delora plots walk.toml"));
        let file = &find("hyperqueue").unwrap().files(&job)[0].1;
        let table: toml::Table = file.parse().unwrap();
        let tasks = table["task"].as_array().unwrap();
        assert_eq!(tasks.len(), 4, "{file}");
        assert_eq!(tasks[0]["request"][0]["resources"]["gpus/nvidia"].as_integer(), Some(1));
        assert_eq!(tasks[3]["deps"].as_array().unwrap().len(), 3);
        let lines = &find("shell").unwrap().files(&job)[0].1;
        assert_eq!(lines.matches("--worker").count(), 3, "{lines}");
        for (name, text) in files.iter().chain([&("lines.sh", lines.clone())]) {
            let path = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(path.path(), text).unwrap();
            let checked = Command::new("bash").arg("-n").arg(path.path()).output().unwrap();
            assert!(checked.status.success(), "{name}: {}", String::from_utf8_lossy(&checked.stderr));
        }
    }

    #[test]
    fn what_was_submitted_is_remembered_and_a_damaged_list_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let job = |engine: &str, id: &str| Submitted {
            engine: engine.to_owned(),
            id: id.to_owned(),
            what: "workers".to_owned(),
        };
        assert_eq!(submitted(folder.path()).unwrap(), []);
        remember(folder.path(), &[job("slurm", "7")]).unwrap();
        remember(folder.path(), &[job("hyperqueue", "1"), job("slurm", "9")]).unwrap();
        let all = submitted(folder.path()).unwrap();
        let ids: Vec<Vec<String>> = by_engine(&all)
            .into_iter()
            .map(|(_, jobs)| jobs.into_iter().map(|job| job.id).collect())
            .collect();
        assert_eq!(ids, [vec!["7".to_owned(), "9".to_owned()], vec!["1".to_owned()]]);
        std::fs::write(folder.path().join(JOBS), "[").unwrap();
        let message = format!("{:#}", submitted(folder.path()).unwrap_err());
        assert!(message.contains("jobs.json: is no list of jobs; move it away"), "{message}");
        let missing = output("no-such-program", &[]).unwrap_err().to_string();
        assert!(missing.contains("`no-such-program` cannot be started"), "{missing}");
        let states = ["running", "pending", "running"].map(str::to_owned).into_iter();
        assert_eq!(counted(states), "2 running, 1 pending");
    }
}
