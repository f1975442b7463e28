//! A model check of leases: the code of [`Banks`] on a folder in memory, under random schedules of several workers.
//!
//! Workers crash between any two calls, are taken for dead while they live and go on later, and see old listings of
//! folders. `SCHEDULES` is how many are tried.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::Mutex;
use shuttle::thread;

use super::{BankList, Banks, Finished, Next};
use crate::ledger::shared::SharedFolder;

const SCHEDULES: usize = 100_000;
const TRIALS: [&str; 4] = ["a", "b", "c", "d"];

/// What all workers share. Folders have no bytes.
#[derive(Default)]
struct Tree {
    paths: BTreeMap<PathBuf, Option<Vec<u8>>>,
    /// What folders held before: an old listing is one of these.
    old: BTreeMap<PathBuf, Vec<Vec<String>>>,
    /// Who finished each trial.
    finished: BTreeMap<String, Vec<String>>,
    /// The highest fencing number with which a bank was taken, by plan and place.
    fences: BTreeMap<(String, String), u64>,
    /// Which lease each trial was last trained under.
    trained: BTreeMap<String, (String, String, u64)>,
}

impl Tree {
    fn names(&self, folder: &Path) -> Vec<String> {
        let inside = self.paths.keys().filter(|path| path.parent() == Some(folder));
        inside.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    /// Makes a file, or a folder, in a folder that is there.
    fn add(&mut self, path: &Path, bytes: Option<Vec<u8>>) -> io::Result<()> {
        let has_parent = path.parent().is_some_and(|parent| {
            parent == Path::new("") || self.paths.get(parent).is_some_and(Option::is_none)
        });
        if !has_parent {
            return Err(ErrorKind::NotFound.into());
        }
        if bytes.is_none() && self.paths.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.paths.insert(path.to_owned(), bytes);
        Ok(())
    }

    /// Keeps what a folder holds, before it changes.
    fn remember(&mut self, folder: &Path) {
        let names = self.names(folder);
        self.old.entry(folder.to_owned()).or_default().push(names);
    }
}

/// Plan, place and fencing number of a bank's folder.
fn lease(bank: &Path) -> Option<(String, String, u64)> {
    let name = bank.file_name()?.to_str()?;
    let (place, rest) = name.split_once('.')?;
    let plan = bank.parent()?.file_name()?.to_str()?.to_owned();
    Some((plan, place.to_owned(), rest.split_once('.')?.0.parse().ok()?))
}

/// One worker's view of the folder.
#[derive(Clone)]
struct Memory {
    tree: Arc<Mutex<Tree>>,
    /// Calls until this worker crashes.
    life: Arc<std::sync::Mutex<usize>>,
    sees_old_listings: bool,
}

impl Memory {
    /// A call, at a moment that the schedule chooses.
    fn call<T>(&self, act: impl FnOnce(&mut Tree) -> io::Result<T>) -> io::Result<T> {
        let mut tree = self.tree.lock().unwrap();
        let mut life = self.life.lock().unwrap();
        if *life == 0 {
            return Err(io::Error::other("crashed"));
        }
        *life -= 1;
        act(&mut tree)
    }
}

impl SharedFolder for Memory {
    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.call(|tree| {
            let old = tree.old.get(folder).filter(|_| self.sees_old_listings && thread_rng().gen_bool(0.2));
            Ok(match old {
                Some(old) => old[thread_rng().gen_range(0..old.len())].clone(),
                None => tree.names(folder),
            })
        })
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.call(|tree| tree.paths.get(path).cloned().flatten().ok_or_else(|| ErrorKind::NotFound.into()))
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.call(|tree| tree.add(path, None))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.call(|tree| tree.add(path, Some(bytes.to_vec())))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(|tree| {
            if !tree.paths.contains_key(from) {
                return Err(ErrorKind::NotFound.into());
            }
            if !tree.names(to).is_empty() {
                return Err(ErrorKind::DirectoryNotEmpty.into());
            }
            tree.remember(to.parent().unwrap());
            let moved: Vec<PathBuf> =
                tree.paths.keys().filter(|path| path.starts_with(from)).cloned().collect();
            for path in moved {
                let bytes = tree.paths.remove(&path).unwrap();
                tree.paths.insert(to.join(path.strip_prefix(from).unwrap()), bytes);
            }
            if let Some((plan, place, fence)) =
                lease(to).filter(|_| !to.to_string_lossy().ends_with(".ended"))
            {
                let highest = tree.fences.insert((plan, place), fence);
                assert!(highest.is_none_or(|highest| highest < fence), "a fencing number was given twice");
            }
            Ok(())
        })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(|tree| {
            let bytes = tree.paths.get(from).cloned().ok_or(ErrorKind::NotFound)?;
            if tree.paths.contains_key(to) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            let (plan, place, fence) = lease(from.parent().unwrap()).unwrap();
            let highest = tree.fences.get(&(plan, place));
            assert_eq!(highest, Some(&fence), "a worker finished what another has taken");
            let trial = to.file_name().unwrap().to_string_lossy().into_owned();
            tree.finished.entry(trial).or_default().push(from.display().to_string());
            tree.paths.insert(to.to_owned(), bytes);
            Ok(())
        })
    }

