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
/// Of several ranks of LoRA the one that the paper gives to the methods it compares.
const BASELINE_RANK: &str = "16";

/// A series' differences from LoRA over the (seed, subject) that both finished.
struct Pairs<'a> {
    series: Series<'a>,
    metric: &'static str,
    differences: Vec<f64>,
}

impl<'a> Pairs<'a> {
    fn of(trials: &'a Trials, series: Series<'a>, baseline: Series<'a>, metric: &'static str) -> Self {
        let theirs = scores(trials, baseline, metric);
        let ours = scores(trials, series, metric);
        let differences = ours.iter().filter_map(|(pair, score)| Some(score - theirs.get(pair)?)).collect();
        Self { series, metric, differences }
    }
}

/// LoRA; of several ranks the paper's, or the largest where that was not run.
fn baseline(trials: &Trials) -> Series<'_> {
    let ranks = trials.split(BASELINE);
    let papers = ranks.iter().find(|series| **series == Series::with(BASELINE, RANK, BASELINE_RANK));
    *papers.or(ranks.last()).expect("a split has at least one series")
}

/// Scores by seed and subject.
fn scores<'a>(trials: &'a Trials, series: Series<'a>, metric: &str) -> BTreeMap<(&'a str, &'a str), f64> {
    let scored = |trial: &'a Trial| {
        trials.score(trial, metric).map(|score| ((trial.seed.as_str(), trial.subject.as_str()), score))
    };
    trials.of(series).filter_map(scored).collect()
}

/// `pairs.md` and `pairs.csv`.
pub fn write_pairs(trials: &Trials, plots: &Path) -> Result<Vec<PathBuf>> {
    let baseline = baseline(trials);
    let mut series = trials.series();
    series.retain(|series| *series != baseline && series.method != REAL_IMAGES);
    let metrics = [METRICS[0].0, METRICS[1].0];
    let mut pairs = Vec::new();
    for series in series {
        pairs.extend(metrics.map(|metric| Pairs::of(trials, series, baseline, metric)));
    }

    let mut header = owned(&["method", "title", "metric", "n_pairs"]);
    header.extend([format!("delta_vs_{}", baseline.key()), "lo".to_owned(), "hi".to_owned()]);
    let rows: Vec<Vec<String>> = pairs.iter().map(csv_pair).collect();
    let csv = write_csv(&plots.join("pairs.csv"), &header, &rows)?;
    let title = baseline.title();
    let mut header = owned(&["method", "metric", "n pairs"]);
    header.extend([format!("Δ vs {title}"), "95 % interval".to_owned(), String::new()]);
    let rows: Vec<Vec<String>> = pairs.iter().map(|pairs| markdown_pair(pairs, &title)).collect();
    let text = format!(
        "{}\nPaired differences over the same seed and subject, with the percentile bootstrap interval of their mean. \
         Where the interval holds zero, these trials do not tell the method from {title}.\n",
        markdown(&header, &rows)
    );
    Ok(vec![write(&plots.join("pairs.md"), text.as_bytes())?, csv])
}

fn csv_pair(pairs: &Pairs) -> Vec<String> {
    let interval = stats::bootstrap_interval(&pairs.differences);
    vec![
        pairs.series.method.to_owned(),
        pairs.series.title(),
        pairs.metric.to_owned(),
        pairs.differences.len().to_string(),
        full(stats::mean(&pairs.differences)),
        full(interval.map(|(low, _)| low)),
        full(interval.map(|(_, high)| high)),
    ]
}

fn markdown_pair(pairs: &Pairs, baseline: &str) -> Vec<String> {
    let metric =
        METRICS.iter().find(|(name, _)| *name == pairs.metric).map_or(pairs.metric, |(_, title)| title);
    let interval = stats::bootstrap_interval(&pairs.differences);
    let verdict = match interval {
        Some((low, high)) if low <= 0.0 && high >= 0.0 => "not distinguishable".to_owned(),
        Some((low, _)) if low > 0.0 => format!("above {baseline}"),
        Some(_) => format!("below {baseline}"),
        None => "too few pairs".to_owned(),
    };
    vec![
        pairs.series.title(),
        metric.to_owned(),
        pairs.differences.len().to_string(),
        stats::mean(&pairs.differences).map_or(ABSENT.to_owned(), with_sign),
        interval
            .map_or(ABSENT.to_owned(), |(low, high)| format!("{} to {}", with_sign(low), with_sign(high))),
        verdict,
    ]
}

fn with_sign(value: f64) -> String {
    let text = signed(value, 3);
    if text.starts_with('−') || value == 0.0 { text } else { format!("+{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let pairs = Pairs::of(&trials, Series::of("delora"), baseline(&trials), "dino");
        assert_eq!(pairs.differences.len(), 2);
        assert!((stats::mean(&pairs.differences).unwrap() - 0.15).abs() < 1e-12);
        let row = markdown_pair(&pairs, "LoRA");
        assert_eq!((row[3].as_str(), row[5].as_str()), ("+0.150", "above LoRA"));
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
        let pairs = Pairs::of(&trials, Series::with("lora", RANK, "4"), baseline(&trials), "dino");
        assert!((pairs.differences[0] - 0.24).abs() < 1e-12);
    }
}
