//! One run at a time per results folder, or any number of workers.
//!
//! A run holds a lock of the operating system on the file `lock` for as long as it lives, and workers share it. It is gone
//! with its process, in whatever container or machine that shares the folder, so nothing has to be unlocked by hand. What is
//! written in the file says whose it is, and decides nothing.
//!
//! Some network file systems have no locks. There the file alone is the lock: it is taken over when its process is seen
//! to be over, and otherwise has to be removed by whoever knows that it is. Workers do without it, and so do machines whose
//! locks the others do not see: what two of them must not do at once, [`crate::ledger::banks`] sees to.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{Result, RunnerError};
use crate::ledger::faults::{boundary, try_lock, write_all};
use crate::ledger::folder::make_folder;
use crate::ledger::owner::Owner;

/// How long a lock is tried for: `delora status` holds it for a moment whenever it looks.
const PATIENCE: Duration = Duration::from_millis(250);
/// Time after which a file without a lock has one writer, of two that began at once.
const SETTLED: Duration = Duration::from_millis(200);

const ANOTHER: &str = "another process";
const WORKERS: &str = "workers";

/// Held until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    file: File,
    /// What the user should know: whose abandoned lock this one replaced, and what the file system cannot do.
    pub notices: Vec<String>,
}

impl Lock {
    /// Takes the lock; fails when a run that may be alive has it.
    pub fn acquire(path: &Path) -> Result<Lock> {
        make_folder(path.parent().expect("a lock stands in a results folder"))?;
        let (mut file, locked) = open(path, File::try_lock)?;
        let found = read(path);
        if let Some(owner) = found.as_ref().filter(|owner| !(locked && owner.locked)) {
            owner.must_be_over(path)?;
        }
        let this = Owner::this_process(locked);
        let text = serde_json::to_string(&this).expect("plain fields");
        let mut name = || {
            boundary("locked", path)?;
            file.set_len(0)?;
            write_all(&mut file, text.as_bytes(), path)?;
            boundary("lock named", path)
        };
        let named = name().map_err(RunnerError::write(path));
        let mut lock = Lock { path: path.to_path_buf(), file, notices: Vec::new() };
        // A lock that could not be named is dropped here, and its file with it.
        named?;
        lock.notices
            .extend(found.map(|owner| format!("going on after {owner}, which ended without unlocking")));
        if !locked {
            std::thread::sleep(SETTLED);
            match read(path) {
                Some(owner) if owner == this => lock.notices.push(without_locks(path)),
                _ => return Err(held(path)),
            }
        }
        Ok(lock)
    }

