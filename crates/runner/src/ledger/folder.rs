//! Files of one experiment at one scale, and writing them whole or not at all.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Result, RunnerError};
use crate::experiments::Experiment;
use crate::ledger::faults::{self, boundary};

/// `results/<experiment>/<scale>`.
#[derive(Clone, Debug, Default)]
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

    /// Signs of life of the processes at work.
    pub fn workers(&self) -> PathBuf {
        self.root.join("workers")
    }

    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Where what cannot be read is set aside.
    pub fn damaged(&self) -> PathBuf {
        self.root.join("damaged")
    }

    fn own(&self) -> [PathBuf; 4] {
        [self.root.clone(), self.trials(), self.artifacts(), self.checkpoints()]
    }

    /// Makes the folders.
    pub fn make(&self) -> Result<()> {
        self.own().iter().try_for_each(|folder| make_folder(folder))
    }

    /// Makes the folders, and removes files that a killed run had not finished writing.
    pub fn prepare(&self) -> Result<()> {
        self.make()?;
        for path in self.own().iter().flat_map(|folder| entries(folder)) {
            if is_partial(&path) {
                fs::remove_file(&path).map_err(RunnerError::write(&path))?;
                boundary("partial file removed", &path).map_err(RunnerError::write(&path))?;
            }
        }
        Ok(())
    }

    /// Moves a file or folder that cannot be read to `damaged/`, under a name that is free; returns the new path.
    pub fn set_aside(&self, path: &Path) -> Result<PathBuf> {
        make_folder(&self.damaged())?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let free =
            (1..).map(|number| self.damaged().join(format!("{name}.{number}"))).find(|to| !to.exists());
        let to = free.expect("numbers do not end");
        fs::rename(path, &to).map_err(RunnerError::write(path))?;
        boundary("set aside", path).map_err(RunnerError::write(path))?;
        for folder in [parent(path), &self.damaged()] {
            sync_folder(folder).map_err(RunnerError::write(folder))?;
        }
        Ok(to)
    }
}

pub(super) const PARTIAL: &str = "partial";

/// Whether a path is that of a file that was being written.
pub(crate) fn is_partial(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == PARTIAL)
}

/// Paths in a folder, sorted; none where it cannot be read.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = found.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Makes a folder and those above it, each durable in the one that holds it.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).collect();
    let make = || {
        fs::create_dir_all(path)?;
        boundary("folder made", path)?;
        missing.iter().rev().try_for_each(|folder| sync_folder(parent(folder)))
    };
    make().map_err(RunnerError::write(path))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

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
        boundary("created", path)?;
        faults::write_all(&mut file, bytes, path)?;
        boundary("written", path)?;
        file.sync_all()?;
        boundary("synced", path)?;
        fs::rename(&partial, path)?;
        boundary("renamed", path)?;
        // The rename itself is durable once the folder is.
        sync_folder(parent(path))?;
        boundary("durable", path)
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
    fn a_bare_file_name_and_deep_folders_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(parent(Path::new("table.csv")), Path::new("."));
        let deep = folder.path().join("a/b/c");
        make_folder(&deep).unwrap();
        make_folder(&deep).unwrap();
        assert!(deep.is_dir());
    }

    #[test]
    fn what_is_set_aside_twice_is_kept_twice() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder { root: root.path().to_path_buf() };
        let path = root.path().join("bank");
        for number in [1, 2] {
            fs::write(&path, "torn").unwrap();
            let to = folder.set_aside(&path).unwrap();
            assert_eq!(to, root.path().join(format!("damaged/bank.{number}")));
        }
        assert_eq!((entries(&folder.damaged()).len(), path.exists()), (2, false));
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
