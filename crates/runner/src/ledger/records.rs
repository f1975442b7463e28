//! The ledger: one file per finished trial, named by the trial's id, with a checksum in it.
//!
//! ```text
//! {"checksum":"<blake3 of the record's bytes>","record":{…}}
//! ```
//!
//! A file appears whole, by rename. One that does not verify counts as absent and is reported.

use std::path::PathBuf;

use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Result;
use crate::experiments::Grid;
use crate::ledger::folder::write_atomically;
use crate::ledger::stamp::Stamp;
use crate::workload::{Outcome, Status, Trial};

/// Everything that is kept of one trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Experiment whose run computed it.
    pub experiment: String,
    pub task: String,
    pub config: Value,
    /// Digest of the files that the config names; absent in records of the old identity.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub inputs: String,
    pub outcome: Outcome,
    pub stamp: Stamp,
}

impl Record {
    /// Whether the trial has a result that is not computed again.
    pub fn is_final(&self) -> bool {
        !matches!(self.outcome.status, Status::Failed { .. })
    }

    /// What its file holds.
    pub(crate) fn text(&self) -> String {
        seal(&serde_json::to_string(self).expect("a record has string keys and finite numbers"))
    }
}

/// How a trial ended: a part of its [`Record`].
#[derive(Deserialize)]
struct Ended {
    outcome: EndedOutcome,
}

#[derive(Deserialize)]
struct EndedOutcome {
    trial_id: String,
    #[serde(flatten)]
    status: Status,
}

/// What the ledger has for an id.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    Missing,
    Damaged { reason: String },
    Found(Box<Record>),
}

#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    folder: PathBuf,
}

const HEAD: &str = r#"{"checksum":""#;
const MIDDLE: &str = r#"","record":"#;
const TAIL: &str = "}\n";
const CHECKSUM_LENGTH: usize = 64;

impl Ledger {
    pub fn new(folder: PathBuf) -> Ledger {
        Ledger { folder }
    }

    pub fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    /// Makes a record durable before it returns.
    pub fn write(&self, record: &Record) -> Result<()> {
        write_atomically(&self.path(&record.outcome.trial_id), record.text().as_bytes())
    }

    pub fn read(&self, id: &str) -> Entry {
        match self.read_as(id, |record: &Record| &record.outcome.trial_id) {
            Ok(None) => Entry::Missing,
            Ok(Some(record)) => Entry::Found(Box::new(record)),
            Err(reason) => Entry::Damaged { reason },
        }
    }

    /// How a trial ended, without all else that its record holds, which takes a fraction of the time.
    ///
    /// Errors: why the record is damaged, in words.
    pub fn read_status(&self, id: &str) -> Result<Option<Status>, String> {
        let ended = self.read_as(id, |ended: &Ended| &ended.outcome.trial_id)?;
        Ok(ended.map(|ended| ended.outcome.status))
    }

    /// What of the trial's record is asked for, which names its trial.
    fn read_as<T: DeserializeOwned>(
        &self,
        id: &str,
        trial_of: fn(&T) -> &String,
    ) -> Result<Option<T>, String> {
        let path = self.path(id);
        let damaged = |reason: String| format!("{}: {reason}; this trial is run again", path.display());
        match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(damaged(error.to_string())),
            Ok(bytes) => match unseal(&bytes) {
                Ok(record) if trial_of(&record) == id => Ok(Some(record)),
                Ok(record) => Err(damaged(format!("it holds trial {}", trial_of(&record)))),
                Err(reason) => Err(damaged(reason)),
            },
        }
    }
}

/// A trial of the grid and its record.
pub(crate) type Row<'a> = (&'a Trial, Box<Record>);

/// The trials of a grid that have a record, in its order; the records without their configs, which the trials have.
pub(crate) fn records<'a>(grid: &'a Grid, ledger: &Ledger) -> Vec<Row<'a>> {
    let found = |trial: &Trial| match ledger.read(&trial.id) {
        Entry::Found(mut record) => {
            record.config = Value::Null;
            Some(record)
        }
        Entry::Missing | Entry::Damaged { .. } => None,
    };
    grid.trials.par_iter().filter_map(|trial| Some((trial, found(trial)?))).collect()
}

/// JSON with a checksum before it.
pub(super) fn seal(body: &str) -> String {
    let checksum = blake3::hash(body.as_bytes()).to_hex();
    format!("{HEAD}{checksum}{MIDDLE}{body}{TAIL}")
}

/// What was sealed, or why it is not that.
pub(super) fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let inner = text.strip_prefix(HEAD).and_then(|rest| rest.strip_suffix(TAIL));
    let (checksum, rest) = inner
        .and_then(|inner| inner.split_at_checked(CHECKSUM_LENGTH))
        .ok_or("it is cut off or not a record")?;
    let body = rest.strip_prefix(MIDDLE).ok_or("it is cut off or not a record")?;
    if blake3::hash(body.as_bytes()).to_hex().as_str() != checksum {
        return Err("its checksum is wrong".to_string());
    }
    serde_json::from_str(body).map_err(|error| format!("it has another form: {error}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use super::*;
    use crate::workload::{CurvePoint, Provenance};
    use serde_json::json;

    pub(crate) fn record(id: &str, status: Status) -> Record {
        let mut outcome = Outcome::new(id, status);
        outcome.metrics.insert("dino".to_string(), 0.1 + 0.2);
        let layer = Some("mid".to_string());
        outcome.curves.push(CurvePoint { step: 3, metric: "loss".to_string(), layer, value: 1e-300 });
        let provenance = Provenance { device: "cpu".to_string(), libtorch: String::new() };
        let stamp = Stamp::now(Path::new("experiment.toml"), provenance);
        let config = json!({"seed": 1, "rate": 1e-3});
        let (experiment, task) = ("toy".to_string(), "toy".to_string());
        Record { experiment, task, config, inputs: "digest".to_string(), outcome, stamp }
    }

    #[test]
    fn a_record_reads_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(folder.path().to_path_buf());
        assert_eq!(ledger.read("a"), Entry::Missing);
        for status in [
            Status::Done,
            Status::Diverged { step: 7, reason: None },
            Status::diverged(7, "`score` is NaN"),
            Status::Failed { message: "no \"disk\"".into() },
        ] {
            let written = record("a", status);
            ledger.write(&written).unwrap();
            assert_eq!(ledger.read("a"), Entry::Found(Box::new(written)));
        }
        let text = std::fs::read_to_string(ledger.path("a")).unwrap();
        assert!(serde_json::from_str::<Value>(&text).unwrap()["record"]["outcome"]["status"] == "failed");
    }

    #[test]
    fn every_single_damaged_byte_and_every_cut_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(folder.path().to_path_buf());
        ledger.write(&record("a", Status::Done)).unwrap();
        let good = std::fs::read(ledger.path("a")).unwrap();
        for index in 0..good.len() {
            let mut bytes = good.clone();
            bytes[index] ^= 1;
            assert!(unseal::<Record>(&bytes).is_err(), "byte {index}");
            assert!(unseal::<Record>(&good[..index]).is_err(), "cut at {index}");
        }
        assert!(unseal::<Record>(&good).is_ok());
    }

    #[test]
    fn a_record_under_another_name_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(folder.path().to_path_buf());
        ledger.write(&record("a", Status::Done)).unwrap();
        std::fs::rename(ledger.path("a"), ledger.path("b")).unwrap();
        assert!(matches!(ledger.read("b"), Entry::Damaged { reason } if reason.contains("holds trial a")));
    }
}
