//! The columns of `trials.csv`.

use crate::experiments::Experiment;

pub const DIVERGED_STEP: &str = "diverged_step";
/// Those before the method, the replicates, the config and the metrics.
pub const BEFORE: [&str; 3] = ["trial_id", "status", DIVERGED_STEP];
/// Those behind the metrics.
pub const BEHIND: [&str; 9] =
    ["train_seconds", "commit", "dirty", "device", "libtorch", "protocol", "started", "finished", "message"];
pub const METHOD: &str = "method";
pub const CONFIG: &str = "config.";
pub const PHASE: &str = "phase";
pub const TASK: &str = "task";

/// Whether a column is that of a metric.
pub fn is_metric(column: &str, experiment: &Experiment) -> bool {
    let is_known =
        BEFORE.contains(&column) || BEHIND.contains(&column) || [METHOD, PHASE, TASK].contains(&column);
    let is_setting = column.starts_with(CONFIG) || experiment.replicates.iter().any(|name| name == column);
    !is_known && !is_setting
}
