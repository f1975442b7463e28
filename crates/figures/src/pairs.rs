//! Paired differences from LoRA, over the seeds and subjects that both finished.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::axis::signed;
use crate::error::Result;
use crate::layout::REAL_IMAGES;
use crate::output::{markdown, owned, write, write_csv};
use crate::series::{RANK, Series};
use crate::stats;
use crate::table::{ABSENT, METRICS, full};
use crate::trials::{Trial, Trials};

const BASELINE: &str = "lora";
/// The rank that the paper gives to the methods it compares.
const PAPERS_RANK: &str = "16";

/// A metric whose differences are told, over some of the trials.
pub struct Column<'a> {
    pub trials: &'a Trials,
    /// Of `trials.csv`.
    pub metric: &'a str,
    /// In the CSV and in Markdown.
    pub name: &'a str,
    pub title: &'a str,
}

/// How differences are written in Markdown.
pub struct Shown {
    /// Of a unit of the metric: 100 for percent.
    pub factor: f64,
    pub decimals: usize,
    /// What the trials of a pair share.
    pub shared: &'static str,
    /// What else is to be said.
    pub note: &'static str,
}

/// A series' differences from LoRA over the (seed, subject) that both finished.
struct Pairs<'a> {
    series: Series<'a>,
    metric: &'a str,
    metric_title: &'a str,
    differences: Vec<f64>,
}

impl<'a> Pairs<'a> {
    fn of(series: Series<'a>, baseline: Series<'a>, column: &Column<'a>) -> Self {
        let theirs = scores(column.trials, baseline, column.metric);
        let ours = scores(column.trials, series, column.metric);
        let differences = ours.iter().filter_map(|(pair, score)| Some(score - theirs.get(pair)?)).collect();
        Self { series, metric: column.name, metric_title: column.title, differences }
    }
}

/// LoRA; of several ranks the paper's.
pub fn baseline(trials: &Trials) -> Series<'_> {
    at_papers_rank(trials, BASELINE)
}

/// A method; of several ranks the paper's, or the largest where that was not run.
pub fn at_papers_rank<'a>(trials: &'a Trials, method: &'a str) -> Series<'a> {
    let ranks = trials.split(method);
    let papers = ranks.iter().find(|series| **series == Series::with(method, RANK, PAPERS_RANK));
    *papers.or(ranks.last()).expect("a split has at least one series")
}

/// Scores by seed and subject.
fn scores<'a>(trials: &'a Trials, series: Series<'a>, metric: &str) -> BTreeMap<(&'a str, &'a str), f64> {
    let scored = |trial: &'a Trial| {
        trials.score(trial, metric).map(|score| ((trial.seed.as_str(), trial.subject.as_str()), score))
    };
    trials.of(series).filter_map(scored).collect()
}

/// `pairs.md` and `pairs.csv` of the scores of pictures.
pub fn write_pairs(trials: &Trials, plots: &Path) -> Result<Vec<PathBuf>> {
    let columns = METRICS[..2].iter().map(|(metric, title)| Column { trials, metric, name: metric, title });
    let shown = Shown { factor: 1.0, decimals: 3, shared: "seed and subject", note: "" };
    write_pairs_of(trials, &columns.collect::<Vec<_>>(), &shown, plots)
}

/// The same of any columns over parts of `trials`.
pub fn write_pairs_of(
    trials: &Trials,
    columns: &[Column],
    shown: &Shown,
    plots: &Path,
) -> Result<Vec<PathBuf>> {
    let baseline = baseline(trials);
    let mut series = trials.series();
    series.retain(|series| *series != baseline && series.method != REAL_IMAGES);
    let mut pairs = Vec::new();
    for series in series {
        pairs.extend(columns.iter().map(|column| Pairs::of(series, baseline, column)));
    }

    let mut header = owned(&["method", "title", "metric", "n_pairs"]);
    header.extend([format!("delta_vs_{}", baseline.key()), "lo".to_owned(), "hi".to_owned()]);
    header.extend(owned(&["p", "detectable"]));
    let rows: Vec<Vec<String>> = pairs.iter().map(|pairs| csv_pair(pairs, trials)).collect();
    let csv = write_csv(&plots.join("pairs.csv"), &header, &rows)?;
    let title = baseline.title();
    let mut header = owned(&["method", "metric", "n pairs"]);
    header.extend([format!("Δ vs {title}"), "95 % interval".to_owned()]);
    header.extend(owned(&["p", "detectable", ""]));
    let rows: Vec<Vec<String>> =
        pairs.iter().map(|pairs| markdown_pair(pairs, trials, &title, shown)).collect();
    let text = format!(
        "{}\nPaired differences over the same {}, with the percentile bootstrap interval of their mean. \
         Where the interval holds zero or p is above 0.05, these trials do not tell the method from {title}. p: permutation test of the \
         pairs' signs, two-sided. Detectable: the smallest true difference that as many pairs of this spread find with \
         power 0.8 at the level 0.05.{}\n",
        markdown(&header, &rows),
        shown.shared,
        shown.note,
    );
    Ok(vec![write(&plots.join("pairs.md"), text.as_bytes())?, csv])
}

