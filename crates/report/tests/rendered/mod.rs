//! The page of a folder with experiments, results and plots.

use std::path::Path;

use report::Request;

pub fn rendered(root: &Path) -> report::Result<String> {
    report::render(&Request {
        experiments: &[],
        experiment_folder: &root.join("experiments"),
        claims: &root.join("experiments/claims.toml"),
        results: &root.join("results"),
        plots: &root.join("plots"),
        commit: "0123456",
        written: "2026-01-31 12:00 UTC",
    })
}
