//! Tables 1 and 8 as Markdown and CSV, ours beside the paper's, and the paired differences against LoRA.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::axis::signed;
use crate::error::Result;
use crate::output::{markdown, owned, write, write_csv};
use crate::paper::Paper;
use crate::spread::{Spread, diverged};
use crate::stats;
use crate::style;
use crate::trials::{Trial, Trials};

/// One of the paper's tables: its key in `paper.toml` and its methods in the paper's order.
pub struct Layout {
    pub key: &'static str,
    pub title: &'static str,
    pub methods: &'static [&'static str],
}

pub const TABLE_1: Layout = Layout {
    key: "table1",
    title: "Table 1",
    methods: &[
        "lora",
        "lora_normalized",
        "delora",
        "multiplicative_relaxed",
        "multiplicative_high_rank",
        "controllable_boundary",
        "ether_plus_one_sided",
    ],
};

pub const TABLE_8: Layout =
    Layout { key: "table8", title: "Table 8", methods: &["dora_fixed_magnitude", "dora", "delora"] };

/// Columns of `trials.csv` with their titles; the paper reports the first two.
pub const METRICS: [(&str, &str); 4] =
    [("dino", "DINO"), ("clip_i", "CLIP-I"), ("clip_t", "CLIP-T"), ("diversity", "diversity")];

const BASELINE: &str = "lora";
const ABSENT: &str = "–";

impl Layout {
    /// All rows, the bounds included.
    fn rows(&self) -> impl Iterator<Item = &'static str> + use<> {
        ["real_images"].into_iter().chain(self.methods.iter().copied()).chain(["none"])
    }

    /// `<key>.md` and `<key>.csv`.
    pub fn write(&self, trials: &Trials, paper: &Paper, plots: &Path) -> Result<Vec<PathBuf>> {
        for (metric, _) in &METRICS[..2] {
            trials.column(&[metric])?;
        }
        let header = csv_header();
        let rows: Vec<Vec<String>> = self.rows().map(|method| self.csv_row(trials, paper, method)).collect();
        let csv = write_csv(&plots.join(format!("{}.csv", self.key)), &header, &rows)?;
        let text = self.markdown(trials, paper);
        Ok(vec![write(&plots.join(format!("{}.md", self.key)), text.as_bytes())?, csv])
    }

    fn csv_row(&self, trials: &Trials, paper: &Paper, method: &str) -> Vec<String> {
        let style = style::method_style(method);
        let dino = Spread::of(trials, trials.of(method), "dino");
        let mut row = vec![
            method.to_owned(),
            style::title(method).to_owned(),
            style.map_or("", |style| style.formulation).to_owned(),
            dino.n.to_string(),
            diverged(trials.of(method)).to_string(),
        ];
        for (metric, _) in METRICS {
            let spread = Spread::of(trials, trials.of(method), metric);
            row.extend([spread.mean, spread.std_trials, spread.std_seeds].map(full));
        }
        row.push(num_parameters(trials, method).map_or(String::new(), |count| count.to_string()));
        let reported = paper.row(self.key, method);
        row.extend([reported.dino, reported.clip_i].map(full));
        row
    }

    fn markdown(&self, trials: &Trials, paper: &Paper) -> String {
        let columns = ["method", "formulation", "DINO", "CLIP-I", "CLIP-T", "diversity", "n", "diverged"];
        let columns = [&columns[..], &["parameters", "DINO (paper)", "CLIP-I (paper)"]].concat();
        let rows: Vec<Vec<String>> =
            self.rows().map(|method| self.markdown_row(trials, paper, method)).collect();
        format!(
            "{}\nOurs: mean ± standard deviation over trials (`_std_trials` in the CSV) / standard deviation over seeds of \
             the mean over subjects (`_std_seeds`); {}. Diverged trials are counted, not averaged; “missing” was not run, {ABSENT} is not \
             reported or not defined. The paper's Real Images row is its Table 3 (30 subjects), the others its \
             {} (3 subjects).\n",
            markdown(&owned(&columns), &rows),
            trials.extent(self.methods),
            self.title,
        )
    }

    fn markdown_row(&self, trials: &Trials, paper: &Paper, method: &str) -> Vec<String> {
        let formulation = style::method_style(method).map_or("", |style| style.formulation);
        let mut row = vec![style::title(method).to_owned(), formulation.to_owned()];
        let run = trials.of(method).next().is_some();
        for (metric, _) in METRICS {
            let spread = Spread::of(trials, trials.of(method), metric);
            let seeds = spread.std_seeds.map_or(String::new(), |std| format!(" / {std:.3}"));
            let empty = if run { ABSENT } else { "missing" };
            row.push(spread.rounded().map_or(empty.to_owned(), |text| text + &seeds));
        }
        row.push(Spread::of(trials, trials.of(method), "dino").n.to_string());
        row.push(diverged(trials.of(method)).to_string());
        row.push(num_parameters(trials, method).map_or(ABSENT.to_owned(), grouped));
        let reported = paper.row(self.key, method);
        let cell = |value: Option<f64>| value.map_or(ABSENT.to_owned(), |value| format!("{value:.3}"));
        row.extend([reported.dino, reported.clip_i].map(cell));
        row
    }
}

fn csv_header() -> Vec<String> {
    let mut header = owned(&["method", "title", "formulation", "n", "diverged"]);
    for (metric, _) in METRICS {
        header.extend(["mean", "std_trials", "std_seeds"].map(|what| format!("{metric}_{what}")));
    }
    header.extend(owned(&["num_parameters", "paper_dino", "paper_clip_i"]));
    header
}

