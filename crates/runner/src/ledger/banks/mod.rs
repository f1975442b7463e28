//! Which banks there are, and who has which: the name of a folder says it.
//!
//! ```text
//! checkpoints/
//!   2/                               the second plan of this folder
//!     plan.json                      the trials of its banks
//!     000000.0.free                  its first bank, which nobody has
//!     000001.3.node7-4242-9f86d081   its second, which this worker has as the third that took it
//! ```
//!
//! - **A plan** is made in a folder `3.planning`, which one worker makes by a rename, and is moved to its number when it is
//!   whole. Who makes a plan has read all plans before it, so that no trial is in two banks.
//! - **A bank is taken** by giving its folder another name, with the next fencing number. Of several who try, one finds
//!   the old name.
//! - **A result is finished** by a file in the bank's folder that gets a second name in the ledger. A worker whose bank
//!   has been taken finds no such folder, so it finishes nothing, whenever it wakes. A result that is there is not
//!   replaced.
//! - **A bank ends** by giving its folder a name that is no bank's; what it holds is removed after that.

#[cfg(test)]
mod model;
mod planning;

use std::collections::{BTreeSet, HashMap};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use crate::ledger::folder::PARTIAL;
use crate::ledger::records::unseal;
use crate::ledger::shared::{Disk, SharedFolder};

/// The trials of a plan's banks, by their ids.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct BankList {
    pub banks: Vec<Vec<String>>,
    /// Whether diverged trials are run anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// A bank's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bank {
    pub plan: u64,
    /// Its place in the plan.
    pub index: usize,
    /// How often it has been taken or given back.
    pub fence: u64,
    /// The worker that has it.
    pub owner: Option<String>,
}

const FREE: &str = "free";
const PLAN: &str = "plan.json";

impl Bank {
    fn name(&self) -> String {
        format!("{:06}.{}.{}", self.index, self.fence, self.owner.as_deref().unwrap_or(FREE))
    }

    fn parse(plan: u64, name: &str) -> Option<Bank> {
        let parts: Vec<&str> = name.split('.').collect();
        let [index, fence, owner] = parts[..] else { return None };
        let owner = (owner != FREE).then(|| owner.to_owned());
        Some(Bank { plan, index: index.parse().ok()?, fence: fence.parse().ok()?, owner })
    }

    fn taken_by(&self, owner: Option<&str>) -> Bank {
        Bank { fence: self.fence + 1, owner: owner.map(str::to_owned), ..self.clone() }
    }
}

/// What became of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finished {
    /// It is in the ledger.
    First,
    /// The ledger had one already, which stays.
    Known,
    /// The bank has been taken by another worker, and nothing was done.
    Lost,
}

/// What a worker can do next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next {
    /// This bank is the worker's now.
    Run(Bank),
    /// These trials are in no bank, after so many plans.
    Plan { last: u64, trials: Vec<String> },
    /// Others have the banks of what is wanted.
    Wait,
    /// Nothing is wanted any more.
    Over,
}

/// What there is for the trials that are wanted.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// Number of the last plan.
    pub last: u64,
    /// Banks that nobody has, or one who is over.
    pub free: Vec<Bank>,
    /// Whether others have banks.
    is_held: bool,
    /// Whether a worker is making a plan, so that what is in no bank may soon be in one.
    pub is_planned: bool,
    /// Trials in no bank.
    pub open: Vec<String>,
}

/// The banks of one results folder, as one worker sees them.
pub(crate) struct Banks<F = Disk> {
    files: F,
    folder: PathBuf,
    worker: String,
    /// What was read of plans, which do not change.
    lists: Mutex<HashMap<u64, Arc<BankList>>>,
    /// Banks that may be free, from the last look at the folder, the next at the end.
    free: Mutex<Vec<Bank>>,
    /// Banks that this worker has: their plans and places. What has its name beside these it may take again.
    held: Mutex<BTreeSet<(u64, usize)>>,
    /// Held, and true, while a plan is made, of which the process has one place aside.
    planning: Mutex<bool>,
}

impl<F: SharedFolder> Banks<F> {
    /// `worker` is a name that no other worker has, without dots.
    pub fn new(files: F, folder: PathBuf, worker: String) -> Banks<F> {
        Banks {
            files,
            folder,
            worker,
            lists: Mutex::default(),
            free: Mutex::default(),
            held: Mutex::default(),
            planning: Mutex::default(),
        }
    }

