//! Checkpoints of a bank that is under way, each with a manifest of its trials: folders in the bank's own.
//!
//! A checkpoint fits only the same trials in the same order. A bank that did not fit into memory has one for each of
//! its parts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Result, RunnerError};
use crate::identity::short_hash;
use crate::ledger::faults::boundary;
use crate::ledger::folder::{entries, write_atomically};
use crate::workload::Trial;

/// Trials in the order of the checkpoint's slots.
#[derive(Serialize, Deserialize)]
struct Manifest {
    trials: Vec<String>,
}

impl Manifest {
    fn new(trials: &[Trial]) -> Manifest {
        Manifest { trials: trials.iter().map(|trial| trial.id.clone()).collect() }
    }

    /// Name of the checkpoint's folder, so that a manifest that was altered does not fit it.
    fn name(&self) -> String {
        short_hash(self.trials.join(",").as_bytes())
    }
}

const MANIFEST: &str = "bank.json";

/// What a folder says of its trials: nothing where it was not yet, or no longer, a checkpoint.
fn manifest(checkpoint: &Path) -> Result<Option<Manifest>, String> {
    let bytes = match fs::read(checkpoint.join(MANIFEST)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if checkpoint.file_name().is_none_or(|name| name != manifest.name().as_str()) {
        return Err("its trials are not those that the folder is named by".to_string());
    }
    Ok(Some(manifest))
}

/// Folder of a checkpoint in its bank's folder, named by its trials.
pub(crate) fn path(bank: &Path, trials: &[Trial]) -> PathBuf {
    bank.join(Manifest::new(trials).name())
}

/// Makes a checkpoint's folder in the bank's, which has to be there.
pub(crate) fn open(path: &Path, trials: &[Trial]) -> Result<()> {
    make_in(path)?;
    let text = serde_json::to_string(&Manifest::new(trials)).expect("strings");
    write_atomically(&path.join(MANIFEST), text.as_bytes())
}

/// Makes a folder in one that is there: a bank's folder that another worker has taken must not come back.
pub(crate) fn make_in(path: &Path) -> Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.and_then(|()| boundary("folder made", path)).map_err(RunnerError::write(path)),
    }
}

/// Whether there is more in a checkpoint's folder than its manifest.
pub(crate) fn is_begun(path: &Path) -> bool {
    entries(path).iter().any(|file| file.file_name().is_some_and(|name| name != MANIFEST))
}

/// Removes a checkpoint, its manifest first: a folder without one is no checkpoint.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let remove = || {
        match fs::remove_file(path.join(MANIFEST)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        boundary("manifest removed", path)?;
        fs::remove_dir_all(path)?;
        boundary("checkpoint removed", path)
    };
    remove().map_err(RunnerError::write(path))
}

/// The checkpoints in a bank's folder: the trials of each, or why it cannot be read.
pub(crate) fn begun(bank: &Path) -> Vec<(PathBuf, Result<Vec<String>, String>)> {
    let of_folder = |path: PathBuf| {
        let trials = manifest(&path).transpose()?.map(|found| found.trials);
        Some((path, trials))
    };
    entries(bank).into_iter().filter(|path| is_begun(path)).filter_map(of_folder).collect()
}
