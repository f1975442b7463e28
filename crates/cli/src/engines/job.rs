//! What an engine is given and says, and what all engines need.

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

pub(super) const JOBS: &str = "jobs.json";

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

/// What a program of an engine prints. An error says which program, and what it printed instead.
pub fn output(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
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
pub fn counted(words: impl Iterator<Item = String>) -> String {
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
pub fn shell_head(job: &Job) -> String {
    let exports = job
        .variables
        .iter()
        .map(|(name, value)| format!("export {name}={}\n", runner::shell_line([value.clone()])));
    let directory = runner::shell_line([job.directory.display().to_string()]);
    format!("cd {directory}\n{}", exports.collect::<String>())
}
