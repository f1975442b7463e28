//! The cache of a repository, laid out as Python's `huggingface_hub` does.
//!
//! ```text
//! <cache>/<kind>s--<owner>--<name>/
//!   blobs/<etag>                    whole files; <etag>.incomplete while they arrive
//!   snapshots/<commit>/<file>       links to blobs
//!   refs/main                       commit of the newest snapshot that was fetched whole
//! <cache>/.locks/<kind>s--<owner>--<name>/<etag>.lock
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::bundles::Bundle;
use crate::error::{HubError, Result};
use crate::listing::is_commit;

pub(crate) struct RepositoryCache {
    folder: PathBuf,
    locks: PathBuf,
    revision: &'static str,
}

/// A lock of the operating system, gone with its process; the file stays.
pub(crate) struct Lock {
    _file: File,
}

impl RepositoryCache {
    pub fn new(cache: &Path, bundle: &Bundle) -> RepositoryCache {
        let name = format!("{}--{}", bundle.kind.plural(), bundle.repo.replace('/', "--"));
        let (folder, locks) = (cache.join(&name), cache.join(".locks").join(&name));
        RepositoryCache { folder, locks, revision: bundle.revision }
    }

    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    pub fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    /// Where the blob is while it arrives.
    pub fn incomplete(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(format!("{etag}.incomplete"))
    }

    /// Size of a file of a snapshot, when it is there.
    pub fn size(&self, commit: &str, file: &str) -> Option<u64> {
        size_of(&self.snapshot(commit).join(file))
    }

    /// Commit of the snapshot of the revision that was fetched last.
    pub fn current_commit(&self) -> Option<String> {
        if is_commit(self.revision) {
            return Some(self.revision.to_owned()).filter(|commit| self.snapshot(commit).is_dir());
        }
        let commit = fs::read_to_string(self.folder.join("refs").join(self.revision)).ok()?;
        Some(commit.trim().to_string()).filter(|commit| is_commit(commit))
    }

    /// Names of the files of a snapshot.
    pub fn files(&self, commit: &str) -> Vec<String> {
        let mut names = Vec::new();
        walk(&self.snapshot(commit), "", &mut names);
        names.sort();
        names
    }

    /// Makes the folder of blobs, so that a cache that cannot be written is found before the hub is asked for a file.
    pub fn prepare(&self) -> Result<()> {
        make_folder(&self.folder.join("blobs"))
    }

    /// Waits until no other process fetches the blob; calls `waiting` if one does.
    pub fn lock(&self, etag: &str, waiting: impl FnOnce()) -> Result<Lock> {
        make_folder(&self.locks)?;
        let path = self.locks.join(format!("{etag}.lock"));
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = open.map_err(HubError::write(&path))?;
        let taken = match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock()
            }
            Err(TryLockError::Error(error)) => Err(error),
            Ok(()) => Ok(()),
        };
        taken.map_err(HubError::write(&path))?;
        Ok(Lock { _file: file })
    }

    /// Makes a blob a file of the snapshot. The blob's lock is held.
    pub fn link(&self, commit: &str, file: &str, etag: &str) -> Result<()> {
        let path = self.snapshot(commit).join(file);
        make_folder(path.parent().expect("a file lies in its snapshot"))?;
        let depth = file.split('/').count() + 1;
        let target = Path::new(&"../".repeat(depth)).join("blobs").join(etag);
        // A link to nothing, or to a blob that was replaced, must go first.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(HubError::write(&path)(error)),
            _ => {}
        }
        match std::os::unix::fs::symlink(&target, &path) {
            // Another repository file of the same content, by another process.
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(HubError::write(&path)(error)),
            _ => Ok(()),
        }
    }

    /// Makes a snapshot the one that offline runs, Python's too, take for the revision.
    pub fn set_current(&self, commit: &str) -> Result<()> {
        if self.current_commit().as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.folder.join("refs").join(self.revision);
        make_folder(path.parent().expect("a reference lies in its folder"))?;
        let name = self.revision.replace('/', "-");
        let _lock = self.lock(&format!("refs-{name}"), || ())?;
        let whole = self.folder.join(format!(".{name}"));
        fs::write(&whole, commit).map_err(HubError::write(&whole))?;
        fs::rename(&whole, &path).map_err(HubError::write(&path))
    }
}

pub(crate) fn size_of(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|found| found.len())
}

/// Bytes that may still be written below `path`, where the system says so.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(HubError::write(path))
}

/// Files below `folder`, links that lead nowhere left out.
fn walk(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let name = format!("{prefix}{name}");
        match fs::metadata(entry.path()) {
            Ok(found) if found.is_dir() => walk(&entry.path(), &format!("{name}/"), names),
            Ok(_) => names.push(name),
            Err(_) => {}
        }
    }
}
