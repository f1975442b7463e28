//! Which process holds a lock, as it is written into the lock's file.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Result, RunnerError};
use crate::ledger::stamp::utc_now;

/// A process: its number, where that number counts, and what tells it from a later one of the same number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub pid: u32,
    #[serde(default)]
    pub host: String,
    /// UTC, as in 2026-01-31T12:00:00Z.
    #[serde(default)]
    pub since: String,
    /// Whether the operating system holds the lock; otherwise the file alone does.
    #[serde(default)]
    pub locked: bool,
    boot_id: String,
    /// In which `pid` counts; containers on one machine have one each.
    #[serde(default)]
    pid_namespace: String,
    /// Clock ticks from boot to the start of the process.
    started_ticks: u64,
}

impl Owner {
    pub fn this_process(locked: bool) -> Owner {
        let pid = std::process::id();
        Owner {
            pid,
            host: line("/proc/sys/kernel/hostname"),
            since: utc_now(),
            locked,
            boot_id: line("/proc/sys/kernel/random/boot_id"),
            pid_namespace: pid_namespace(),
            started_ticks: started_ticks(pid).unwrap_or(0),
        }
    }

    /// Whether the process was of this machine as it runs now, in whatever container.
    pub fn is_of_this_machine(&self) -> bool {
        self.boot_id == line("/proc/sys/kernel/random/boot_id")
    }

    /// Fails unless the process is seen to be over: where no lock says so, its number has to.
    pub fn must_be_over(&self, path: &Path) -> Result<()> {
        let is_here = self.is_of_this_machine();
        // Files of older versions name no host and no namespace.
        let is_this_host = self.host.is_empty() || self.host == line("/proc/sys/kernel/hostname");
        let is_numbered_here = self.pid_namespace.is_empty() || self.pid_namespace == pid_namespace();
        let remedy = match (is_here, is_this_host, is_numbered_here) {
            (true, _, true) if started_ticks(self.pid) != Some(self.started_ticks) => return Ok(()),
            (true, _, true) => "which is running; wait for it or stop it".to_string(),
            // This machine has been started anew.
            (false, true, _) => return Ok(()),
            (true, _, false) | (false, false, _) => {
                let file = path.display();
                format!(
                    "which cannot be seen from here; wait for it, or remove {file} if you know that it is over"
                )
            }
        };
        Err(RunnerError::Locked { path: path.to_path_buf(), holder: self.to_string(), remedy })
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "process {}", self.pid)?;
        if !self.host.is_empty() {
            write!(f, " of {}, since {}", self.host, self.since)?;
        }
        Ok(())
    }
}

fn line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_string()
}

fn pid_namespace() -> String {
    fs::read_link("/proc/self/ns/pid").map_or(String::new(), |name| name.display().to_string())
}

/// Start time of a process; nothing for one that is over, reaped or not.
fn started_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything: count fields from its end.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let state = fields.first()?;
    if matches!(*state, "Z" | "X") { None } else { fields.get(19)?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_lock_a_process_is_over_when_its_number_says_so_and_never_guessed_to_be() {
        let this = Owner::this_process(false);
        let over = |owner: &Owner| owner.must_be_over(Path::new("lock")).map_err(|error| error.to_string());
        assert!(over(&this).unwrap_err().contains("is running; wait for it or stop it"));
        over(&Owner { started_ticks: this.started_ticks + 1, ..this.clone() }).unwrap();
        let rebooted = Owner { boot_id: "another".to_string(), ..this.clone() };
        over(&rebooted).unwrap();
        let elsewhere = Owner { host: "elsewhere".to_string(), ..rebooted };
        let container = Owner { pid_namespace: "pid:[1]".to_string(), pid: u32::MAX, ..this.clone() };
        for unseen in [elsewhere, container] {
            let message = over(&unseen).unwrap_err();
            assert!(
                message.contains("cannot be seen from here") && message.contains("remove lock"),
                "{message}"
            );
        }
        let older = format!(r#"{{"pid":{},"boot_id":{:?},"started_ticks":1}}"#, this.pid, this.boot_id);
        over(&serde_json::from_str(&older).unwrap()).unwrap();
    }
}
