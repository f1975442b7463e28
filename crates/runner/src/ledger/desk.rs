//! A process at work on a results folder: its name, its banks, and what it sees of other workers.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Result, RunnerError};
use crate::ledger::banks::{Bank, BankList, Banks, Finished, Look, Next, is_gone};
use crate::ledger::checkpoints;
use crate::ledger::folder::{Folder, entries, is_partial};
use crate::ledger::records::{Ledger, Record};
use crate::ledger::shared::{Disk, SharedFolder};
use crate::ledger::state::State;
use crate::ledger::worker::{Watch, Worker};
use crate::workload::Trial;

pub(crate) struct Desk {
    pub banks: Banks,
    folder: Folder,
    watch: Watch,
    worker: Worker,
}

/// The banks of a folder as somebody sees them who takes none.
pub(crate) fn banks(folder: &Folder) -> Banks {
    Banks::new(Disk, folder.checkpoints(), "nobody".to_owned())
}

/// A bank that this worker has.
pub(crate) struct Lease<'a> {
    desk: &'a Desk,
    pub bank: Bank,
    /// Its trials.
    pub trials: Vec<String>,
}

/// What to do next: [`Next`], with a lease for a bank.
pub(crate) enum Step<'a> {
    Run(Lease<'a>),
    Plan { last: u64, trials: Vec<String> },
    Wait,
    Over,
}

impl Desk {
    /// `lease`: after how much silence a worker counts as gone.
    pub fn open(folder: &Folder, lease: Duration) -> Result<Desk> {
        let worker = Worker::start(&folder.workers(), lease)?;
        Ok(Desk {
            banks: Banks::new(Disk, folder.checkpoints(), worker.name.clone()),
            watch: Watch::new(folder.workers(), lease),
            folder: folder.clone(),
            worker,
        })
    }

    fn told<T>(&self, result: io::Result<T>) -> Result<T> {
        result.map_err(RunnerError::write(&self.folder.checkpoints()))
    }

    pub fn next(&self, again: bool, wanted: &BTreeSet<String>) -> Result<Step<'_>> {
        Ok(match self.told(self.banks.next(again, wanted, &|worker| self.watch.is_over(worker)))? {
            Next::Run(bank) => {
                let trials = self.told(self.banks.list(bank.plan))?.banks[bank.index].clone();
                Step::Run(Lease { desk: self, bank, trials })
            }
            Next::Plan { last, trials } => Step::Plan { last, trials },
            Next::Wait => Step::Wait,
            Next::Over => Step::Over,
        })
    }

    /// What there is for the trials that are wanted.
    pub fn look(&self, again: bool, wanted: &BTreeSet<String>) -> Result<Look> {
        self.told(self.banks.look(again, wanted, &|worker| self.watch.is_over(worker)))
    }

    pub fn propose(&self, last: u64, list: &BankList) -> Result<bool> {
        self.told(self.banks.propose(last, list))
    }

    /// Others that have banks now.
    pub fn others(&self) -> Result<BTreeSet<String>> {
        let all = self.told(self.banks.all())?;
        let owners = all.into_iter().filter_map(|(bank, _)| bank.owner);
        Ok(owners.filter(|owner| *owner != self.worker.name).collect())
    }

    /// Removes what runs have left that nobody goes on from: banks that are finished or were never begun, unless a
    /// worker has them. Sets aside what cannot be read, and says so.
    ///
    /// `again`: whether diverged trials are run anew, so that such a bank is unfinished although each of its trials has
    /// a result.
    pub fn sweep(&self, trials: &[Trial], states: &[State], again: bool) -> Result<Vec<String>> {
        let mut notices = Vec::new();
        self.sweep_workers();
        let places: BTreeMap<&str, usize> =
            trials.iter().enumerate().map(|(place, trial)| (trial.id.as_str(), place)).collect();
        for path in entries(&self.folder.checkpoints()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Ok(plan) = name.parse() {
                match self.banks.list(plan) {
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        let aside = self.folder.set_aside(&path)?;
                        notices.push(format!(
                            "{error}; its banks start over, and what was left of them is in {}",
                            aside.display()
                        ));
                    }
                    _ => {}
                }
            } else if self.banks.is_left(&name, &|worker| self.watch.is_over(worker)) {
                if path.join("bank.json").exists() {
                    notices
                        .push(format!("{}: begun by an older version; its bank starts over", path.display()));
                }
                self.told(Disk.remove(&path))?;
            }
        }
        let is_final = |id: &String| places.get(id.as_str()).is_some_and(|place| states[*place].is_final());
        self.discard(|bank, list| {
            !(again && list.again) && list.banks[bank.index].iter().all(is_final) || self.is_unbegun(bank)
        })?;
        Ok(notices)
    }

    /// Removes banks that nobody has begun.
    pub fn discard_unbegun(&self) -> Result<()> {
        self.discard(|bank, _| bank.owner.is_none() && self.is_unbegun(bank))
    }

    fn is_unbegun(&self, bank: &Bank) -> bool {
        checkpoints::begun(&self.banks.path(bank)).is_empty()
    }

    /// Removes the files of workers that are over.
    fn sweep_workers(&self) {
        for path in entries(&self.folder.workers()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name != self.worker.name && self.watch.is_over(&name) {
                // A file that stays does no harm.
                let _ = std::fs::remove_file(path);
            }
        }
    }

    /// Removes the plans, where no bank is left, once nothing is left to plan.
    pub fn retire(&self) -> Result<()> {
        self.sweep_workers();
        self.told(self.banks.retire())
    }

    /// Removes the banks that are of no use, unless a worker has them.
    fn discard(&self, is_of_no_use: impl Fn(&Bank, &BankList) -> bool) -> Result<()> {
        for (bank, list) in self.told(self.banks.all())? {
            if is_of_no_use(&bank, &list)
                && self.banks.is_free(&bank, &|worker| self.watch.is_over(worker))
                && let Some(taken) = self.told(self.banks.take(&bank))?
            {
                self.banks.let_go(&taken);
                self.told(self.banks.end(&taken))?;
            }
        }
        Ok(())
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.desk.banks.let_go(&self.bank);
    }
}