fn csv_pair(pairs: &Pairs, trials: &Trials) -> Vec<String> {
    let interval = stats::bootstrap_interval(&pairs.differences);
    vec![
        pairs.series.method.to_owned(),
        trials.title(pairs.series),
        pairs.metric.to_owned(),
        pairs.differences.len().to_string(),
        full(stats::mean(&pairs.differences)),
        full(interval.map(|(low, _)| low)),
        full(interval.map(|(_, high)| high)),
        full(stats::permutation_p(&pairs.differences)),
        full(stats::detectable_difference(&pairs.differences)),
    ]
}

fn markdown_pair(pairs: &Pairs, trials: &Trials, baseline: &str, shown: &Shown) -> Vec<String> {
    let rounded = |value: f64| with_sign(value * shown.factor, shown.decimals);
    let interval = stats::bootstrap_interval(&pairs.differences);
    let p = stats::permutation_p(&pairs.differences);
    let verdict = match interval {
        Some((low, high)) if low <= 0.0 && high >= 0.0 => "not distinguishable".to_owned(),
        Some(_) if p.is_some_and(|p| p > stats::LEVEL) => "not distinguishable".to_owned(),
        Some((low, _)) if low > 0.0 => format!("above {baseline}"),
        Some(_) => format!("below {baseline}"),
        None => "too few pairs".to_owned(),
    };
    vec![
        trials.title(pairs.series),
        pairs.metric_title.to_owned(),
        pairs.differences.len().to_string(),
        stats::mean(&pairs.differences).map_or(ABSENT.to_owned(), rounded),
        interval.map_or(ABSENT.to_owned(), |(low, high)| format!("{} to {}", rounded(low), rounded(high))),
        p.map_or(ABSENT.to_owned(), rounded_p),
        stats::detectable_difference(&pairs.differences)
            .map_or(ABSENT.to_owned(), |value| signed(value * shown.factor, shown.decimals)),
        verdict,
    ]
}

/// A p value with as many digits as it deserves.
fn rounded_p(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

pub fn with_sign(value: f64, decimals: usize) -> String {
    let text = signed(value, decimals);
    if text.starts_with('−') || value == 0.0 { text } else { format!("+{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: Shown = Shown { factor: 1.0, decimals: 3, shared: "seed and subject", note: "" };

    fn dino(trials: &Trials) -> Column<'_> {
        Column { trials, metric: "dino", name: "dino", title: "DINO" }
    }

    fn trials(rows: &str) -> Trials {
        let folder = tempfile::tempdir().unwrap();
        let header = "trial_id,status,method,seed,subject,dino,clip_i,config.method.rank";
        std::fs::write(folder.path().join("trials.csv"), format!("{header}\n{rows}")).unwrap();
        Trials::read(folder.path()).unwrap()
    }

    #[test]
    fn only_trials_of_the_same_seed_and_subject_are_paired() {
        let trials = trials(
            "a,done,lora,0,cat,0.5,0.5,\nb,done,lora,1,cat,0.1,0.5,\nc,diverged,lora,2,cat,0.9,0.5,\n\
             d,done,delora,0,cat,0.7,0.5,\ne,done,delora,1,cat,0.2,0.5,\nf,done,delora,2,cat,0.9,0.5,\n\
             g,done,delora,0,dog,0.9,0.5,\n",
        );
        let pairs = Pairs::of(Series::of("delora"), baseline(&trials), &dino(&trials));
        assert_eq!(pairs.differences.len(), 2);
        assert!((stats::mean(&pairs.differences).unwrap() - 0.15).abs() < 1e-12);
        let row = markdown_pair(&pairs, &trials, "LoRA", &SHOWN);
        assert_eq!((row[3].as_str(), row[7].as_str()), ("+0.150", "not distinguishable"));
        assert_eq!(row[5], "0.500", "two pairs cannot give less");
    }

    #[test]
    fn six_pairs_that_agree_are_the_fewest_that_tell_a_method_from_lora() {
        let verdict = |pairs: u32| {
            let rows = (0..pairs).map(|seed| {
                format!("l{seed},done,lora,{seed},cat,0.{seed},0.5,\nd{seed},done,delora,{seed},cat,0.{seed}5,0.5,\n")
            });
            let trials = trials(&rows.collect::<String>());
            let pairs = Pairs::of(Series::of("delora"), baseline(&trials), &dino(&trials));
            markdown_pair(&pairs, &trials, "LoRA", &SHOWN)[7].clone()
        };
        assert_eq!((verdict(5).as_str(), verdict(6).as_str()), ("not distinguishable", "above LoRA"));
    }

    #[test]
    fn of_several_ranks_of_lora_the_papers_is_the_baseline_and_the_others_are_compared_with_it() {
        let ranks = |ranks: &[&str]| {
            trials(
                &ranks
                    .iter()
                    .map(|rank| format!("{rank},done,lora,0,cat,0.{rank},0.5,{rank}\n"))
                    .collect::<String>(),
            )
        };
        assert_eq!(baseline(&ranks(&["4", "16", "64"])).title(), "LoRA r=16");
        assert_eq!(baseline(&ranks(&["8", "4"])).title(), "LoRA r=8");
        assert_eq!(baseline(&ranks(&["4"])).title(), "LoRA");
        assert_eq!(baseline(&ranks(&[])).title(), "LoRA");
        let trials = ranks(&["4", "16"]);
        let pairs = Pairs::of(Series::with("lora", RANK, "4"), baseline(&trials), &dino(&trials));
        assert!((pairs.differences[0] - 0.24).abs() < 1e-12);
    }
}
