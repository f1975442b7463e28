//! Two groups of trials, paired by seed and subject.

use std::collections::{BTreeMap, BTreeSet};

use crate::sample::Sample;
use crate::series::{RANK, Series};
use crate::trials::{Trial, Trials};
use crate::units::unit_means;

const BASELINE: &str = "lora";
/// The rank that the paper gives to the methods it compares.
const PAPERS_RANK: &str = "16";

/// The differences of a score between two groups, over the seeds and subjects that both finished.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pairs {
    /// Ours less theirs, in the order of seed and subject.
    pub differences: Vec<f64>,
    /// Theirs, of the same pairs.
    pub references: Vec<f64>,
    /// The difference of each independent unit, as [`crate::unit_means`] has them, and of each question where all sat one test.
    pub units: Sample,
    /// Theirs, of the same units.
    pub unit_references: Vec<f64>,
    /// How many subjects or tasks the pairs are of.
    pub subjects: usize,
    /// The trials of the pairs in which one has no score.
    pub unscored: Vec<(String, String)>,
}

impl Pairs {
    /// Pairs the trials that share seed and subject by a metric; of several with a score the last counts.
    pub fn new<'a>(
        trials: &Trials,
        ours: impl Iterator<Item = &'a Trial>,
        theirs: impl Iterator<Item = &'a Trial>,
        metric: &str,
    ) -> Self {
        let score = |trial: &Trial| trials.score(trial, metric);
        let (ours, theirs) = (by_replicate(ours, score), by_replicate(theirs, score));
        let (mut pairs, mut replicates, mut items) = (Self::default(), Vec::new(), Vec::new());
        for (replicate, (trial, score)) in &ours {
            let Some((other, compared)) = theirs.get(replicate) else { continue };
            let Some((score, compared)) = score.zip(*compared) else {
                pairs.unscored.push((trial.id.clone(), other.id.clone()));
                continue;
            };
            pairs.differences.push(score - compared);
            pairs.references.push(compared);
            replicates.push(*replicate);
            items.extend(differences(trials.items(trial, metric), trials.items(other, metric)));
        }
        pairs.subjects = replicates.iter().map(|(_, subject)| subject).collect::<BTreeSet<_>>().len();
        let by_unit = |values: &[f64]| {
            unit_means(&replicates.iter().copied().zip(values.iter().copied()).collect::<Vec<_>>())
        };
        pairs.unit_references = by_unit(&pairs.references);
        // Only where a unit is a single training do its questions stand for it; units are in the order of their names.
        let is_by_training = pairs.subjects == 1;
        pairs.units =
            Sample::with_items(by_unit(&pairs.differences), if is_by_training { items } else { Vec::new() });
        pairs
    }
}

/// What each item of a test adds to one trial's score beyond what it adds to another's; none where either is not known.
fn differences(ours: Option<&[f64]>, theirs: Option<&[f64]>) -> Option<Vec<f64>> {
    let (ours, theirs) = ours.zip(theirs).filter(|(ours, theirs)| ours.len() == theirs.len())?;
    Some(ours.iter().zip(theirs).map(|(ours, theirs)| ours - theirs).collect())
}

type Scored<'a> = BTreeMap<(&'a str, &'a str), (&'a Trial, Option<f64>)>;

fn by_replicate<'a>(
    trials: impl Iterator<Item = &'a Trial>,
    score: impl Fn(&Trial) -> Option<f64>,
) -> Scored<'a> {
    let mut scored = Scored::new();
    for trial in trials {
        let (replicate, score) = ((trial.seed.as_str(), trial.subject.as_str()), score(trial));
        if score.is_some() || !scored.contains_key(&replicate) {
            scored.insert(replicate, (trial, score));
        }
    }
    scored
}

/// LoRA, with which others are compared; of several ranks the paper's.
pub fn baseline(trials: &Trials) -> Series<'_> {
    at_papers_rank(trials, BASELINE)
}

/// A method; of several ranks the paper's, or the largest where that was not run.
pub fn at_papers_rank<'a>(trials: &'a Trials, method: &'a str) -> Series<'a> {
    let ranks = trials.split(method);
    let papers = ranks.iter().find(|series| **series == Series::with(method, RANK, PAPERS_RANK));
    *papers.or(ranks.last()).expect("a split has at least one series")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials(rows: &str) -> Trials {
        let header = "trial_id,status,method,seed,subject,dino,config.method.rank";
        crate::testing::trials(&format!("{header}\n{rows}"))
    }

    fn dino(trials: &Trials, ours: Series, theirs: Series) -> Pairs {
        Pairs::new(trials, trials.of(ours), trials.of(theirs), "dino")
    }

    #[test]
    fn only_trials_of_the_same_seed_and_subject_are_paired() {
        let trials = trials(
            "a,done,lora,0,cat,0.5,\nb,done,lora,1,cat,0.1,\nc,diverged,lora,2,cat,0.9,\n\
             d,done,delora,0,cat,0.7,\ne,done,delora,1,cat,0.2,\nf,done,delora,2,cat,0.9,\n\
             g,done,delora,0,dog,0.9,\n",
        );
        let pairs = dino(&trials, Series::of("delora"), baseline(&trials));
        assert_eq!((pairs.differences.len(), pairs.subjects), (2, 1));
        assert!((pairs.units.mean().unwrap() - 0.15).abs() < 1e-12);
        assert_eq!(pairs.references, [0.5, 0.1]);
        assert_eq!(pairs.units.len(), 2, "of one subject the seeds are the units");
        let (low, high) = pairs.units.interval().unwrap();
        assert!(low < 0.0 && high > 0.3 && pairs.units.test().unwrap().p() > 0.2, "two units say little");
        assert_eq!(pairs.unscored, [("f".to_owned(), "c".to_owned())]);
    }

    #[test]
    fn of_several_ranks_of_lora_the_papers_is_the_baseline_and_the_others_are_compared_with_it() {
        let ranks = |ranks: &[&str]| {
            let rows = ranks.iter().map(|rank| format!("{rank},done,lora,0,cat,0.{rank},{rank}\n"));
            trials(&rows.collect::<String>())
        };
        let title = |trials: &Trials| trials.title(baseline(trials));
        assert_eq!(title(&ranks(&["4", "16", "64"])), "LoRA r=16");
        assert_eq!(title(&ranks(&["8", "4"])), "LoRA r=8");
        assert_eq!([title(&ranks(&["4"])), title(&ranks(&[]))], ["LoRA", "LoRA"]);
        let trials = ranks(&["4", "16"]);
        let pairs = dino(&trials, Series::with("lora", RANK, "4"), baseline(&trials));
        assert!((pairs.differences[0] - 0.24).abs() < 1e-12);
    }
}
