//! A cell of a table in percent: mean and spread of the trials of a row, and how many of them have no score.

use results::{Spread, Status, Trial, Trials};

use super::ABSENT;
use crate::axis::signed;

/// The trials of a row; scores in percent.
pub struct Cell<'a> {
    pub trials: Vec<&'a Trial>,
    pub spread: Spread,
    diverged: usize,
    failed: usize,
    /// Finished without this score.
    unscored: usize,
}

impl<'a> Cell<'a> {
    /// The trials of a row with a value each, as it is shown.
    pub fn of_values(row: impl Iterator<Item = &'a Trial>, value: impl Fn(&Trial) -> Option<f64>) -> Self {
        let trials: Vec<&Trial> = row.collect();
        let spread = Spread::of_values(&trials, value);
        let count = |status| trials.iter().filter(|trial| trial.status == status).count();
        let unscored = count(Status::Done) - spread.n;
        Self { spread, diverged: count(Status::Diverged), failed: count(Status::Failed), unscored, trials }
    }

    /// Trials with a score, and those that diverged, failed or finished without one.
    pub fn counts(&self) -> [usize; 4] {
        [self.spread.n, self.diverged, self.failed, self.unscored]
    }

    /// "86.6 ± 0.23 (4; 1 diverged)", with `decimals` of the mean.
    pub fn text(&self, decimals: usize) -> String {
        if self.trials.is_empty() {
            return "missing".to_owned();
        }
        let lost = [(self.diverged, "diverged"), (self.failed, "failed"), (self.unscored, "without a score")];
        let lost = lost.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let counts: Vec<String> = std::iter::once(self.spread.n.to_string()).chain(lost).collect();
        format!("{} ({})", self.numbers(decimals).unwrap_or(ABSENT.to_owned()), counts.join("; "))
    }

    /// "86.6 ± 0.23".
    pub fn numbers(&self, decimals: usize) -> Option<String> {
        mean_and_std(self.spread.mean, self.spread.std_trials, [decimals, 2])
    }
}

/// A fraction of a trial that ran to its end, in percent.
pub fn in_percent(trials: &Trials, trial: &Trial, metric: &str) -> Option<f64> {
    trials.score(trial, metric).map(|score| 100.0 * score)
}

/// "0.540 ± 0.288", as far as known, with so many decimals of mean and deviation.
pub fn mean_and_std(mean: Option<f64>, std: Option<f64>, [of_mean, of_std]: [usize; 2]) -> Option<String> {
    let mean = signed(mean?, of_mean);
    Some(std.map_or(mean.clone(), |std| format!("{mean} ± {}", signed(std, of_std))))
}

/// A count as the paper prints it: "125M", "0.3M", "0.06M"; `decimals` are those from a tenth of a million on.
pub fn in_millions(count: u64, decimals: usize) -> String {
    let millions = count as f64 / 1e6;
    let decimals = match count {
        0 => return "0".to_owned(),
        10_000_000.. => 0,
        100_000.. => decimals,
        // One digit that is not zero.
        _ => (-millions.log10().floor()) as usize,
    };
    format!("{millions:.decimals$}M")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_stand_with_their_deviation_where_there_is_one() {
        assert_eq!(mean_and_std(Some(0.54), Some(0.288_097), [3, 3]).unwrap(), "0.540 ± 0.288");
        assert_eq!(
            (mean_and_std(Some(0.54), None, [1, 2]).unwrap().as_str(), mean_and_std(None, None, [1, 2])),
            ("0.5", None)
        );
    }

    #[test]
    fn counts_are_printed_as_in_the_paper() {
        let counts = [124_055_040, 4_194_304, 387_312, 294_912, 102_144, 55_296, 18_444, 1_536, 0];
        let expected = ["124M", "4.2M", "0.4M", "0.3M", "0.1M", "0.06M", "0.02M", "0.002M", "0"];
        assert_eq!(counts.map(|count| in_millions(count, 1)), expected);
        let finer = [6_738_415_616, 4_194_304, 1_048_576, 262_144, 20_480];
        assert_eq!(finer.map(|count| in_millions(count, 2)), ["6738M", "4.19M", "1.05M", "0.26M", "0.02M"]);
    }
}
