//! What one row of a table says of its trials: means and the two standard deviations.

use std::collections::{BTreeMap, BTreeSet};

use crate::series::Series;
use crate::stats;
use crate::trials::{Status, Trial, Trials};

/// A metric over the trials of one row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// Number of trials with a value.
    pub n: usize,
    /// Mean over trials.
    pub mean: Option<f64>,
    /// Over trials: every seed and subject is one value.
    pub std_trials: Option<f64>,
    /// Over seeds, of the mean over subjects: what Table 6 of the paper gives.
    pub std_seeds: Option<f64>,
}

impl Spread {
    /// The spread of a column of `trials.csv`.
    pub fn of<'a>(trials: &Trials, row: impl Iterator<Item = &'a Trial>, metric: &str) -> Self {
        let row: Vec<&Trial> = row.collect();
        Self::of_values(&row, |trial| trials.score(trial, metric))
    }

    /// The spread of a value per trial, where it has one.
    pub fn of_values(row: &[&Trial], value: impl Fn(&Trial) -> Option<f64>) -> Self {
        let scored: Vec<(&Trial, f64)> =
            row.iter().filter_map(|trial| value(trial).map(|score| (*trial, score))).collect();
        let scores: Vec<f64> = scored.iter().map(|(_, score)| *score).collect();
        Self {
            n: scores.len(),
            mean: stats::mean(&scores),
            std_trials: stats::std(&scores),
            std_seeds: stats::std(&seed_means(&scored)),
        }
    }
}

/// Mean over subjects for each seed that has all subjects; one that lacks a subject is not comparable.
fn seed_means(scored: &[(&Trial, f64)]) -> Vec<f64> {
    let subjects: BTreeSet<&str> = scored.iter().map(|(trial, _)| trial.subject.as_str()).collect();
    let mut seeds: BTreeMap<&str, BTreeMap<&str, f64>> = BTreeMap::new();
    for (trial, score) in scored {
        seeds.entry(&trial.seed).or_default().insert(&trial.subject, *score);
    }
    let complete = seeds.values().filter(|scores| scores.len() == subjects.len());
    complete.map(|scores| scores.values().sum::<f64>() / scores.len() as f64).collect()
}

/// The number of trials that diverged.
pub fn diverged<'a>(row: impl Iterator<Item = &'a Trial>) -> usize {
    row.filter(|trial| trial.status == Status::Diverged).count()
}

/// The number of trained parameters: all trials of a series have the same; reference rows have none.
pub fn num_parameters(trials: &Trials, series: Series) -> Option<u64> {
    trials.of(series).find_map(|trial| trials.number(trial, "num_parameters")).map(|count| count as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_spreads_answer_different_questions() {
        // Subjects differ by 0.4, seeds by 0.1; seed 2 lacks a subject, seed 3 diverged.
        let rows = "trial_id,status,method,seed,subject,dino\na,done,lora,0,cat,0.2\nb,done,lora,0,dog,0.6\n\
            c,done,lora,1,cat,0.3\nd,done,lora,1,dog,0.7\ne,done,lora,2,cat,0.9\nf,diverged,lora,3,cat,0.1\n";
        let trials = crate::testing::trials(rows);
        let spread = Spread::of(&trials, trials.of(Series::of("lora")), "dino");
        assert_eq!((spread.n, diverged(trials.of(Series::of("lora")))), (5, 1));
        assert!((spread.mean.unwrap() - 0.54).abs() < 1e-12);
        assert!((spread.std_seeds.unwrap() - 0.1 / 2.0_f64.sqrt()).abs() < 1e-12);
        assert!((spread.std_trials.unwrap() - 0.288_097).abs() < 1e-6);
        assert_eq!(Spread::of(&trials, trials.of(Series::of("dora")), "dino"), Spread::default());
    }
}