impl Lease<'_> {
    /// The bank's folder.
    pub fn path(&self) -> PathBuf {
        self.desk.banks.path(&self.bank)
    }

    /// Whether nobody had the bank before, so that none of its trials can have been finished since it was planned.
    pub fn is_new(&self) -> bool {
        self.bank.fence == 1
    }

    /// Whether the bank is still this worker's.
    pub fn is_held(&self) -> bool {
        self.desk.banks.is_held(&self.bank)
    }

    /// Makes a result and its artifacts durable; `again`: in place of an earlier result.
    pub fn finish(&self, record: &Record, ledger: &Ledger, again: bool) -> Result<Finished> {
        match self.finish_artifacts() {
            Err(RunnerError::Write { source, .. } | RunnerError::Read { source, .. })
                if is_gone(&source) && !self.is_held() =>
            {
                return Ok(Finished::Lost);
            }
            other => other?,
        }
        let id = &record.outcome.trial_id;
        let target = ledger.path(id);
        let replaces = || again || !State::read(ledger, id).is_final();
        let bytes = record.text();
        let finished = self.desk.banks.finish(&self.bank, &target, bytes.as_bytes(), replaces);
        finished.map_err(RunnerError::write(&target))
    }

    /// Moves the artifacts, which are the files in the bank's folder, to where they stay.
    fn finish_artifacts(&self) -> Result<()> {
        let target = self.desk.folder.artifacts();
        let own = self.path();
        let names = Disk.names(&own).map_err(RunnerError::read(&own))?;
        let is_artifact = |path: &PathBuf| !is_partial(path) && !checkpoints::is_one(path);
        let mut files = names.iter().map(|name| own.join(name)).filter(is_artifact).peekable();
        if files.peek().is_none() {
            return Ok(());
        }
        for file in files {
            let to = target.join(file.file_name().expect("a name of the folder"));
            Disk.rename(&file, &to).map_err(RunnerError::write(&to))?;
        }
        Disk.sync(&target).map_err(RunnerError::write(&target))
    }

    /// Leaves the bank to whoever goes on from its checkpoints; false where another worker has it.
    pub fn give_back(self) -> Result<bool> {
        self.desk.told(self.desk.banks.give_back(&self.bank))
    }

    /// Ends the bank; false where another worker has it.
    pub fn end(self) -> Result<bool> {
        self.desk.told(self.desk.banks.end(&self.bank))
    }
}
