//! What the measured steps come to: ratios of medians, and what one more trial costs.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{By, CURVES, Line, MIXED, SWEEP_TRIALS, SWEPT};

/// Milliseconds by case, for ratios: table, network, batch, method, who and trials.
type Key = (&'static str, &'static str, i64, &'static str, By, usize);

/// What a line of the summary says, and its number.
#[derive(Debug, Serialize)]
pub struct Ratio {
    pub what: String,
    pub ratio: f64,
}

/// The ratios that the lines come to.
pub fn ratios(lines: &[Line]) -> Vec<Ratio> {
    let key = |line: &Line| (line.table, line.network, line.batch, line.method, line.by, line.trials);
    let mut times: BTreeMap<Key, f64> = BTreeMap::new();
    for line in lines {
        // The fastest form of a peer counts.
        times
            .entry(key(line))
            .and_modify(|time| *time = time.min(line.milliseconds))
            .or_insert(line.milliseconds);
    }
    let mut ratios = Vec::new();
    let mut add = |what: String, slow: Option<f64>, fast: Option<f64>| {
        if let (Some(slow), Some(fast)) = (slow, fast) {
            ratios.push(Ratio { what, ratio: slow / fast });
        }
    };
    let peers = lines.iter().filter(|line| line.table == "sweep" && line.by == By::Peft);
    let peers = mean(peers.map(|line| line.milliseconds));
    for (by, what) in [(By::Banks, "a bank on each thread"), (By::Bank, "one bank on all threads")] {
        let own = times.get(&("sweep", "unet", 1, MIXED, by, SWEEP_TRIALS)).copied();
        add(format!("sweep of {SWEEP_TRIALS}, {what}: PEFT's time by ours"), peers, own);
    }
    let size = |method, trials| times.get(&("banks", "unet", 1, method, By::Bank, trials)).copied();
    for method in CURVES {
        let one = match method {
            MIXED => mean(SWEPT.iter().filter_map(|method| size(method, 1))),
            method => size(method, 1),
        };
        add(format!("bank of 8, {method}: one by one by the bank"), one, size(method, 8));
    }
    add("bank of 8: a step of DeLoRA by one of LoRA".to_owned(), size("delora", 8), size("lora", 8));
    for line in lines.iter().filter(|line| line.table == "alone" && line.by == By::Bank) {
        let Line { network, batch, method, .. } = line;
        let peer = times.get(&("alone", network, *batch, method, By::Peft, 1)).copied();
        add(
            format!("one trial, {method} on {network}, batch {batch}: PEFT's time by ours"),
            peer,
            Some(line.milliseconds),
        );
    }
    ratios
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// What a step of a bank takes: about `fixed` + `per_trial` · trials.
#[derive(Debug, Serialize)]
pub struct Cost {
    pub method: &'static str,
    /// Milliseconds of a step that do not depend on how many trials there are: operators are called once for all.
    pub fixed: f64,
    /// Milliseconds of a step for each trial: arithmetic, and memory that is read and written.
    pub per_trial: f64,
    /// The most that a measured step is off the line, by its own time.
    pub worst: f64,
    /// Memory of a step for each trial beside the first, of 10⁶ bytes.
    pub megabytes: Option<f64>,
}

/// The line of each method whose banks were measured at several sizes, which has the least squares of relative errors.
pub fn costs(lines: &[Line]) -> Vec<Cost> {
    let cost = |method: &'static str| {
        let banks = || lines.iter().filter(|line| line.table == "banks" && line.method == method);
        let steps: Vec<(f64, f64)> =
            banks().map(|line| (line.trials as f64, line.milliseconds * line.trials as f64)).collect();
        if steps.len() < 2 {
            return None;
        }
        // Sums of the normal equations of 1 = fixed / time + per_trial · trials / time.
        let sum = |term: &dyn Fn(f64, f64) -> f64| {
            steps.iter().map(|&(trials, time)| term(trials, time)).sum::<f64>()
        };
        let (ones, mixed, squares) = (
            sum(&|_, time| time.powi(-2)),
            sum(&|trials, time| trials / time.powi(2)),
            sum(&|trials, time| (trials / time).powi(2)),
        );
        let (first, second) = (sum(&|_, time| 1.0 / time), sum(&|trials, time| trials / time));
        let determinant = ones * squares - mixed * mixed;
        let fixed = (first * squares - second * mixed) / determinant;
        let per_trial = (second * ones - first * mixed) / determinant;
        let off = |&(trials, time): &(f64, f64)| ((fixed + per_trial * trials) / time - 1.0).abs();
        let memory = |line: &Line| Some((line.trials as f64, line.megabytes?));
        let (smallest, largest) = (banks().next().and_then(memory), banks().next_back().and_then(memory));
        let megabytes = smallest.zip(largest).map(|((few, less), (many, more))| (more - less) / (many - few));
        Some(Cost { method, fixed, per_trial, worst: steps.iter().map(off).fold(0.0, f64::max), megabytes })
    };
    CURVES.into_iter().filter_map(cost).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SIZES;

    fn line(table: &'static str, method: &'static str, by: By, trials: usize, milliseconds: f64) -> Line {
        Line {
            table,
            network: "unet",
            batch: 1,
            method,
            peer: if by == By::Peft { method } else { "" },
            by,
            trials,
            steps: 1,
            milliseconds,
            least: milliseconds,
            most: milliseconds,
            gigaflops: 1.0,
            share: 0.5,
            megabytes: (by == By::Bank).then_some(20.0 + 5.0 * trials as f64),
        }
    }

    #[test]
    fn a_bank_s_time_is_split_into_what_is_fixed_and_what_each_trial_takes() {
        let steps = SIZES.map(|trials| line("banks", "lora", By::Bank, trials, 30.0 / trials as f64 + 12.0));
        let costs = costs(&steps);
        assert_eq!(costs.len(), 1);
        assert!((costs[0].fixed - 30.0).abs() < 1e-9 && (costs[0].per_trial - 12.0).abs() < 1e-9);
        assert!(costs[0].worst < 1e-12);
        assert_eq!(costs[0].megabytes, Some(5.0));
    }

    #[test]
    fn ratios_are_those_of_the_lines_and_take_the_faster_form_of_a_peer() {
        let mut lines = vec![
            line("alone", "lora", By::Bank, 1, 20.0),
            line("alone", "lora", By::Peft, 1, 50.0),
            line("alone", "lora", By::Peft, 1, 40.0),
            line("banks", "lora", By::Bank, 1, 20.0),
            line("banks", "lora", By::Bank, 8, 5.0),
            line("banks", "dora", By::Bank, 1, 40.0),
            line("banks", MIXED, By::Bank, 8, 10.0),
            line("sweep", MIXED, By::Banks, SWEEP_TRIALS, 10.0),
        ];
        lines.extend([90.0, 110.0].map(|time| line("sweep", "lora", By::Peft, 1, time)));
        let found = ratios(&lines);
        let ratio =
            |part: &str| found.iter().find(|ratio| ratio.what.contains(part)).map(|ratio| ratio.ratio);
        assert_eq!(ratio("one trial, lora"), Some(2.0));
        assert_eq!(ratio("bank of 8, lora"), Some(4.0));
        assert_eq!(ratio("bank of 8, mixed"), Some(3.0), "beside the mean of what fills it");
        assert_eq!(ratio("a bank on each thread"), Some(10.0));
        assert_eq!(ratio("a step of DeLoRA"), None, "what was not measured has no ratio");
    }
}