/// A method's trials all have the same number of parameters; the reference rows have none.
fn num_parameters(trials: &Trials, method: &str) -> Option<u64> {
    trials.of(method).find_map(|trial| trials.number(trial, "num_parameters")).map(|count| count as u64)
}

fn full(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// 1234567 as "1,234,567".
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let separated = |(index, digit): (usize, char)| {
        let comma = index > 0 && (digits.len() - index).is_multiple_of(3);
        [comma.then_some(','), Some(digit)].into_iter().flatten()
    };
    digits.chars().enumerate().flat_map(separated).collect()
}

/// A method's differences from LoRA over the (seed, subject) that both finished.
struct Pairs {
    method: String,
    metric: &'static str,
    differences: Vec<f64>,
}

impl Pairs {
    fn of(trials: &Trials, method: &str, metric: &'static str) -> Self {
        let baseline = scores(trials, BASELINE, metric);
        let ours = scores(trials, method, metric);
        let differences = ours.iter().filter_map(|(pair, score)| Some(score - baseline.get(pair)?)).collect();
        Self { method: method.to_owned(), metric, differences }
    }
}

/// Scores by seed and subject.
fn scores<'a>(trials: &'a Trials, method: &'a str, metric: &str) -> BTreeMap<(&'a str, &'a str), f64> {
    let scored = |trial: &'a Trial| {
        trials.score(trial, metric).map(|score| ((trial.seed.as_str(), trial.subject.as_str()), score))
    };
    trials.of(method).filter_map(scored).collect()
}

/// `pairs.md` and `pairs.csv`.
pub fn write_pairs(trials: &Trials, plots: &Path) -> Result<Vec<PathBuf>> {
    let mut methods: Vec<&str> = trials.all().iter().map(|trial| trial.method.as_str()).collect();
    methods.retain(|method| ![BASELINE, "real_images"].contains(method));
    methods.sort_by_key(|method| (style::rank(method), *method));
    methods.dedup();
    let metrics = [METRICS[0].0, METRICS[1].0];
    let of_method = |method: &&str| metrics.map(|metric| Pairs::of(trials, method, metric));
    let pairs: Vec<Pairs> = methods.iter().flat_map(of_method).collect();

    let header = owned(&["method", "title", "metric", "n_pairs", "delta_vs_lora", "lo", "hi"]);
    let rows: Vec<Vec<String>> = pairs.iter().map(csv_pair).collect();
    let csv = write_csv(&plots.join("pairs.csv"), &header, &rows)?;
    let header = owned(&["method", "metric", "n pairs", "Δ vs LoRA", "95 % interval", ""]);
    let rows: Vec<Vec<String>> = pairs.iter().map(markdown_pair).collect();
    let text = format!(
        "{}\nPaired differences over the same seed and subject, with the percentile bootstrap interval of their mean. \
         Where the interval holds zero, these trials do not tell the method from LoRA.\n",
        markdown(&header, &rows)
    );
    Ok(vec![write(&plots.join("pairs.md"), text.as_bytes())?, csv])
}

fn csv_pair(pairs: &Pairs) -> Vec<String> {
    let interval = stats::bootstrap_interval(&pairs.differences);
    vec![
        pairs.method.clone(),
        style::title(&pairs.method).to_owned(),
        pairs.metric.to_owned(),
        pairs.differences.len().to_string(),
        full(stats::mean(&pairs.differences)),
        full(interval.map(|(low, _)| low)),
        full(interval.map(|(_, high)| high)),
    ]
}

fn markdown_pair(pairs: &Pairs) -> Vec<String> {
    let metric =
        METRICS.iter().find(|(name, _)| *name == pairs.metric).map_or(pairs.metric, |(_, title)| title);
    let interval = stats::bootstrap_interval(&pairs.differences);
    let verdict = match interval {
        Some((low, high)) if low <= 0.0 && high >= 0.0 => "not distinguishable",
        Some((low, _)) if low > 0.0 => "above LoRA",
        Some(_) => "below LoRA",
        None => "too few pairs",
    };
    vec![
        style::title(&pairs.method).to_owned(),
        metric.to_owned(),
        pairs.differences.len().to_string(),
        stats::mean(&pairs.differences).map_or(ABSENT.to_owned(), with_sign),
        interval
            .map_or(ABSENT.to_owned(), |(low, high)| format!("{} to {}", with_sign(low), with_sign(high))),
        verdict.to_owned(),
    ]
}

fn with_sign(value: f64) -> String {
    let text = signed(value, 3);
    if text.starts_with('−') || value == 0.0 { text } else { format!("+{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn only_trials_of_the_same_seed_and_subject_are_paired() {
        let folder = tempfile::tempdir().unwrap();
        let rows = "trial_id,status,method,seed,subject,dino,clip_i\n\
            a,done,lora,0,cat,0.5,0.5\nb,done,lora,1,cat,0.1,0.5\nc,diverged,lora,2,cat,0.9,0.5\n\
            d,done,delora,0,cat,0.7,0.5\ne,done,delora,1,cat,0.2,0.5\nf,done,delora,2,cat,0.9,0.5\n\
            g,done,delora,0,dog,0.9,0.5\n";
        std::fs::write(folder.path().join("trials.csv"), rows).unwrap();
        let trials = Trials::read(folder.path()).unwrap();
        let pairs = Pairs::of(&trials, "delora", "dino");
        assert_eq!(pairs.differences.len(), 2);
        assert!((stats::mean(&pairs.differences).unwrap() - 0.15).abs() < 1e-12);
        let row = markdown_pair(&pairs);
        assert_eq!((row[3].as_str(), row[5].as_str()), ("+0.150", "above LoRA"));
    }
}