    fn sync(&self, _: &Path) -> io::Result<()> {
        self.call(|_| Ok(()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(|tree| {
            tree.remember(path.parent().unwrap());
            tree.paths.retain(|known, _| !known.starts_with(path));
            // A number may come again after its plan is gone: then only who has a bank tells two leases apart.
            tree.fences.retain(|(plan, _), _| Path::new("checkpoints").join(plan) != path);
            Ok(())
        })
    }
}

/// What the session of a run does, without a network: takes banks and finishes their trials until all are finished.
fn work(banks: &Banks<Memory>, files: &Memory) -> io::Result<()> {
    let ledger = Path::new("trials");
    let mut wanted: BTreeSet<String> = TRIALS.iter().map(|trial| trial.to_string()).collect();
    let is_finished = |id: &str| files.call(|tree| Ok(tree.paths.contains_key(&ledger.join(id))));
    // Anybody may be taken for dead at any time; whoever is dead is, sooner or later.
    let is_over = |_: &str| thread_rng().gen_bool(0.3);
    loop {
        match banks.next(false, &wanted, &is_over)? {
            Next::Over => return banks.retire(),
            Next::Wait => thread::yield_now(),
            Next::Plan { last, trials } => {
                for id in &trials {
                    if is_finished(id)? {
                        wanted.remove(id);
                    }
                }
                let open: Vec<String> = trials.into_iter().filter(|id| wanted.contains(id)).collect();
                if !open.is_empty() {
                    let banked = open.chunks(2).map(<[String]>::to_vec).collect();
                    banks.propose(last, &BankList { banks: banked, again: false })?;
                }
            }
            Next::Run(bank) => {
                let list = banks.list(bank.plan)?;
                let mut is_held = true;
                for id in &list.banks[bank.index] {
                    if is_finished(id)? {
                        wanted.remove(id);
                        continue;
                    }
                    train(files, &banks.path(&bank), id)?;
                    // A stop, as by a signal: the bank is for whoever comes next.
                    if thread_rng().gen_bool(0.05) {
                        banks.give_back(&bank)?;
                        is_held = false;
                        break;
                    }
                    match banks.finish(&bank, &ledger.join(id), b"result", || false)? {
                        Finished::First | Finished::Known => {
                            wanted.remove(id);
                        }
                        Finished::Lost => {
                            is_held = false;
                            break;
                        }
                    }
                }
                banks.let_go(&bank);
                if is_held {
                    banks.end(&bank)?;
                }
            }
        }
    }
}

/// Trains a trial: never beside another who has it, and, where listings are new, none that is finished.
fn train(files: &Memory, bank: &Path, id: &str) -> io::Result<()> {
    let own = lease(bank).unwrap();
    files.call(|tree| {
        let is_held = |(plan, place, fence): &(String, String, u64)| {
            tree.fences.get(&(plan.clone(), place.clone())) == Some(fence)
                && tree.paths.keys().any(|path| {
                    lease(path).is_some_and(|other| other == (plan.clone(), place.clone(), *fence))
                })
        };
        let other = tree.trained.get(id).filter(|other| **other != own && is_held(other));
        if is_held(&own) && !files.sees_old_listings {
            assert!(other.is_none(), "{id} is trained by two workers: {other:?} and {own:?}");
        }
        tree.trained.insert(id.to_owned(), own);
        Ok(())
    })
}

/// Several workers, of which one does not crash.
fn schedule(workers: usize, sees_old_listings: bool) {
    let tree: Arc<Mutex<Tree>> = Arc::default();
    for folder in ["checkpoints", "trials"] {
        tree.lock().unwrap().paths.insert(folder.into(), None);
    }
    let start = |number: usize| {
        let life = if number == 0 { usize::MAX } else { thread_rng().gen_range(0..60) };
        let files =
            Memory { tree: tree.clone(), life: Arc::new(std::sync::Mutex::new(life)), sees_old_listings };
        thread::spawn(move || {
            let banks = Banks::new(files.clone(), "checkpoints".into(), format!("worker-{number}"));
            if let Err(error) = work(&banks, &files) {
                assert_eq!(*files.life.lock().unwrap(), 0, "worker {number}: {error}");
            }
        })
    };
    let threads: Vec<_> = (0..workers).map(start).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let tree = tree.lock().unwrap();
    for trial in TRIALS {
        assert_eq!(tree.finished.get(trial).map(Vec::len), Some(1), "{trial}: {:?}", tree.finished);
    }
}

fn check(workers: usize, sees_old_listings: bool) {
    let schedules = std::env::var("SCHEDULES").map_or(SCHEDULES, |count| count.parse().unwrap());
    let mut config = shuttle::Config::new();
    config.failure_persistence = shuttle::FailurePersistence::Print;
    let scheduler = shuttle::scheduler::RandomScheduler::new(schedules / 2);
    shuttle::Runner::new(scheduler, config).run(move || schedule(workers, sees_old_listings));
}

#[test]
fn no_trial_is_finished_twice_and_none_is_lost_whoever_crashes_or_is_taken_for_dead() {
    check(3, false);
}

#[test]
fn nor_when_listings_are_old() {
    check(3, true);
}
