//! Results that another experiment at the same scale has already computed: equal ids are equal trials.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Result, RunnerError};
use crate::ledger::folder::{Folder, make_folder, write_atomically};
use crate::ledger::records::{Entry, Ledger, Record};
use crate::ledger::state::State;
use crate::workload::Trial;

/// Copies finished records, with their artifacts, of open trials from the ledgers beside this one; says how many.
pub(crate) fn reuse(
    trials: &[Trial],
    ledger: &Ledger,
    folder: &Folder,
    results_dir: &Path,
    scale: &str,
) -> Result<usize> {
    let mut siblings: Vec<PathBuf> = fs::read_dir(results_dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join(scale))
        .collect();
    siblings.retain(|path| *path != folder.root && path.join("trials").is_dir());
    siblings.sort();
    if siblings.is_empty() {
        return Ok(0);
    }
    let mut count = 0;
    for trial in trials {
        if State::read(ledger, &trial.id).is_final() {
            continue;
        }
        for sibling in siblings.iter().map(|root| Folder { root: root.clone() }) {
            let Entry::Found(record) = Ledger::new(sibling.trials()).read(&trial.id) else { continue };
            if record.is_final() && copy_artifacts(&record, &sibling, folder)? {
                ledger.write(&record)?;
                count += 1;
                break;
            }
        }
    }
    Ok(count)
}

/// False when one of the artifacts is gone.
pub(super) fn copy_artifacts(record: &Record, from: &Folder, to: &Folder) -> Result<bool> {
    let files: Vec<_> = record.outcome.artifacts.values().collect();
    if files.iter().any(|file| !from.artifacts().join(file).is_file()) {
        return Ok(false);
    }
    for file in files {
        let target = to.artifacts().join(file);
        make_folder(target.parent().expect("the artifacts folder is above it"))?;
        let source = from.artifacts().join(file);
        write_atomically(&target, &fs::read(&source).map_err(RunnerError::read(&source))?)?;
    }
    Ok(true)
}