    fn plan_folder(&self, plan: u64) -> PathBuf {
        self.folder.join(plan.to_string())
    }

    pub fn path(&self, bank: &Bank) -> PathBuf {
        self.plan_folder(bank.plan).join(bank.name())
    }

    /// Numbers of the plans, the oldest first.
    fn plans(&self) -> io::Result<Vec<u64>> {
        let names = self.files.names(&self.folder)?;
        let mut plans: Vec<u64> = names.iter().filter_map(|name| name.parse().ok()).collect();
        plans.sort_unstable();
        Ok(plans)
    }

    /// The banks of a plan, where it still has any.
    pub fn list(&self, plan: u64) -> io::Result<Arc<BankList>> {
        let mut lists = self.lists.lock().expect(NO_PANIC);
        if let Some(list) = lists.get(&plan) {
            return Ok(list.clone());
        }
        let path = self.plan_folder(plan).join(PLAN);
        let list: BankList = unseal(&self.files.read(&path)?).map_err(|reason| {
            io::Error::new(ErrorKind::InvalidData, format!("{}: {reason}", path.display()))
        })?;
        let list = Arc::new(list);
        lists.insert(plan, list.clone());
        Ok(list)
    }

    fn banks_of(&self, plan: u64) -> io::Result<Vec<Bank>> {
        let names = self.files.names(&self.plan_folder(plan))?;
        let mut banks: Vec<Bank> = names.iter().filter_map(|name| Bank::parse(plan, name)).collect();
        banks.sort_unstable_by_key(|bank| (bank.index, std::cmp::Reverse(bank.fence)));
        // One folder each; a listing that was made while a bank was taken may have it twice.
        banks.dedup_by_key(|bank| bank.index);
        Ok(banks)
    }

