//! Where and when a trial ran: commit, machine, command, device and times.

use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::identity::PROTOCOL_VERSION;
use crate::ledger::faults::unix_seconds;
use crate::workload::Provenance;

/// Provenance of one result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    pub protocol: u32,
    /// Git commit of the folder that the experiment file is in, else the version of this build.
    pub commit: String,
    /// Whether tracked files other than results and plots differed from the commit.
    pub dirty: bool,
    pub device: String,
    pub libtorch: String,
    pub machine: String,
    pub cores: usize,
    pub command: String,
    /// UTC, as in 2026-01-31T12:00:00Z.
    pub started: String,
    pub finished: String,
}

impl Stamp {
    /// The stamp of a run that starts now.
    pub fn now(experiment_file: &Path, provenance: Provenance) -> Stamp {
        let folder = experiment_file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let commit = git(folder, &["rev-parse", "HEAD"]);
        // Results and plots are rewritten by the run itself and are no part of the code.
        let changes = [
            "status",
            "--porcelain",
            "--untracked-files=no",
            "--",
            ":(top)",
            ":(top,exclude)results",
            ":(top,exclude)plots",
        ];
        let dirty = commit.is_some() && git(folder, &changes).is_none_or(|text| !text.is_empty());
        Stamp {
            protocol: PROTOCOL_VERSION,
            commit: commit.unwrap_or_else(|| concat!("v", env!("CARGO_PKG_VERSION")).to_string()),
            dirty,
            device: provenance.device,
            libtorch: provenance.libtorch,
            machine: cpu_model(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            command: command_line(std::env::args()),
            started: utc_now(),
            finished: String::new(),
        }
    }

    /// The same stamp for a trial on `device` that took from `started` until now, or no time where the clock was set
    /// back.
    pub fn over(&self, started: &str, device: String) -> Stamp {
        let finished = utc_now().max(started.to_string());
        Stamp { started: started.to_string(), finished, device, ..self.clone() }
    }
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
}

fn cpu_model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| std::env::consts::ARCH.to_string(), |(_, name)| name.trim().to_string())
}

/// The command as it would be typed: the program without its folder.
fn command_line(arguments: impl Iterator<Item = String>) -> String {
    let words =
        arguments.enumerate().map(|(index, argument)| match (index, Path::new(&argument).file_name()) {
            (0, Some(name)) => name.to_string_lossy().to_string(),
            _ => argument,
        });
    shell_line(words)
}

/// Words as a line of a shell, quoted where it needs that.
pub fn shell_line(words: impl IntoIterator<Item = String>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    let quoted = |word: String| {
        if !word.is_empty() && word.chars().all(plain) {
            word
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    words.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// The time as in "2026-01-31T12:00:00Z".
pub fn utc_now() -> String {
    let now = Timestamp::from_second(unix_seconds() as i64).unwrap_or(Timestamp::UNIX_EPOCH);
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_written_as_a_date_that_can_be_read() {
        let now = utc_now();
        assert_eq!(now.len(), "2026-01-31T12:00:00Z".len());
        let read: Timestamp = now.parse().unwrap();
        assert!((Timestamp::now().as_second() - read.as_second()).abs() < 60, "{now}");
    }

    #[test]
    fn a_trial_never_ends_before_it_starts() {
        let provenance = Provenance { device: "cpu".to_string(), libtorch: String::new() };
        let stamp = Stamp::now(Path::new("experiment.toml"), provenance);
        let later = "2999-01-01T00:00:00Z";
        assert_eq!(stamp.over(later, String::new()).finished, later);
        let earlier = "1999-01-01T00:00:00Z";
        assert!(stamp.over(earlier, String::new()).finished.as_str() > earlier);
    }

    #[test]
    fn a_command_is_written_as_it_is_typed() {
        let words = ["/opt/bin/delora", "run", "--set", "subject.class=a dog", "it's"];
        let line = command_line(words.iter().map(|word| word.to_string()));
        assert_eq!(line, r"delora run --set 'subject.class=a dog' 'it'\''s'");
    }
}
