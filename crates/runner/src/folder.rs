//! Files of one experiment at one scale, and writing them whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Result, RunnerError};
use crate::experiment::Experiment;

/// `results/<experiment>/<scale>`.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    pub root: PathBuf,
}

impl Folder {
    pub fn new(results_dir: &Path, experiment: &Experiment) -> Folder {
        Folder { root: results_dir.join(&experiment.name).join(&experiment.scale) }
    }

    pub fn trials(&self) -> PathBuf {
        self.root.join("trials")
    }

    pub fn artifacts(&self) -> PathBuf {
        self.root.join("pictures")
    }

    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Makes the folders, and removes files that a killed run had not finished writing.
    pub fn prepare(&self) -> Result<()> {
        for folder in [self.trials(), self.artifacts(), self.checkpoints()] {
            fs::create_dir_all(&folder).map_err(RunnerError::write(&folder))?;
        }
        for folder in [self.root.clone(), self.trials()] {
            for entry in fs::read_dir(&folder).map_err(RunnerError::read(&folder))?.flatten() {
                if entry.path().extension().is_some_and(|extension| extension == PARTIAL) {
                    fs::remove_file(entry.path()).map_err(RunnerError::write(&entry.path()))?;
                }
            }
        }
        Ok(())
    }
}

const PARTIAL: &str = "partial";

/// Writes a file so that a reader, or a run after a crash, sees the old bytes or the new ones, never a part.
///
/// The bytes reach the disk under another name in the same folder before the rename. A file that already has these
/// bytes is left alone.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unique = COUNTER.fetch_add(1, Ordering::Relaxed);
    let partial = path.with_file_name(format!(".{name}.{}.{unique}.{PARTIAL}", std::process::id()));
    let write = || {
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        // The rename itself is durable once the folder is.
        path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    };
    write().map_err(|source| {
        // The first error is the one to report; the remainder goes with the next run.
        let _ = fs::remove_file(&partial);
        RunnerError::Write { path: path.to_path_buf(), source }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_remainder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        write_atomically(&path, b"old").unwrap();
        // A folder in the file's place makes the rename fail after the bytes were written.
        let blocked = folder.path().join("blocked");
        fs::create_dir_all(blocked.join("inner")).unwrap();
        assert!(write_atomically(&blocked, b"new").unwrap_err().to_string().contains("blocked"));
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["blocked", "table.csv"]);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write_atomically(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn readers_never_see_a_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        let texts = [vec![b'a'; 50_000], vec![b'b'; 70_000]];
        write_atomically(&path, &texts[0]).unwrap();
        std::thread::scope(|scope| {
            let writer =
                scope.spawn(|| (0..40).for_each(|i| write_atomically(&path, &texts[i % 2]).unwrap()));
            while !writer.is_finished() {
                let seen = fs::read(&path).unwrap();
                assert!(texts.contains(&seen), "{} bytes", seen.len());
            }
        });
    }
}