    /// Every bank that has not ended, with its trials, in the order of plans.
    pub fn all(&self) -> io::Result<Vec<(Bank, Arc<BankList>)>> {
        let mut found = Vec::new();
        for plan in self.plans()? {
            let banks = self.banks_of(plan)?;
            if banks.is_empty() {
                continue;
            }
            match self.list(plan) {
                Ok(list) => {
                    found.extend(
                        banks
                            .into_iter()
                            .filter(|bank| bank.index < list.banks.len())
                            .map(|bank| (bank, list.clone())),
                    );
                }
                // Its last bank has ended meanwhile.
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// What to do for the trials that are wanted, in banks that run diverged trials anew or in others; `is_over` says
    /// that a worker does not live any more, as far as that can be seen.
    pub fn next(
        &self,
        again: bool,
        wanted: &BTreeSet<String>,
        is_over: &dyn Fn(&str) -> bool,
    ) -> io::Result<Next> {
        let is_wanted = |bank: &Bank| -> io::Result<bool> {
            let list = self.list(bank.plan)?;
            Ok(list.again == again && list.banks[bank.index].iter().any(|id| wanted.contains(id)))
        };
        let candidate = || self.free.lock().expect(NO_PANIC).pop();
        while let Some(bank) = candidate() {
            if is_wanted(&bank)?
                && let Some(taken) = self.take(&bank)?
            {
                return Ok(Next::Run(taken));
            }
        }
        let mut look = self.look(again, wanted, is_over)?;
        if !look.free.is_empty() {
            look.free.reverse();
            *self.free.lock().expect(NO_PANIC) = look.free;
            return self.next(again, wanted, is_over);
        }
        Ok(match (look.open.is_empty(), look.is_held || look.is_planned) {
            (false, _) => Next::Plan { last: look.last, trials: look.open },
            (true, true) => Next::Wait,
            (true, false) => Next::Over,
        })
    }

    /// Looks through all banks.
    pub fn look(
        &self,
        again: bool,
        wanted: &BTreeSet<String>,
        is_over: &dyn Fn(&str) -> bool,
    ) -> io::Result<Look> {
        // Plans are read before what they hold, and the ledger after both, so that what is in no bank was in none.
        let mut look = Look { last: self.plans()?.last().copied().unwrap_or(0), ..Look::default() };
        look.is_planned = self.is_planned(is_over)?;
        let mut banked = BTreeSet::new();
        for (bank, list) in self.all()? {
            let trials = &list.banks[bank.index];
            if list.again != again || !trials.iter().any(|id| wanted.contains(id)) {
                continue;
            }
            banked.extend(trials.iter().cloned());
            if self.is_free(&bank, is_over) {
                look.free.push(bank);
            } else {
                look.is_held = true;
            }
        }
        if !look.is_planned {
            look.open = wanted.difference(&banked).cloned().collect();
        }
        Ok(look)
    }

    /// Whether nobody has a bank, or one who is over, or this worker's name stands there for a bank that it let go of.
    pub fn is_free(&self, bank: &Bank, is_over: &dyn Fn(&str) -> bool) -> bool {
        match bank.owner.as_deref() {
            None => true,
            Some(owner) if owner == self.worker => {
                !self.held.lock().expect(NO_PANIC).contains(&(bank.plan, bank.index))
            }
            Some(owner) => is_over(owner),
        }
    }

    /// Takes a bank; nothing where another has been faster.
    pub fn take(&self, bank: &Bank) -> io::Result<Option<Bank>> {
        let taken = self.renamed(bank, bank.taken_by(Some(&self.worker)))?;
        if let Some(taken) = &taken {
            self.held.lock().expect(NO_PANIC).insert((taken.plan, taken.index));
        }
        Ok(taken)
    }

    /// Counts a bank as none of this worker's, whatever its folder is called.
    pub fn let_go(&self, bank: &Bank) {
        self.held.lock().expect(NO_PANIC).remove(&(bank.plan, bank.index));
    }

    /// Gives a bank back, with its checkpoints; false where it is another worker's.
    pub fn give_back(&self, bank: &Bank) -> io::Result<bool> {
        Ok(self.renamed(bank, bank.taken_by(None))?.is_some())
    }

    fn renamed(&self, from: &Bank, to: Bank) -> io::Result<Option<Bank>> {
        match self.files.rename(&self.path(from), &self.path(&to)) {
            Ok(()) => Ok(Some(to)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a bank is still the worker's: whether something can be written there, since a look may show what was.
    pub fn is_held(&self, bank: &Bank) -> bool {
        let probe = self.own_file(bank, Path::new("held"));
        !self.files.write(&probe, b"").is_err_and(|error| is_gone(&error))
    }

    /// A file in the bank's folder that is no artifact.
    fn own_file(&self, bank: &Bank, name: &Path) -> PathBuf {
        let name = name.file_name().expect("a file has a name").display();
        self.path(bank).join(format!("{name}.{PARTIAL}"))
    }

    /// Makes a result durable as `target`, unless the bank is another worker's; `replaces` is asked where a file is there.
    pub fn finish(
        &self,
        bank: &Bank,
        target: &Path,
        bytes: &[u8],
        replaces: impl Fn() -> bool,
    ) -> io::Result<Finished> {
        let own = self.own_file(bank, target);
        let finish = || {
            self.files.write(&own, bytes)?;
            match self.files.link(&own, target) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists && replaces() => {
                    self.files.rename(&own, target)?;
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(Finished::Known),
                Err(error) => return Err(error),
            }
            self.files.sync(target.parent().expect("the ledger's folder"))?;
            Ok(Finished::First)
        };
        match finish() {
            Err(error) if is_gone(&error) && !self.is_held(bank) => Ok(Finished::Lost),
            other => other,
        }
    }

    /// Ends a bank whose trials are all in the ledger, and removes its folder; false where it is another worker's.
    pub fn end(&self, bank: &Bank) -> io::Result<bool> {
        let path = self.path(bank);
        let ended = self.plan_folder(bank.plan).join(format!("{}.ended", bank.name()));
        match self.files.rename(&path, &ended) {
            Ok(()) => {}
            Err(error) if is_gone(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
        self.files.remove(&ended)?;
        Ok(true)
    }

    /// Removes the plans where no bank is left. Only for when nothing is left to plan: a number that is free again is one
    /// that two may take for different plans.
    pub fn retire(&self) -> io::Result<()> {
        if !self.all()?.is_empty() {
            return Ok(());
        }
        self.plans()?.into_iter().try_for_each(|plan| self.files.remove(&self.plan_folder(plan)))
    }
}

/// Whether a file or folder is not there, or not any more.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::StaleNetworkFileHandle)
}

/// Whether a folder cannot have a name because another has it.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty)
}

const NO_PANIC: &str = "nothing here panics";
