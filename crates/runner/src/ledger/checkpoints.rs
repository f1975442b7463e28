//! Folders of the banks that are under way, each with a manifest of its trials.
//!
//! A bank's checkpoint fits only the same trials in the same order. The manifest lets a later run form that bank
//! again, whatever has been added to the grid meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Result, RunnerError};
use crate::identity::short_hash;
use crate::ledger::faults::boundary;
use crate::ledger::folder::{Folder, entries, make_folder, write_atomically};
use crate::ledger::state::State;
use crate::workload::Trial;

/// Members of a bank, in the order of its checkpoint's slots.
#[derive(Serialize, Deserialize)]
struct Manifest {
    trials: Vec<String>,
    /// Whether the bank runs diverged trials anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    again: bool,
}

impl Manifest {
    fn new(trials: &[Trial], again: bool) -> Manifest {
        Manifest { trials: trials.iter().map(|trial| trial.id.clone()).collect(), again }
    }

    /// Name of the bank's folder, so that a manifest that was altered does not fit it.
    fn name(&self) -> String {
        let again = if self.again { " again" } else { "" };
        short_hash(format!("{}{again}", self.trials.join(",")).as_bytes())
    }

    /// Places in the grid of the bank's trials, if all of them are in it.
    fn members(&self, trials: &[Trial]) -> Option<Vec<usize>> {
        self.trials.iter().map(|id| trials.iter().position(|trial| trial.id == *id)).collect()
    }
}

const MANIFEST: &str = "bank.json";

/// What a bank's folder says of its trials: nothing where it was not yet, or no longer, a checkpoint.
fn manifest(bank: &Path) -> Result<Option<Manifest>, String> {
    let bytes = match fs::read(bank.join(MANIFEST)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if bank.file_name().is_none_or(|name| name != manifest.name().as_str()) {
        return Err("its trials are not those that the folder is named by".to_string());
    }
    Ok(Some(manifest))
}

/// Folder of a bank's checkpoint, named by its trials.
pub(crate) fn path(folder: &Folder, trials: &[Trial], again: bool) -> PathBuf {
    folder.checkpoints().join(Manifest::new(trials, again).name())
}

/// Makes a bank's checkpoint folder, so that an interrupted run finds the same bank again.
pub(crate) fn open(path: &Path, trials: &[Trial], again: bool) -> Result<()> {
    make_folder(path)?;
    let text = serde_json::to_string(&Manifest::new(trials, again)).expect("strings and a flag");
    write_atomically(&path.join(MANIFEST), text.as_bytes())
}

/// Whether there is more in a bank's folder than its manifest.
pub(crate) fn is_begun(path: &Path) -> bool {
    entries(path).iter().any(|file| file.file_name().is_some_and(|name| name != MANIFEST))
}

/// Removes a checkpoint, its manifest first: a folder without one is removed by the next run.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let remove = || {
        match fs::remove_file(path.join(MANIFEST)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            other => other?,
        }
        boundary("manifest removed", path)?;
        fs::remove_dir_all(path)?;
        boundary("checkpoint removed", path)
    };
    remove().map_err(RunnerError::write(path))
}

/// Banks of the grid that are under way, by their trials' places in it; `again`: those that run diverged trials anew.
pub(crate) fn interrupted(trials: &[Trial], folder: &Folder, again: bool) -> Vec<Vec<usize>> {
    let banks = entries(&folder.checkpoints());
    let manifests = banks.iter().filter_map(|bank| manifest(bank).ok().flatten());
    manifests.filter(|found| found.again == again).filter_map(|found| found.members(trials)).collect()
}

/// Gives the trials of banks under way other ids, and the folders their names; returns how many banks that were.
pub(crate) fn rename(folder: &Folder, ids: &BTreeMap<String, String>) -> Result<usize> {
    let mut count = 0;
    for bank in entries(&folder.checkpoints()) {
        let Ok(Some(mut found)) = manifest(&bank) else { continue };
        if !found.trials.iter().any(|id| ids.contains_key(id)) {
            continue;
        }
        found.trials.iter_mut().for_each(|id| {
            if let Some(new) = ids.get(id) {
                id.clone_from(new);
            }
        });
        let to = folder.checkpoints().join(found.name());
        if to.exists() {
            continue;
        }
        // A folder whose manifest does not fit its name is set aside by the next run: the bank then starts over.
        let text = serde_json::to_string(&found).expect("strings and a flag");
        write_atomically(&bank.join(MANIFEST), text.as_bytes())?;
        fs::rename(&bank, &to).map_err(RunnerError::write(&bank))?;
        count += 1;
    }
    Ok(count)
}

/// Removes what a run that was killed has left: folders without a manifest, and those of banks that are finished.
///
/// Sets aside what cannot be read, and says so. `again`: whether diverged trials are run anew, so that such a bank
/// is unfinished although each of its trials has a result.
pub(crate) fn sweep(trials: &[Trial], states: &[State], folder: &Folder, again: bool) -> Result<Vec<String>> {
    let mut notices = Vec::new();
    for bank in entries(&folder.checkpoints()) {
        let finished = |members: Vec<usize>| members.iter().all(|index| states[*index].is_final());
        match manifest(&bank) {
            Ok(None) => remove(&bank)?,
            Ok(Some(found)) if found.again && again => {}
            Ok(Some(found)) if found.members(trials).is_some_and(finished) => remove(&bank)?,
            Ok(Some(_)) => {}
            Err(reason) => {
                let aside = folder.set_aside(&bank)?;
                notices.push(format!(
                    "{}: {reason}; the bank's trials start over, and what was left of it is in {}",
                    bank.join(MANIFEST).display(),
                    aside.display()
                ));
            }
        }
    }
    Ok(notices)
}
