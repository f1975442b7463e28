//! What a trial's id is made of.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::error::{Result, RunnerError};
use crate::experiments::Experiment;
use crate::identity::{body, flat, material};
use crate::ledger::folder::{Folder, entries};
use crate::ledger::records::{Entry, Ledger};
use crate::workload::{Trial, Workload};

/// A trial's id taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    pub id: String,
    /// What is hashed, by name.
    pub parts: BTreeMap<String, String>,
    /// Settings that are not, since no result depends on them.
    pub left_out: BTreeMap<String, String>,
}

/// Takes the id of a trial apart that is in the experiment, or has a record in its results; a beginning of it is enough.
///
/// Errors: no such trial; several that begin so.
pub fn explain(
    experiment: &Experiment,
    workload: &dyn Workload,
    results_dir: &Path,
    id: &str,
) -> Result<Explanation> {
    let folder = Folder::new(results_dir, experiment);
    let grid = experiment.grid(workload)?;
    let is_meant = |known: &str| known.starts_with(id) && !id.is_empty();
    let mut found: BTreeMap<String, Trial> = BTreeMap::new();
    for path in entries(&folder.trials()) {
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| is_meant(stem)) else {
            continue;
        };
        if let Entry::Found(record) = Ledger::new(folder.trials()).read(stem) {
            let record = *record;
            found.insert(
                stem.to_owned(),
                Trial { id: stem.to_owned(), config: record.config, inputs: record.inputs },
            );
        }
    }
    let of_grid = grid.trials.iter().filter(|trial| is_meant(&trial.id));
    found.extend(of_grid.map(|trial| (trial.id.clone(), trial.clone())));
    let ids: Vec<String> = found.keys().cloned().collect();
    match found.into_values().collect::<Vec<_>>().as_slice() {
        [trial] => Ok(Explanation::of(workload, trial)),
        [] => {
            Err(RunnerError::NoTrial { id: id.to_owned(), remedy: "`delora status` lists them".to_owned() })
        }
        _ => Err(RunnerError::NoTrial {
            id: id.to_owned(),
            remedy: format!("it is the beginning of {}: write more of one", ids.join(", ")),
        }),
    }
}

impl Explanation {
    fn of(workload: &dyn Workload, trial: &Trial) -> Explanation {
        let material = material(workload, &trial.config);
        let parts = flat(&body(workload.task(), &material, &trial.inputs));
        let all = flat(&body(workload.task(), &trial.config, &trial.inputs));
        let left_out = all.into_iter().filter(|(key, value)| parts.get(key) != Some(value)).collect();
        Explanation { id: trial.id.clone(), parts, left_out }
    }

    /// What two trials do not have in common: name, value here and value there.
    pub fn differences<'a>(&'a self, other: &'a Explanation) -> Vec<(&'a str, &'a str, &'a str)> {
        const ABSENT: &str = "absent";
        let value = |of: &'a Explanation, key: &str| {
            of.parts.get(key).or(of.left_out.get(key)).map_or(ABSENT, String::as_str)
        };
        let keys = [self, other].into_iter().flat_map(|of| of.parts.keys().chain(of.left_out.keys()));
        let mut keys: Vec<&str> = keys.map(String::as_str).collect();
        keys.sort_unstable();
        keys.dedup();
        let pair = |key: &'a str| (key, value(self, key), value(other, key));
        keys.into_iter().map(pair).filter(|(_, left, right)| left != right).collect()
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{} is made of", self.id)?;
        let line =
            |f: &mut fmt::Formatter, (key, value): (&String, &String)| writeln!(f, "  {key} = {value}");
        self.parts.iter().try_for_each(|part| line(f, part))?;
        if self.left_out.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "and not of these, on which no result depends; for files the inputs stand, a digest of their contents"
        )?;
        self.left_out.iter().try_for_each(|part| line(f, part))
    }
}
