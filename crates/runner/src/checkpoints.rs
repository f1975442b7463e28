//! Folders of the banks that are under way, each with a manifest of its trials.
//!
//! A bank's checkpoint fits only the same trials in the same order. The manifest lets a later run form that bank
//! again, whatever has been added to the grid meanwhile.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Result, RunnerError};
use crate::folder::{Folder, write_atomically};
use crate::identity::short_hash;
use crate::plan::State;
use crate::workload::Trial;

/// Members of a bank, in the order of its checkpoint's slots.
#[derive(Serialize, Deserialize)]
struct Manifest {
    trials: Vec<String>,
}

const MANIFEST: &str = "bank.json";

fn manifest(bank: &Path) -> Option<Manifest> {
    serde_json::from_slice(&fs::read(bank.join(MANIFEST)).ok()?).ok()
}

fn folders(folder: &Folder) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.checkpoints()).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

/// Folder of a bank's checkpoint, named by its trials.
pub(crate) fn path(folder: &Folder, trials: &[Trial]) -> PathBuf {
    let ids: Vec<&str> = trials.iter().map(|trial| trial.id.as_str()).collect();
    folder.checkpoints().join(short_hash(ids.join(",").as_bytes()))
}

/// Makes a bank's checkpoint folder, so that an interrupted run finds the same bank again.
pub(crate) fn open(path: &Path, trials: &[Trial]) -> Result<()> {
    fs::create_dir_all(path).map_err(RunnerError::write(path))?;
    let manifest = Manifest { trials: trials.iter().map(|trial| trial.id.clone()).collect() };
    let text = serde_json::to_string(&manifest).expect("a list of strings");
    write_atomically(&path.join(MANIFEST), text.as_bytes())
}

/// Removes a checkpoint, its manifest first: a folder without one is removed by the next run.
pub(crate) fn remove(path: &Path) -> Result<()> {
    fs::remove_file(path.join(MANIFEST)).map_err(RunnerError::write(path))?;
    fs::remove_dir_all(path).map_err(RunnerError::write(path))
}

/// Places in the grid of a bank's trials, if all of them are in it.
fn members(bank: &Path, trials: &[Trial]) -> Option<Vec<usize>> {
    let place = |id: &String| trials.iter().position(|trial| trial.id == *id);
    manifest(bank)?.trials.iter().map(place).collect()
}

/// Banks of the grid that are under way, by their trials' places in it.
pub(crate) fn interrupted(trials: &[Trial], folder: &Folder) -> Vec<Vec<usize>> {
    folders(folder).iter().filter_map(|bank| members(bank, trials)).collect()
}

/// Removes what a run that was killed has left: folders without a manifest, and those of banks that are finished.
pub(crate) fn sweep(trials: &[Trial], states: &[State], folder: &Folder) -> Result<()> {
    for bank in folders(folder) {
        let finished = |members: Vec<usize>| members.iter().all(|index| states[*index].is_final());
        if manifest(&bank).is_none() || members(&bank, trials).is_some_and(finished) {
            fs::remove_dir_all(&bank).map_err(RunnerError::write(&bank))?;
        }
    }
    Ok(())
}
