//! Failpoints: every boundary at which a crash or an error of the file system could leave something half done.
//!
//! They exist in builds with the feature `faults`, which the tests turn on. There, environment variables of a process
//! order its fault:
//!
//! | variable             | effect |
//! |----------------------|--------|
//! | `RUNNER_FAULT_LOG`   | a file that gets a line for each boundary passed |
//! | `RUNNER_FAULT`       | `kill:N` ends the process at its Nth boundary as SIGKILL would; `error:N` makes it an I/O error |
//! | `RUNNER_FAULT_CLOCK` | `backwards`: each look at the clock finds it an hour earlier |
//! | `RUNNER_FAULT_LOCKS` | `none`: no file can be locked, as on a file system without locks |

pub(crate) use points::{boundary, try_lock, unix_seconds, write_all};

#[cfg(not(feature = "faults"))]
mod points {
    use std::fs::{File, TryLockError};
    use std::io::{self, Write};
    use std::path::Path;
    use std::time::{SystemTime, UNIX_EPOCH};

    #[inline(always)]
    pub fn boundary(_what: &str, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    pub fn write_all(file: &mut File, bytes: &[u8], _path: &Path) -> io::Result<()> {
        file.write_all(bytes)
    }

    pub fn try_lock(file: &File, lock: fn(&File) -> Result<(), TryLockError>) -> Result<(), TryLockError> {
        lock(file)
    }

    pub fn unix_seconds() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
    }
}

#[cfg(feature = "faults")]
mod points {
    use std::env;
    use std::fs::{File, OpenOptions, TryLockError};
    use std::io::{self, Write};
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{SystemTime, UNIX_EPOCH};

    static PASSED: AtomicU64 = AtomicU64::new(0);
    static LOOKS: AtomicU64 = AtomicU64::new(0);

    /// Passes a boundary after `what` was done to `path`, unless a fault is ordered here.
    pub fn boundary(what: &str, path: &Path) -> io::Result<()> {
        let number = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(log) = env::var_os("RUNNER_FAULT_LOG") {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let mut file = OpenOptions::new().create(true).append(true).open(log)?;
            file.write_all(format!("{number} {what} {name}\n").as_bytes())?;
        }
        let ordered = env::var("RUNNER_FAULT").unwrap_or_default();
        match ordered.split_once(':') {
            Some(("kill", at)) if at == number.to_string() => std::process::abort(),
            Some(("error", at)) if at == number.to_string() => {
                Err(io::Error::other(format!("injected: {what}")))
            }
            _ => Ok(()),
        }
    }

    /// Writes in two parts, with a boundary between them.
    pub fn write_all(file: &mut File, bytes: &[u8], path: &Path) -> io::Result<()> {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        file.write_all(first)?;
        boundary("half written", path)?;
        file.write_all(second)
    }

    /// Takes a lock of the operating system, unless there are to be none.
    pub fn try_lock(file: &File, lock: fn(&File) -> Result<(), TryLockError>) -> Result<(), TryLockError> {
        match env::var("RUNNER_FAULT_LOCKS").as_deref() {
            Ok("none") => Err(TryLockError::Error(io::ErrorKind::Unsupported.into())),
            _ => lock(file),
        }
    }

    pub fn unix_seconds() -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
        match env::var("RUNNER_FAULT_CLOCK").as_deref() {
            Ok("backwards") => now - 3600 * LOOKS.fetch_add(1, Ordering::SeqCst),
            _ => now,
        }
    }
}