    /// Shares the lock with other workers; fails when a run that may be alive has it.
    pub fn share(path: &Path) -> Result<Lock> {
        make_folder(path.parent().expect("a lock stands in a results folder"))?;
        let (file, locked) = open(path, File::try_lock_shared)?;
        if let Some(owner) = read(path).filter(|owner| !(locked && owner.locked)) {
            owner.must_be_over(path)?;
        }
        Ok(Lock { path: path.to_path_buf(), file, notices: Vec::new() })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The last of those who share it has it alone.
        let is_last = !matches!(try_lock(&self.file, File::try_lock), Err(TryLockError::WouldBlock));
        if is_last && is_at(&self.file, &self.path) {
            // A file that stays behind is taken over by the next run.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Who holds the lock at `path`, as far as it can be seen.
pub(crate) fn holder(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    let unlocked = match try_lock(&file, File::try_lock_shared) {
        Err(TryLockError::WouldBlock) => return Some(name(path)),
        Ok(()) => true,
        Err(TryLockError::Error(_)) => false,
    };
    let owner = read(path).filter(|owner| !(unlocked && owner.locked))?;
    owner.must_be_over(path).is_err().then(|| owner.to_string())
}

/// The file, and whether its lock was taken: it is not where there are no locks.
fn open(path: &Path, lock: fn(&File) -> Result<(), TryLockError>) -> Result<(File, bool)> {
    let started = Instant::now();
    loop {
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path);
        let file = file.map_err(RunnerError::write(path))?;
        boundary("lock opened", path).map_err(RunnerError::write(path))?;
        match try_lock(&file, lock) {
            Ok(()) if is_at(&file, path) => return Ok((file, true)),
            Err(TryLockError::Error(error)) if has_no_locks(&error) => return Ok((file, false)),
            Err(TryLockError::Error(error)) => return Err(RunnerError::write(path)(error)),
            // Someone has it, or has removed the file after it was opened here.
            Ok(()) | Err(TryLockError::WouldBlock) if started.elapsed() < PATIENCE => {}
            Ok(()) | Err(TryLockError::WouldBlock) => return Err(held(path)),
        }
        std::thread::sleep(PATIENCE / 25);
    }
}

/// Whether an error says that the file system knows no locks.
fn has_no_locks(error: &io::Error) -> bool {
    const INVALID: i32 = 22; // EINVAL
    const NO_LOCKS: i32 = 37; // ENOLCK
    error.kind() == io::ErrorKind::Unsupported || matches!(error.raw_os_error(), Some(INVALID | NO_LOCKS))
}

/// Whether `path` still names this file.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |found: Metadata| (found.dev(), found.ino());
    let named = fs::metadata(path).ok().map(identity);
    named.is_some() && named == file.metadata().ok().map(identity)
}

fn read(path: &Path) -> Option<Owner> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Whose a lock is that cannot be taken: workers write nothing into it, and share it.
fn name(path: &Path) -> String {
    let shares = |file: File| try_lock(&file, File::try_lock_shared).is_ok();
    match read(path) {
        Some(owner) => owner.to_string(),
        None if File::open(path).is_ok_and(shares) => WORKERS.to_string(),
        None => ANOTHER.to_string(),
    }
}

fn held(path: &Path) -> RunnerError {
    let holder = name(path);
    let remedy = match holder.as_str() {
        WORKERS => "which `delora status` lists; wait for them, or be one by `delora run --worker`",
        _ => "which is running; wait for it or stop it",
    };
    RunnerError::Locked { path: path.to_path_buf(), holder, remedy: remedy.to_string() }
}

fn without_locks(path: &Path) -> String {
    let path = path.display();
    format!(
        "{path}: this file system has no locks, so the file alone keeps a second run out; where a run on another machine \
         or in another container is killed, remove it before the next"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_an_error_that_names_the_process_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = Lock::acquire(&path).unwrap();
        let this = format!("process {} of ", std::process::id());
        assert!(holder(&path).unwrap().starts_with(&this) && lock.notices.is_empty());
        let error = Lock::acquire(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("is held by {this}")) && error.contains(", since 20"), "{error}");
        drop(lock);
        assert_eq!((holder(&path), fs::read_dir(folder.path()).unwrap().count()), (None, 0));
        drop(Lock::acquire(&path).unwrap());
    }

    #[test]
    fn workers_share_the_lock_and_the_last_removes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let workers = [Lock::share(&path).unwrap(), Lock::share(&path).unwrap()];
        let refused = || Lock::acquire(&path).unwrap_err().to_string();
        assert!(refused().contains("is held by workers, which `delora status` lists"), "{}", refused());
        let [first, second] = workers;
        drop(first);
        assert!(refused().contains("workers"));
        drop(second);
        assert!(!path.exists());
        let run = Lock::acquire(&path).unwrap();
        let error = Lock::share(&path).unwrap_err().to_string();
        assert!(error.contains("is held by process") && error.contains("wait for it or stop it"), "{error}");
        drop(run);
        drop(Lock::share(&path).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn what_is_written_in_a_file_that_nobody_holds_keeps_no_run_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        // The very process that is alive here, of this machine: what counts is that it holds no lock.
        let alive = serde_json::to_string(&Owner::this_process(true)).unwrap();
        for (left, is_named) in [(alive.as_str(), true), ("{\"pid\"", false), ("", false)] {
            fs::write(&path, left).unwrap();
            assert_eq!(holder(&path), None, "{left}");
            let lock = Lock::acquire(&path).unwrap();
            assert_eq!(lock.notices.len(), usize::from(is_named), "{left}");
            assert!(lock.notices.iter().all(|notice| notice.starts_with("going on after process ")));
        }
    }

    #[test]
    fn a_status_that_looks_at_the_lock_again_and_again_keeps_no_run_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        fs::write(&path, "").unwrap();
        std::thread::scope(|scope| {
            let runs = scope.spawn(|| (0..50).for_each(|_| drop(Lock::acquire(&path).unwrap())));
            while !runs.is_finished() {
                let _ = holder(&path);
            }
        });
    }

    #[test]
    fn of_many_that_take_turns_only_one_holds_it_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let holders = std::sync::atomic::AtomicUsize::new(0);
        let turn = || {
            for _ in 0..50 {
                let Ok(_lock) = Lock::acquire(&path) else { continue };
                assert_eq!(holders.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                holders.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            }
        };
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(turn))));
        assert!(!path.exists());
    }
}
