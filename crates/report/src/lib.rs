//! One self-contained HTML page of experiments and their results, with a verdict on every claim of the paper.
//!
//! The page has a section for each experiment at each scale: its tables and figures, every trial with its curves, and
//! where and how it was run. Before them stands the *claim ledger*: what the paper prints and states
//! (`experiments/claims.toml`), each with a test on our trials and what came out. This crate reads experiment files,
//! the folders `results/` (through the crate `results`) and `plots/`, and the ledger; it loads nothing from a network
//! and trains nothing. Start reading at [`render`]; a section of the page is `section.rs`; verdicts are made by the crate `decide`.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod answers;
mod bench;
mod data;
mod error;
mod experiments;
mod html;
mod ledger;
mod look;
mod measured;
mod pictures;
mod section;
mod tables;
mod telemetry;
#[cfg(test)]
mod testing;

use std::path::{Path, PathBuf};

pub use error::{ReportError, Result};
use experiments::{Experiment, scales, with_results};
use html::escape;
use measured::Measured;
use section::Section;

const PAGE: &str = include_str!("../assets/page.html");
const STYLE: &str = include_str!("../assets/report.css");
const SCRIPT: &str = include_str!("../assets/report.js");
/// The letters of the figures, whose widths they count on.
const FONT: &[u8] = include_bytes!("../../figures/assets/Arimo-Regular-subset.ttf");
/// Marks the page when something goes wrong in it, before any other script runs.
const WATCH: &str = include_str!("../assets/watch.js");
/// Nothing may be loaded from anywhere.
const POLICY: &str = "default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// Where everything is.
pub struct Request<'a> {
    /// Experiment files in the order of the page; of none, all of `experiment_folder` that have results.
    pub experiments: &'a [PathBuf],
    pub experiment_folder: &'a Path,
    pub claims: &'a Path,
    pub results: &'a Path,
    pub plots: &'a Path,
    /// What the page says of itself: the repository's commit, and the time.
    pub commit: &'a str,
    pub written: &'a str,
}

/// The report, with what could not be shown in it.
#[derive(Debug)]
pub struct Page {
    pub html: String,
    /// Experiments and claims whose files cannot be used, each with why; the page has all others.
    pub failed: Vec<(String, ReportError)>,
}

/// The page.
pub fn render(request: &Request) -> Result<Page> {
    let mut found = with_results(request.experiment_folder, request.results);
    if !request.experiments.is_empty() {
        found = request.experiments.to_vec();
    } else if found.is_empty() {
        return Err(ReportError::Nothing {
            results: request.results.to_path_buf(),
            experiments: request.experiment_folder.to_path_buf(),
        });
    }
    let mut contents = "<li><a href=\"#claims\">What the paper says, and what we see</a></li>\n".to_owned();
    let mut sections = String::new();
    let mut failed = Vec::new();
    for path in &found {
        let experiment = Experiment::read(path)?;
        let scales = experiment.scales(request.results);
        if scales.is_empty() {
            let (results, experiment) = (request.results.to_path_buf(), experiment.name);
            return Err(ReportError::NoResults { results, experiment });
        }
        for scale in scales {
            match section(request, &experiment, &scale) {
                Ok((entry, html)) => {
                    contents += &entry;
                    sections += &html;
                }
                Err(error) => {
                    let name = format!("{} at scale {scale}", experiment.name);
                    let message = escape(&error.to_string());
                    sections += &format!(
                        "<section>\n<h2>{}</h2>\n<p>Cannot be shown: {message}</p>\n</section>\n",
                        escape(&name)
                    );
                    failed.push((name, error));
                }
            }
        }
    }
    if let Some((entry, html)) = bench::html(&request.results.join("bench"), &request.plots.join("bench"))? {
        contents += &entry;
        sections += &html;
    }
    let judged = judged(request, &mut failed)?;
    let (settled, ledger) = (ledger::settled(&judged), ledger::html(&judged));
    Ok(Page { html: page(request, &settled, &contents, &(ledger + &sections)), failed })
}

/// An experiment's entry in the contents, and its section.
fn section(request: &Request, experiment: &Experiment, scale: &str) -> Result<(String, String)> {
    let place = place(request, &experiment.name, scale);
    let results = Measured::read(&place.results)?;
    Section { experiment, scale, results: &results, plots: &place.plots }.html()
}

/// Every claim with its judgements; those whose results cannot be used go to `failed`.
fn judged(request: &Request, failed: &mut Vec<(String, ReportError)>) -> Result<Vec<decide::Judged>> {
    let places = |experiment: &str| -> Vec<decide::Result<decide::Place>> {
        let scales = scales(request.results, experiment).into_iter();
        scales.map(|scale| decide::Place::read(&place(request, experiment, &scale).results, &scale)).collect()
    };
    let ledger = decide::Ledger::load(request.claims)?;
    let mut unjudged = Vec::new();
    let judged = decide::judge(&ledger, places, &mut unjudged);
    failed.extend(unjudged.into_iter().map(|(name, error)| (name, error.into())));
    Ok(judged)
}

/// Results and plots of an experiment at one scale.
struct Place {
    results: PathBuf,
    plots: PathBuf,
}

fn place(request: &Request, experiment: &str, scale: &str) -> Place {
    let under = |root: &Path| root.join(experiment).join(scale);
    Place { results: under(request.results), plots: under(request.plots) }
}

fn page(request: &Request, settled: &str, contents: &str, body: &str) -> String {
    // The parts that may hold braces of their own come last.
    let parts = [
        ("{{policy}}", POLICY),
        ("{{watch}}", WATCH),
        ("{{commit}}", &escape(request.commit)),
        ("{{written}}", &escape(request.written)),
        ("{{font}}", &html::data_uri("font/ttf", FONT)),
        ("{{style}}", STYLE),
        ("{{script}}", SCRIPT),
        ("{{settled}}", settled),
        ("{{contents}}", contents),
        ("{{body}}", body),
    ];
    parts.into_iter().fold(PAGE.to_owned(), |page, (place, part)| page.replacen(place, part, 1))
}
