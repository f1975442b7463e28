//! Paired differences from LoRA as Markdown and CSV, over the seeds and subjects that both finished.

use results::{Pairs, REAL_IMAGES, Series, Trials, baseline, glue, stats};

use super::{ABSENT, PairsText, Table};
use crate::axis::signed;
use crate::drawing::{Drawing, ends, full, listed, markdown};

/// Differences of one score of a series, with what the score is called in CSV and in Markdown.
struct Difference<'a> {
    series: Series<'a>,
    name: &'static str,
    title: &'static str,
    factor: f64,
    pairs: Pairs,
}

impl Table<'_> {
    /// `pairs.md` and `pairs.csv` of the columns that the paper reports.
    pub fn pairs(&self, text: &PairsText) -> Vec<Drawing> {
        let trials = self.trials;
        let baseline = baseline(trials);
        let mut differences: Vec<Difference> = Vec::new();
        for series in trials.series() {
            if series == baseline || series.method == REAL_IMAGES {
                continue;
            }
            let of = |keep: &dyn Fn(&str) -> bool, metric: &str| {
                let kept = |series| trials.of(series).filter(|trial| keep(&trial.subject));
                Pairs::new(trials, kept(series), kept(baseline), metric)
            };
            for column in self.columns.iter().filter(|column| column.reported) {
                let keep = |subject: &str| column.task.is_none_or(|task| task.name == subject);
                let pairs = of(&keep, column.metric.name);
                let (name, title, factor) = (column.name, column.title, column.metric.factor());
                differences.push(Difference { series, name, title, factor, pairs });
            }
            let averaged = self.averaged();
            if !averaged.is_empty() {
                let keep = |subject: &str| averaged.iter().any(|column| column.name == subject);
                let pairs = of(&keep, glue::SCORE);
                differences.push(Difference { series, name: "avg", title: "Avg", factor: 100.0, pairs });
            }
        }
        let mut header = listed("method, title, metric, n_pairs, n_units");
        header.push(format!("delta_vs_{}", baseline.key()));
        header.extend(listed(
            "lo, hi, p, detectable, units_needed, items, lo_units, hi_units, lo_items, hi_items",
        ));
        let rows = differences.iter().map(|difference| difference.csv(trials)).collect();
        let title = trials.title(baseline);
        vec![
            Drawing::text("pairs.md", written(&differences, trials, &title, text)),
            Drawing::csv("pairs.csv", header, rows),
        ]
    }
}

fn written(differences: &[Difference], trials: &Trials, title: &str, text: &PairsText) -> String {
    let has_items = differences.iter().any(|difference| !difference.pairs.units.items.is_empty());
    let mut header = listed("method, metric, n pairs, units");
    header.push(format!("Δ vs {title}"));
    header.extend(listed("95 % interval, p, detectable, units needed"));
    if has_items {
        header.extend(listed("over units alone, over questions alone"));
    }
    header.push(String::new());
    let row = |difference: &Difference| difference.markdown(trials, title, text.decimals, has_items);
    let rows: Vec<Vec<String>> = differences.iter().map(row).collect();
    let of_items = if has_items {
        " Where both sides answered the same questions, the interval is of other trainings and other questions. The two beside it hold one of \
         both for fixed: over units alone these questions, over questions alone these trainings."
    } else {
        ""
    };
    format!(
        "{}\nPaired differences over the same {}, with the interval of their mean by Student's t. Units are independent of each other: subjects or \
         tasks where there are several, each with the mean over its seeds, else seeds. Where the interval holds zero, which is where p is above \
         0.05, these trials do not tell the method from {title}. Detectable: the smallest true difference that as many units of this spread find \
         with power 0.8 at the level 0.05. Units needed: how many find a difference as large as the one measured, with that power.{of_items}{}\n",
        markdown(&header, &rows),
        text.shared,
        text.note,
    )
}

