//! One run at a time per results folder.
//!
//! The lock names its process: id, start time and the boot of the machine. A lock whose process is gone is taken
//! over, so nothing has to be unlocked by hand after a crash. Folders shared by machines are not covered: there a
//! second run only repeats work, since the ledger's files are whole and equal.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Result, RunnerError};
use crate::faults::boundary;
use crate::folder::make_folder;

/// Process that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub pid: u32,
    boot_id: String,
    /// Clock ticks from boot to the start of the process: tells it from a later one of the same number.
    started_ticks: u64,
}

impl Owner {
    fn this_process() -> Owner {
        let pid = std::process::id();
        Owner { pid, boot_id: boot_id(), started_ticks: started_ticks(pid).unwrap_or(0) }
    }

    fn is_alive(&self) -> bool {
        self.boot_id == boot_id() && started_ticks(self.pid) == Some(self.started_ticks)
    }
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_string()
}

/// Start time of a process; nothing for one that is over, reaped or not.
fn started_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything: count fields from its end.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let state = fields.first()?;
    if matches!(*state, "Z" | "X") { None } else { fields.get(19)?.parse().ok() }
}

/// The live process that holds the lock at `path`.
pub(crate) fn holder(path: &Path) -> Option<u32> {
    read(path).filter(Owner::is_alive).map(|owner| owner.pid)
}

fn read(path: &Path) -> Option<Owner> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Held until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    owner: Owner,
    /// Process whose abandoned lock this one replaced.
    pub taken_from: Option<u32>,
}

impl Lock {
    /// Takes the lock; fails when a live process has it.
    pub fn acquire(path: &Path) -> Result<Lock> {
        let owner = Owner::this_process();
        let folder = path.parent().expect("a lock stands in a results folder");
        make_folder(folder)?;
        let own = path.with_extension(format!("{}.claim", owner.pid));
        let text = serde_json::to_string(&owner).expect("plain fields");
        if let Err(source) = fs::write(&own, text) {
            // The first error is the one to report.
            let _ = fs::remove_file(&own);
            return Err(RunnerError::Write { path: own, source });
        }
        let taken =
            boundary("claimed", &own).map_err(RunnerError::write(&own)).and_then(|()| take(path, &own));
        let removed = fs::remove_file(&own).map_err(RunnerError::write(&own));
        let lock = Lock { path: path.to_path_buf(), owner, taken_from: taken? };
        removed?;
        boundary("claim removed", path).map_err(RunnerError::write(path))?;
        sweep(folder);
        Ok(lock)
    }
}

/// Removes what processes that died while they took the lock have left.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let left = path.extension().is_some_and(|extension| extension == "claim" || extension == "aside");
        // A claim that cannot be read may be one that a live process is just writing.
        let in_use = || match read(&path) {
            Some(owner) => owner.is_alive(),
            None => named(&path).and_then(started_ticks).is_some(),
        };
        if left && !in_use() {
            // Whoever removes it first is right.
            let _ = fs::remove_file(&path);
        }
    }
}

/// The process that a claim, `lock.<pid>.claim`, is named by.
fn named(path: &Path) -> Option<u32> {
    path.file_stem()?.to_str()?.rsplit_once('.')?.1.parse().ok()
}

/// Links `own` to `path`, which fails when the name exists: whoever links first has the lock, with its content.
fn take(path: &Path, own: &Path) -> Result<Option<u32>> {
    let mut taken_from = None;
    loop {
        match fs::hard_link(own, path) {
            Ok(()) => {
                boundary("locked", path).map_err(RunnerError::write(path))?;
                return Ok(taken_from);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(RunnerError::Write { path: path.to_path_buf(), source }),
        }
        let found = read(path);
        if let Some(owner) = found.as_ref().filter(|owner| owner.is_alive()) {
            return Err(RunnerError::Locked { path: path.to_path_buf(), pid: owner.pid });
        }
        // Move the abandoned lock aside before removing it: if another run was faster, what moved is its live lock
        // and goes back.
        let aside = own.with_extension("aside");
        match fs::rename(path, &aside) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(source) => return Err(RunnerError::Write { path: path.to_path_buf(), source }),
            Ok(()) => boundary("moved aside", path).map_err(RunnerError::write(path))?,
        }
        if let Some(owner) = read(&aside).filter(Owner::is_alive) {
            fs::rename(&aside, path).map_err(RunnerError::write(path))?;
            return Err(RunnerError::Locked { path: path.to_path_buf(), pid: owner.pid });
        }
        fs::remove_file(&aside).map_err(RunnerError::write(&aside))?;
        boundary("old lock removed", path).map_err(RunnerError::write(path))?;
        taken_from = found.map(|owner| owner.pid).or(taken_from);
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if read(&self.path).as_ref() == Some(&self.owner) {
            // A lock that stays behind is abandoned and taken over by the next run.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_lock_is_an_error_that_names_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = Lock::acquire(&path).unwrap();
        assert_eq!((holder(&path), lock.taken_from), (Some(std::process::id()), None));
        let error = Lock::acquire(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(lock);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        drop(Lock::acquire(&path).unwrap());
    }

    #[test]
    fn locks_of_dead_processes_other_boots_and_garbage_are_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let this = Owner::this_process();
        let reused = Owner { started_ticks: this.started_ticks + 1, ..this.clone() };
        let rebooted = Owner { boot_id: "another".to_string(), ..this.clone() };
        for stale in [&reused, &rebooted] {
            fs::write(&path, serde_json::to_string(stale).unwrap()).unwrap();
            assert_eq!(holder(&path), None);
            assert_eq!(Lock::acquire(&path).unwrap().taken_from, Some(this.pid));
        }
        fs::write(folder.path().join("lock.1.claim"), serde_json::to_string(&rebooted).unwrap()).unwrap();
        fs::write(&path, "{\"pid\"").unwrap();
        // Process 1 lives as long as the machine.
        let being_written = folder.path().join("lock.1.aside");
        fs::write(&being_written, "").unwrap();
        fs::write(folder.path().join("lock.4294967295.claim"), "").unwrap();
        assert_eq!(Lock::acquire(&path).unwrap().taken_from, None);
        fs::remove_file(being_written).expect("what a live process is writing stays");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
