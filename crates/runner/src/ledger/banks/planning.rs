//! Making a plan: one worker does it, and the others wait until its folder has its number.

use std::io;

use super::{Bank, BankList, Banks, NO_PANIC, PLAN, is_gone, is_taken};
use crate::ledger::records::seal;
use crate::ledger::shared::SharedFolder;

/// Ends the name of a plan that is being made.
const PLANNING: &str = ".planning";
/// Begins the name of a folder that may become one.
const STAGED: &str = "staged.";
/// Begins the name of a file that says who makes it.
const BY: &str = "by.";

impl<F: SharedFolder> Banks<F> {
    /// Makes the plan after `last`; false where another worker has made one, or is about to.
    pub fn propose(&self, last: u64, list: &BankList) -> io::Result<bool> {
        let mut is_planning = self.planning.lock().expect(NO_PANIC);
        *is_planning = true;
        let made = self.make_plan(last + 1, list);
        *is_planning = false;
        match made {
            Err(error) if is_gone(&error) || is_taken(&error) => Ok(false),
            other => other.map(|()| true),
        }
    }

    fn make_plan(&self, number: u64, list: &BankList) -> io::Result<()> {
        // Who is first to have the number in its name makes the folders, which are many.
        let staged = self.folder.join(format!("{STAGED}{}", self.worker));
        self.files.remove(&staged)?;
        self.files.make_folder(&staged)?;
        self.files.write(&staged.join(format!("{BY}{}", self.worker)), b"")?;
        let planning = self.folder.join(format!("{number}{PLANNING}"));
        self.files.rename(&staged, &planning).inspect_err(|_| {
            let _ = self.files.remove(&staged);
        })?;
        let text = seal(&serde_json::to_string(list).expect("strings and a flag"));
        self.files.write(&planning.join(PLAN), text.as_bytes())?;
        for index in 0..list.banks.len() {
            let bank = Bank { plan: number, index, fence: 0, owner: None };
            self.files.make_folder(&planning.join(bank.name()))?;
        }
        self.files.rename(&planning, &self.plan_folder(number)).inspect_err(|_| {
            let _ = self.files.remove(&planning);
        })
    }

    /// Whether a folder beside the plans is of no use to anybody: plans that are being made are looked after by
    /// [`Banks::look`].
    pub fn is_left(&self, name: &str, is_over: &dyn Fn(&str) -> bool) -> bool {
        !name.ends_with(PLANNING) && name.strip_prefix(STAGED).is_none_or(is_over)
    }

    /// Whether another worker makes a plan. What one that is over has begun is removed.
    pub(super) fn is_planned(&self, is_over: &dyn Fn(&str) -> bool) -> io::Result<bool> {
        for name in self.files.names(&self.folder)?.iter().filter(|name| name.ends_with(PLANNING)) {
            let planning = self.folder.join(name);
            let names = self.files.names(&planning)?;
            let is_dead = |owner: &str| match owner == self.worker {
                // Another thread of this process is at it, or it has failed.
                true => self.planning.try_lock().is_ok_and(|is_planning| !*is_planning),
                false => is_over(owner),
            };
            if names.iter().find_map(|name| name.strip_prefix(BY)).is_none_or(is_dead) {
                let aside = self.folder.join(format!("{name}.{}", self.worker));
                match self.files.rename(&planning, &aside) {
                    Err(error) if is_gone(&error) => {}
                    other => other.and_then(|()| self.files.remove(&aside))?,
                }
            } else {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