impl Difference<'_> {
    /// Units that find a difference as large as the one measured.
    fn units_needed(&self) -> Option<usize> {
        let units = &self.pairs.units;
        units.units_needed(units.mean()?.abs(), stats::LEVEL)
    }

    /// The interval that takes the questions as they are.
    fn interval_over_units(&self) -> Option<(f64, f64)> {
        stats::interval(&self.pairs.units.values)
    }

    fn csv(&self, trials: &Trials) -> Vec<String> {
        let (units, title) = (&self.pairs.units, trials.title(self.series));
        let (count, of_items) = (self.pairs.differences.len(), units.items.first().map(Vec::len));
        let mut cells = vec![self.series.method.to_owned(), title, self.name.to_owned()];
        cells.extend([count.to_string(), units.len().to_string()]);
        let ([low, high], p) = (ends(units.interval()), units.test().map(|test| test.p()));
        cells.extend([units.mean(), low, high, p, units.detectable()].map(full));
        let number = |count: Option<usize>| count.map(|count| count.to_string()).unwrap_or_default();
        cells.extend([self.units_needed(), of_items].map(number));
        let over_units = of_items.and_then(|_| self.interval_over_units());
        cells.extend([over_units, units.interval_over_items()].into_iter().flat_map(ends).map(full));
        cells
    }

    fn markdown(&self, trials: &Trials, baseline: &str, decimals: usize, has_items: bool) -> Vec<String> {
        let (units, absent) = (&self.pairs.units, || ABSENT.to_owned());
        let rounded = |value: f64| with_sign(value * self.factor, decimals);
        let interval = units.interval();
        let range = |ends: Option<(f64, f64)>| {
            ends.map_or_else(absent, |(low, high)| format!("{} to {}", rounded(low), rounded(high)))
        };
        let detectable = |value: f64| signed(value * self.factor, decimals);
        let mut cells = vec![
            trials.title(self.series),
            self.title.to_owned(),
            self.pairs.differences.len().to_string(),
            units.len().to_string(),
            units.mean().map_or_else(absent, rounded),
            range(interval),
            units.test().map_or_else(absent, |test| rounded_p(test.p())),
            units.detectable().map_or_else(absent, detectable),
            self.units_needed().map_or_else(absent, |count| count.to_string()),
        ];
        if has_items {
            cells.extend([self.interval_over_units(), units.interval_over_items()].map(range));
        }
        cells.push(verdict(interval, baseline));
        cells
    }
}

fn verdict(interval: Option<(f64, f64)>, baseline: &str) -> String {
    match interval {
        Some((low, high)) if low <= 0.0 && high >= 0.0 => "undecided".to_owned(),
        Some((low, _)) if low > 0.0 => format!("above {baseline}"),
        Some(_) => format!("below {baseline}"),
        None => "no spread to judge by".to_owned(),
    }
}

/// A p value with as many digits as it deserves.
fn rounded_p(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

/// "+0.150", "−0.150", "0.000".
pub fn with_sign(value: f64, decimals: usize) -> String {
    let text = signed(value, decimals);
    if text.starts_with('−') || value == 0.0 { text } else { format!("+{text}") }
}

#[cfg(test)]
mod tests {
    use results::Sample;

    use super::*;

    #[test]
    fn a_row_says_what_the_interval_of_the_units_says() {
        let row = |units: &[f64]| {
            let pairs = Pairs { units: Sample::of(units.to_vec()), ..Pairs::default() };
            let difference =
                Difference { series: Series::of("delora"), name: "", title: "", factor: 1.0, pairs };
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("trials.csv"), "trial_id,status,method,seed\n").unwrap();
            difference.markdown(&Trials::read(folder.path()).unwrap(), "LoRA", 3, false)
        };
        let clear = row(&[0.05, 0.06, 0.04]);
        assert_eq!((clear[3].as_str(), clear[4].as_str(), clear[9].as_str()), ("3", "+0.050", "above LoRA"));
        assert_eq!(row(&[-0.05, -0.06, -0.04])[9], "below LoRA");
        assert_eq!(row(&[0.05, 0.06, -0.04])[9], "undecided");
        assert_eq!(
            (row(&[0.05; 5])[9].as_str(), row(&[0.05])[9].as_str()),
            ("no spread to judge by", "no spread to judge by")
        );
    }
}
