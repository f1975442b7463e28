//! Results of one experiment out of several results folders, by identity.

use std::path::{Path, PathBuf};

use crate::error::{Result, RunnerError};
use crate::experiments::Experiment;
use crate::ledger::compare::{Difference, differences};
use crate::ledger::folder::{Folder, entries};
use crate::ledger::lock::Lock;
use crate::ledger::older::take_over;
use crate::ledger::records::{Entry, Ledger};
use crate::ledger::reuse::copy_artifacts;
use crate::workload::Workload;

/// What a merge did.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    /// Trials that were taken.
    pub taken: usize,
    /// Trials that were there already, with the same numbers.
    pub known: usize,
    /// Where a folder has other numbers of a trial than are there; those that are there stay.
    pub conflicts: Vec<(PathBuf, Difference)>,
    /// Records that cannot be taken, and why.
    pub refused: Vec<String>,
}

/// Takes the finished trials of `others`, folders of all results each, into `results_dir`, with their artifacts.
///
/// Errors: a folder that has no result of the experiment; a run under way.
pub fn merge(
    experiment: &Experiment,
    workload: &dyn Workload,
    results_dir: &Path,
    others: &[PathBuf],
) -> Result<Merged> {
    let grid = experiment.grid(workload)?;
    let folder = Folder::new(results_dir, experiment);
    let sources: Vec<Folder> = others.iter().map(|other| Folder::new(other, experiment)).collect();
    if let Some(empty) = sources.iter().find(|source| !source.trials().is_dir()) {
        return Err(RunnerError::Empty { path: empty.trials() });
    }
    for folder in sources.iter().chain([&folder]) {
        take_over(workload, &grid.trials, folder)?;
    }
    let _lock = Lock::acquire(&folder.lock())?;
    folder.prepare()?;
    let ledger = Ledger::new(folder.trials());
    let mut merged = Merged::default();
    for source in &sources {
        let _source_lock = Lock::acquire(&source.lock())?;
        let theirs = Ledger::new(source.trials());
        for path in entries(&source.trials()) {
            let Some(id) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
            let record = match theirs.read(id) {
                Entry::Found(record) if record.is_final() => record,
                Entry::Damaged { .. } => {
                    merged.refused.push(format!("{}: cannot be read; it is left there", path.display()));
                    continue;
                }
                Entry::Found(_) | Entry::Missing => continue,
            };
            if matches!(ledger.read(id), Entry::Found(ours) if ours.is_final()) {
                let found = differences(&[id.to_owned()], &folder, source);
                merged.known += usize::from(found.is_empty());
                merged.conflicts.extend(found.into_iter().map(|difference| (path.clone(), difference)));
            } else if copy_artifacts(&record, source, &folder)? {
                ledger.write(&record)?;
                merged.taken += 1;
            } else {
                merged
                    .refused
                    .push(format!("{}: one of its pictures or other files is gone", path.display()));
            }
        }
    }
    Ok(merged)
}
