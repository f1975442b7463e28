//! Failpoints: every boundary at which a crash or an error of the file system could leave something half done.
//!
//! They exist in builds with the feature `faults`, which the tests turn on. There, environment variables of a process
//! order its fault:
//!
//! | variable             | effect |
//! |----------------------|--------|
//! | `RUNNER_FAULT_LOG`   | a file that gets a line for each boundary passed |
//! | `RUNNER_FAULT`       | `kill:N` ends the process at its Nth boundary as SIGKILL would; `error:N` makes it an I/O error; `full:N` and `read-only:N` make it and the next 20 errors of a full disk, and of one that cannot be written |
//! | `RUNNER_FAULT_CLOCK` | `backwards`: each look at the clock finds it an hour earlier |
//! | `RUNNER_FAULT_LOCKS` | `none`: no file can be locked, as on a file system without locks |

use std::env;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

static PASSED: AtomicU64 = AtomicU64::new(0);
static LOOKS: AtomicU64 = AtomicU64::new(0);

/// What a variable orders: nothing in builds without the feature.
fn ordered(variable: &str) -> Option<String> {
    if cfg!(feature = "faults") { env::var(variable).ok() } else { None }
}

/// Passes a boundary after `what` was done to `path`, unless a fault is ordered here.
pub(crate) fn boundary(what: &str, path: &Path) -> io::Result<()> {
    let number = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
    if let Some(log) = ordered("RUNNER_FAULT_LOG") {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut file = OpenOptions::new().create(true).append(true).open(log)?;
        file.write_all(format!("{number} {what} {name}\n").as_bytes())?;
    }
    let order = ordered("RUNNER_FAULT").unwrap_or_default();
    let Some((fault, at)) = order.split_once(':') else { return Ok(()) };
    let at: u64 = at.parse().map_err(io::Error::other)?;
    let lasts = (at..=at + 20).contains(&number);
    match fault {
        "kill" if number == at => std::process::abort(),
        "error" if number == at => Err(io::Error::other(format!("injected: {what}"))),
        "full" if lasts => Err(io::ErrorKind::StorageFull.into()),
        "read-only" if lasts => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
        _ => Ok(()),
    }
}

/// Writes in two parts, with a boundary between them.
pub(crate) fn write_all(file: &mut File, bytes: &[u8], path: &Path) -> io::Result<()> {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    file.write_all(first)?;
    boundary("half written", path)?;
    file.write_all(second)
}

/// Takes a lock of the operating system, unless there are to be none.
pub(crate) fn try_lock(file: &File, lock: fn(&File) -> Result<(), TryLockError>) -> Result<(), TryLockError> {
    match ordered("RUNNER_FAULT_LOCKS").as_deref() {
        Some("none") => Err(TryLockError::Error(io::ErrorKind::Unsupported.into())),
        _ => lock(file),
    }
}

pub(crate) fn unix_seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    match ordered("RUNNER_FAULT_CLOCK").as_deref() {
        Some("backwards") => now - 3600 * LOOKS.fetch_add(1, Ordering::SeqCst),
        _ => now,
    }
}
