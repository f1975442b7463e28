//! What can be removed from a results folder without losing a result of its experiment.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Result, RunnerError};
use crate::experiments::Experiment;
use crate::ledger::folder::{Folder, entries, is_partial};
use crate::ledger::lock::Lock;
use crate::ledger::records::{Entry, Ledger};
use crate::ledger::worker::workers;
use crate::workload::Workload;

/// Why a file or folder can be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftoverKind {
    /// Progress of an interrupted bank, which then starts over.
    Checkpoint,
    /// A record that does not verify, or something that a run has set aside.
    Damaged,
    /// A file that was being written when its process died.
    Partial,
    /// A picture, or another artifact, of a trial that is not in the experiment.
    Orphan,
    /// The record of a trial that is not in the experiment as it is now.
    OtherTrial,
}

impl LeftoverKind {
    pub fn title(self) -> &'static str {
        match self {
            LeftoverKind::Checkpoint => "checkpoints of interrupted banks, which would start over",
            LeftoverKind::Damaged => "damaged files, and what runs have set aside",
            LeftoverKind::Partial => "files that were not written to their end",
            LeftoverKind::Orphan => "pictures and other artifacts of trials that are not in the experiment",
            LeftoverKind::OtherTrial => "results of trials that are not in the experiment as it is now",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Leftover {
    pub kind: LeftoverKind,
    pub path: PathBuf,
    pub bytes: u64,
}

/// What can be removed; no run can begin while this is held.
#[derive(Debug)]
pub struct Leftovers {
    /// Sorted by kind, then by path.
    pub items: Vec<Leftover>,
    _lock: Lock,
}

impl Leftovers {
    pub fn remove(self) -> Result<()> {
        for Leftover { path, .. } in &self.items {
            let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            removed.map_err(RunnerError::write(path))?;
        }
        Ok(())
    }
}

/// Finds what can be removed; fails while a run holds the folder.
pub fn leftovers(experiment: &Experiment, workload: &dyn Workload, results_dir: &Path) -> Result<Leftovers> {
    let grid = experiment.grid(workload)?;
    let folder = Folder::new(results_dir, experiment);
    if !folder.trials().is_dir() {
        return Err(RunnerError::Empty { path: folder.trials() });
    }
    let lock = Lock::acquire(&folder.lock())?;
    // Workers of this machine share the lock; those of others may live, too.
    if let Some((name, holder)) = workers(&folder.workers()).into_iter().next() {
        let path = folder.workers().join(name);
        let remedy =
            format!("a worker; wait for it, or remove {} if you know that it is over", path.display());
        return Err(RunnerError::Locked { path: folder.root, holder, remedy });
    }
    let ids: BTreeSet<&str> = grid.trials.iter().map(|trial| trial.id.as_str()).collect();
    let ledger = Ledger::new(folder.trials());
    let mut items = Vec::new();
    let mut add = |kind, path: PathBuf| items.push(Leftover { kind, bytes: size(&path), path });
    entries(&folder.checkpoints()).into_iter().for_each(|path| add(LeftoverKind::Checkpoint, path));
    entries(&folder.damaged()).into_iter().for_each(|path| add(LeftoverKind::Damaged, path));
    for folder in [&folder.root, &folder.trials(), &folder.artifacts()] {
        let partial = entries(folder).into_iter().filter(|path| is_partial(path));
        partial.for_each(|path| add(LeftoverKind::Partial, path));
    }
    for path in entries(&folder.trials()).into_iter().filter(|path| !is_partial(path)) {
        let id = path.file_stem().unwrap_or_default().to_string_lossy().to_string();
        match ledger.read(&id) {
            Entry::Found(_) if ids.contains(id.as_str()) => {}
            Entry::Found(_) => add(LeftoverKind::OtherTrial, path),
            Entry::Damaged { .. } | Entry::Missing => add(LeftoverKind::Damaged, path),
        }
    }
    for path in entries(&folder.artifacts()).into_iter().filter(|path| !is_partial(path)) {
        if owner(&path).is_some_and(|id| !ids.contains(id.as_str())) {
            add(LeftoverKind::Orphan, path);
        }
    }
    items.sort_by(|left, right| (left.kind, &left.path).cmp(&(right.kind, &right.path)));
    Ok(Leftovers { items, _lock: lock })
}

/// The trial that an artifact is named by, if its name begins with an id.
fn owner(path: &Path) -> Option<String> {
    const LENGTH: usize = 16;
    let name = path.file_name()?.to_string_lossy().to_string();
    let (id, rest) = name.split_at_checked(LENGTH)?;
    let is_id = id.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
    (is_id && rest.starts_with(['.', '-'])).then(|| id.to_string())
}

fn size(path: &Path) -> u64 {
    if path.is_dir() {
        return entries(path).iter().map(|path| size(path)).sum();
    }
    fs::symlink_metadata(path).map_or(0, |file| file.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_begin_with_an_id_belong_to_a_trial() {
        let of = |name: &str| owner(Path::new(name));
        assert_eq!(of("pictures/0123456789abcdef.png").unwrap(), "0123456789abcdef");
        assert_eq!(of("0123456789abcdef-400.png").unwrap(), "0123456789abcdef");
        for other in
            ["subject-dog.png", "0123456789abcdef", "0123456789abcdefg.png", "prompts-monster_toy.txt"]
        {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
