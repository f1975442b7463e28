//! Signs of life of the processes that share a results folder.
//!
//! Each has a file `workers/<name>`: who it is, and a dot for every beat of its heart. Its process holds a lock of the
//! operating system on the file, so that on one machine a process is known to be over the moment it is, whatever
//! container it ran in. Elsewhere it is over when its file has not grown for a lease's time, measured by the clock of
//! whoever looks and since it first looked: no two clocks are compared.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crate::error::{Result, RunnerError};
use crate::identity::short_hash;
use crate::ledger::faults::try_lock;
use crate::ledger::folder::{entries, make_folder};
use crate::ledger::owner::Owner;

/// So many beats fall into a lease's time.
const BEATS: u32 = 6;

/// This process at work on a results folder; its file is gone when this is dropped.
pub(crate) struct Worker {
    pub name: String,
    path: PathBuf,
    /// Dropped to end the heartbeat.
    end: Option<Sender<()>>,
    heart: Option<JoinHandle<()>>,
}

impl Worker {
    pub fn start(folder: &Path, lease: Duration) -> Result<Worker> {
        let mut owner = Owner::this_process(true);
        let name = name(&owner);
        let path = folder.join(&name);
        let mut file = loop {
            make_folder(folder)?;
            match OpenOptions::new().create(true).append(true).open(&path) {
                // Another worker has ended, and the folder with it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => break other.map_err(RunnerError::write(&path))?,
            }
        };
        owner.locked = try_lock(&file, File::try_lock).is_ok();
        let text = serde_json::to_string(&owner).expect("plain fields") + "\n";
        file.write_all(text.as_bytes()).map_err(RunnerError::write(&path))?;
        let (end, ended) = channel();
        let heart = std::thread::spawn(move || {
            while ended.recv_timeout(lease / BEATS) == Err(RecvTimeoutError::Timeout) {
                // What cannot be written now may be at the next beat; else the lease ends, as it should.
                let _ = file.write_all(b".");
            }
        });
        Ok(Worker { name, path, end: Some(end), heart: Some(heart) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end.take();
        if let Some(heart) = self.heart.take() {
            let _ = heart.join();
        }
        // A file that stays behind is one of a process that is over.
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_dir(self.path.parent().expect("the folder of workers"));
    }
}

/// A name that no other worker has, of letters, digits and `-`.
fn name(owner: &Owner) -> String {
    static STARTED: AtomicU64 = AtomicU64::new(0);
    let host: String =
        owner.host.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(40).collect();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let unique = short_hash(format!("{owner:?} {now} {number}").as_bytes());
    format!("{host}-{}-{}", owner.pid, &unique[..8])
}

/// Looks after other workers.
pub(crate) struct Watch {
    folder: PathBuf,
    lease: Duration,
    /// What was last seen of each, and since when.
    seen: Mutex<HashMap<String, (usize, Instant)>>,
}

impl Watch {
    pub fn new(folder: PathBuf, lease: Duration) -> Watch {
        Watch { folder, lease, seen: Mutex::default() }
    }

    /// Whether a worker is over: by its lock or its number on this machine, else by its silence.
    pub fn is_over(&self, name: &str) -> bool {
        let path = self.folder.join(name);
        match is_seen_to_be_over(&path) {
            Ok(true) => return true,
            Ok(false) => {}
            // It was there before its worker took anything.
            Err(error) => return error.kind() == io::ErrorKind::NotFound,
        }
        // What cannot be read now says nothing.
        let Ok(size) = fs::read(&path).map(|bytes| bytes.len()) else { return false };
        let mut seen = self.seen.lock().expect("nothing here panics");
        let (last, since) = seen.entry(name.to_owned()).or_insert((size, Instant::now()));
        if *last != size {
            (*last, *since) = (size, Instant::now());
        }
        since.elapsed() > self.lease
    }
}

/// Whether the process of a worker's file ran on this machine and does so no more.
fn is_seen_to_be_over(path: &Path) -> io::Result<bool> {
    let file = File::open(path)?;
    let Some(owner) = owner(path)? else { return Ok(false) };
    Ok(owner.is_of_this_machine()
        && match try_lock(&file, File::try_lock_shared) {
            Ok(()) if owner.locked => true,
            Err(TryLockError::WouldBlock) => false,
            Ok(()) | Err(TryLockError::Error(_)) => owner.must_be_over(path).is_ok(),
        })
}

/// Who a worker's file is of; nothing while it is being written.
fn owner(path: &Path) -> io::Result<Option<Owner>> {
    let text = fs::read_to_string(path)?;
    Ok(text.lines().next().and_then(|line| serde_json::from_str(line).ok()))
}

/// The workers that are not seen to be over, as in "process 71 of box, since 2026-01-31T12:00:00Z", by their names.
pub(crate) fn workers(folder: &Path) -> Vec<(String, String)> {
    let of_file = |path: PathBuf| {
        let is_over = is_seen_to_be_over(&path).ok()?;
        let name = path.file_name()?.to_string_lossy().into_owned();
        (!is_over).then_some((name, owner(&path).ok()??.to_string()))
    };
    entries(folder).into_iter().filter_map(of_file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_over_when_its_process_lets_go_of_its_file_or_is_silent_for_a_lease() {
        let folder = tempfile::tempdir().unwrap();
        let lease = Duration::from_millis(300);
        let watch = Watch::new(folder.path().to_path_buf(), lease);
        let worker = Worker::start(folder.path(), lease).unwrap();
        let path = folder.path().join(&worker.name);
        assert!(!watch.is_over(&worker.name) && workers(folder.path())[0].0 == worker.name);
        std::thread::sleep(2 * lease);
        assert!(!watch.is_over(&worker.name), "its heart beats");
        let left = fs::read(&path).unwrap();
        assert!(left.iter().filter(|byte| **byte == b'.').count() > 4, "{left:?}");
        let name = worker.name.clone();
        drop(worker);
        assert!(!folder.path().exists(), "the folder goes with its last file");
        // A process that was killed leaves a file that nobody holds.
        fs::create_dir(folder.path()).unwrap();
        fs::write(&path, &left).unwrap();
        assert!(watch.is_over(&name) && workers(folder.path()).is_empty());
        // Another machine's: only its silence counts, from the first look on.
        let elsewhere = String::from_utf8(left).unwrap().replace("\"boot_id\":\"", "\"boot_id\":\"other");
        let other = folder.path().join("other-1-2");
        fs::write(&other, &elsewhere).unwrap();
        assert!(!watch.is_over("other-1-2"));
        std::thread::sleep(2 * lease);
        assert!(watch.is_over("other-1-2") && watch.is_over("one-whose-file-is-gone"));
        fs::write(&other, elsewhere + ".").unwrap();
        assert!(!watch.is_over("other-1-2"), "it has woken");
        assert_eq!(workers(folder.path()).len(), 1);
        assert_eq!(entries(folder.path()).len(), 2);
    }
}
