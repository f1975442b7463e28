//! Measured folders for the tests of this crate.

use results::Trials;

use crate::measured::Measured;

const HEADER: &str = "trial_id,status,diverged_step,method,seed,subject,config.learning_rate_multiplier,config.method.name,config.method.rank,dino,distance,train_seconds,commit,message";

/// A folder with these rows under a small header, and its trials.
pub fn results(rows: &str) -> (tempfile::TempDir, Trials) {
    let (folder, results) = whole(rows);
    (folder, results.trials)
}

/// The same with the curves.
pub fn whole(rows: &str) -> (tempfile::TempDir, Measured) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("trials.csv"), format!("{HEADER}\n{rows}")).unwrap();
    let results = Measured::read(folder.path()).unwrap();
    (folder, results)
}
