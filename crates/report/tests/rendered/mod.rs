//! The page of a folder with experiments, results and plots.

use std::path::Path;

use report::{Page, Request};

/// The page, or why a part of it cannot be shown.
pub fn rendered(root: &Path) -> report::Result<String> {
    let page = whole(root)?;
    match page.failed.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(page.html),
    }
}

pub fn whole(root: &Path) -> report::Result<Page> {
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
