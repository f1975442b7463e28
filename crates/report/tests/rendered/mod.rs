//! The page of a folder with experiments, results and plots.

#![allow(dead_code)] // each test program uses some of these

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

/// Writes a file and the folders above it.
pub fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Draws figures of an experiment at a scale into `plots/`.
pub fn draw(root: &Path, experiment: &str, scale: &str, figures: &[&str]) {
    let figures: Vec<String> = figures.iter().map(|figure| (*figure).to_owned()).collect();
    let place = |folder: &str| root.join(folder).join(experiment).join(scale);
    figures::render(&figures, scale, &place("results"), &place("plots")).unwrap();
}

/// The row of a claim.
pub fn claim<'a>(page: &'a str, id: &str) -> &'a str {
    let start = page.find(&format!("id=\"claim-{id}\"")).unwrap_or_else(|| panic!("no {id}"));
    page[start..].split("</tr>").next().unwrap()
}
