//! Ledgers of before: their trials' identities were of whole configs, with bank sizes and paths in them.
//!
//! A record of that time holds its config and not its inputs. Inputs of today's trials are tried: where they give the
//! record's old id, they are what it was computed from, and its new id follows. Nothing is taken over on a guess.

use std::collections::{BTreeSet, HashSet};
use std::fs;

use crate::error::{Result, RunnerError};
use crate::identity::{material, trial_id};
use crate::ledger::folder::Folder;
use crate::ledger::lock::Lock;
use crate::ledger::records::{Entry, Ledger, Record};
use crate::ledger::shared::{Disk, SharedFolder};
use crate::workload::{Trial, Workload};

/// Records of the old identity, each with what it is called today.
fn older(workload: &dyn Workload, trials: &[Trial], folder: &Folder) -> Vec<(Box<Record>, Trial)> {
    let ledger = Ledger::new(folder.trials());
    let current: HashSet<&str> = trials.iter().map(|trial| trial.id.as_str()).collect();
    let inputs: BTreeSet<&str> = trials.iter().map(|trial| trial.inputs.as_str()).collect();
    let of_file = |id: &str| {
        let Entry::Found(record) = ledger.read(id) else { return None };
        let is_of = |inputs: &&&str| trial_id(workload.task(), &record.config, inputs) == id;
        let inputs = inputs.iter().find(is_of)?.to_string();
        let new = trial_id(workload.task(), &material(workload, &record.config), &inputs);
        let today = Trial { id: new, config: record.config.clone(), inputs };
        (today.id != id).then_some((record, today))
    };
    let names = Disk.names(&folder.trials()).unwrap_or_default();
    let mut unknown: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(".json")).collect();
    unknown.retain(|id| !current.contains(id));
    unknown.sort_unstable();
    unknown.into_iter().filter_map(of_file).collect()
}

/// Gives records of the old identity their new ids, and says what was done; fails where a run holds the folder.
pub(crate) fn take_over(workload: &dyn Workload, trials: &[Trial], folder: &Folder) -> Result<Vec<String>> {
    let ledger = Ledger::new(folder.trials());
    let (mut notices, mut count, mut lock) = (Vec::new(), 0, None);
    for (mut record, today) in older(workload, trials, folder) {
        let old = std::mem::replace(&mut record.outcome.trial_id, today.id.clone());
        match ledger.read(&today.id) {
            Entry::Found(kept) if kept.is_final() || !record.is_final() => {
                if record.is_final() && record.outcome.metrics != kept.outcome.metrics {
                    notices.push(format!(
                        "trial {old} is trial {} by today's identity, with other numbers; that one is kept, and the file of \
                         this one is left as it is",
                        today.id
                    ));
                }
            }
            _ => {
                if lock.is_none() {
                    lock = Some(Lock::acquire(&folder.lock())?);
                }
                record.inputs = today.inputs;
                ledger.write(&record)?;
                let path = ledger.path(&old);
                fs::remove_file(&path).map_err(RunnerError::write(&path))?;
                count += 1;
            }
        }
    }
    if count > 0 {
        notices.push(format!(
            "{count} results have new ids: a trial's identity no longer holds its bank size and the paths of its files"
        ));
    }
    Ok(notices)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::ledger::folder::{entries, make_folder};
    use crate::ledger::records::tests::record;
    use crate::workload::{BankContext, Estimate, Outcome, Provenance, Status};

    /// Neither `bank` nor what the file at `data` is called decides anything.
    struct Task;

    impl Workload for Task {
        fn task(&self) -> &str {
            "toy"
        }
        fn expand(&self, _: &str, _: &Value, _: &Value) -> anyhow::Result<Option<Vec<Value>>> {
            Ok(None)
        }
        fn paths(&self) -> &'static [&'static str] {
            &["files.data"]
        }
        fn material(&self, mut config: Value) -> Value {
            config.as_object_mut().unwrap().remove("bank");
            config
        }
        fn validate(&self, _: &Value) -> anyhow::Result<String> {
            unreachable!("nothing is checked here")
        }
        fn bank_key(&self, _: &Value) -> String {
            String::new()
        }
        fn max_bank(&self, _: &Value) -> usize {
            1
        }
        fn run_bank(&self, _: &[Trial], _: &BankContext) -> anyhow::Result<Vec<Outcome>> {
            unreachable!("nothing runs here")
        }
        fn estimate(&self, _: &Value, _: usize) -> Option<Estimate> {
            None
        }
        fn provenance(&self) -> Provenance {
            unreachable!("nothing runs here")
        }
    }

    fn config(seed: u32, bank: u32, data: &str) -> Value {
        json!({"seed": seed, "bank": bank, "files": {"data": data, "limit": 3}})
    }

    /// A trial of a grid of today.
    fn trial(seed: u32, inputs: &str) -> Trial {
        let config = config(seed, 4, "here");
        Trial { id: trial_id("toy", &material(&Task, &config), inputs), config, inputs: inputs.to_owned() }
    }

    /// Leaves the record that a run of before would have left, and gives its id.
    fn leave(folder: &Folder, (seed, bank, data): (u32, u32, &str), inputs: &str, score: f64) -> String {
        let config = config(seed, bank, data);
        let id = trial_id("toy", &config, inputs);
        let mut old = record(&id, Status::Done);
        old.outcome.metrics.insert("dino".to_owned(), score);
        Ledger::new(folder.trials()).write(&Record { config, inputs: String::new(), ..old }).unwrap();
        id
    }

    #[test]
    fn results_of_other_bank_sizes_and_paths_are_taken_over_where_their_inputs_are_known() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder { root: root.path().to_path_buf() };
        make_folder(&folder.trials()).unwrap();
        let trials = [trial(1, "digest"), trial(2, "other digest"), trial(3, "digest")];
        let ids = [
            leave(&folder, (1, 9, "there"), "digest", 0.1),
            leave(&folder, (2, 4, "here"), "other digest", 0.2),
            // One has data that no trial of today has, one is the second of one identity.
            leave(&folder, (3, 9, "gone"), "unknown", 0.3),
            leave(&folder, (1, 4, "here"), "digest", 0.4),
        ];
        let notices = take_over(&Task, &trials, &folder).unwrap();
        assert!(notices.iter().any(|text| text.starts_with("2 results have new ids")), "{notices:?}");
        assert!(notices.iter().any(|text| text.contains("with other numbers")), "{notices:?}");
        let ledger = Ledger::new(folder.trials());
        for (trial, scores) in trials.iter().zip([vec![0.1, 0.4], vec![0.2], vec![]]) {
            match ledger.read(&trial.id) {
                Entry::Found(record) => {
                    assert!(scores.contains(&record.outcome.metrics["dino"]));
                    assert_eq!(
                        (record.inputs.as_str(), record.outcome.trial_id.as_str()),
                        (trial.inputs.as_str(), trial.id.as_str())
                    );
                }
                other => assert!(scores.is_empty() && other == Entry::Missing),
            }
        }
        // Nothing is lost: of the two of one identity one file is left as it was.
        assert_eq!(entries(&folder.trials()).len(), 4);
        assert!(ledger.path(&ids[2]).exists());
        let again = take_over(&Task, &trials, &folder).unwrap();
        assert!(again.iter().all(|text| text.contains("with other numbers")), "{again:?}");
    }
}
