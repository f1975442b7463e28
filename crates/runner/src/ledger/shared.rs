//! What leases ask of a folder that many processes share, on one machine or on many.
//!
//! Each call happens at one moment for all who see the folder, as NFS and local file systems promise for a rename and
//! for a link. Nothing else is asked: no locks, no clocks, and what [`SharedFolder::names`] says may be old.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::ledger::faults::{boundary, write_all};
use crate::ledger::folder::sync_folder;

pub(crate) trait SharedFolder {
    /// Names in a folder; none where there is no folder.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>>;
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    fn make_folder(&self, path: &Path) -> io::Result<()>;
    /// A new file in a folder that is there, durable.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Fails `NotFound` where `from` is gone. A folder is moved over no folder that holds something. Durable after `sync`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// A second name of a file: fails `NotFound` where the file is gone, `AlreadyExists` where the name is taken.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync(&self, folder: &Path) -> io::Result<()>;
    /// Removes a file, or a folder with all that it holds; what is gone already is no error.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The file system.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk;

impl SharedFolder for Disk {
    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let found = match fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        found.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)?;
        boundary("folder made", path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(path)?;
        boundary("created", path)?;
        write_all(&mut file, bytes, path)?;
        boundary("written", path)?;
        file.sync_all()?;
        boundary("synced", path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        boundary("renamed", to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        match fs::hard_link(from, to) {
            // Some file systems know no second names. There two who hold one trial at once may both write it.
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
                if to.exists() {
                    return Err(ErrorKind::AlreadyExists.into());
                }
                fs::rename(from, to)?;
            }
            other => other?,
        }
        boundary("linked", to)
    }

    fn sync(&self, folder: &Path) -> io::Result<()> {
        sync_folder(folder)?;
        boundary("durable", folder)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        match removed {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }?;
        boundary("removed", path)
    }
}
