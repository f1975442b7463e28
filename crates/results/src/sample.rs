//! What independent units measured: the numbers that a mean, its interval and its test are of.

use crate::stats::{self, MeanTest};

/// A number of each independent unit, and where units sat the same test, what each item of it (a question, an example) added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// One for each unit.
    pub values: Vec<f64>,
    /// By unit and item, `[unit][item]`; the mean of a unit's items is its value. Empty where the items are not known.
    pub items: Vec<Vec<f64>>,
}

impl Sample {
    /// Units without items.
    pub fn of(values: Vec<f64>) -> Self {
        Self { values, items: Vec::new() }
    }

    /// Units with what the items of their common test added. Items that are not the same in number everywhere are left out.
    pub fn with_items(values: Vec<f64>, items: Vec<Vec<f64>>) -> Self {
        let count = items.first().map_or(0, Vec::len);
        let is_whole = count > 1 && items.len() == values.len() && items.iter().all(|own| own.len() == count);
        Self { values, items: if is_whole { items } else { Vec::new() } }
    }

    /// How many units there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Mean of the units.
    pub fn mean(&self) -> Option<f64> {
        stats::mean(&self.values)
    }

    /// What the units say of their mean; with items also what these items say of all that could have been asked.
    pub fn test(&self) -> Option<MeanTest> {
        self.moved(|_| 0.0)
    }

    /// The same once each unit is moved by a number of its own.
    pub fn moved(&self, by: impl Fn(usize) -> f64) -> Option<MeanTest> {
        if self.items.is_empty() {
            let moved = self.values.iter().enumerate().map(|(unit, value)| value + by(unit));
            return MeanTest::of(&moved.collect::<Vec<_>>());
        }
        let moved = |(unit, own): (usize, &Vec<f64>)| own.iter().map(|item| item + by(unit)).collect();
        MeanTest::crossed(&self.items.iter().enumerate().map(moved).collect::<Vec<Vec<f64>>>())
    }

    /// 95 % interval of the mean.
    pub fn interval(&self) -> Option<(f64, f64)> {
        Some(self.test()?.interval(stats::LEVEL))
    }

    /// 95 % interval of the mean over these units, had any items been asked: it says nothing of other units, such as other
    /// trainings. None without items.
    pub fn interval_over_items(&self) -> Option<(f64, f64)> {
        let count = self.items.first()?.len();
        let mean =
            |item: usize| self.items.iter().map(|own| own[item]).sum::<f64>() / self.items.len() as f64;
        stats::interval(&(0..count).map(mean).collect::<Vec<_>>())
    }

    /// Standard error of the mean of so many such units with these items; none with fewer than two units here.
    fn error(&self) -> Option<impl Fn(usize) -> f64> {
        let of_units = stats::std(&self.values)?.powi(2);
        let of_items = MeanTest::crossed(&self.items)
            .map_or(0.0, |test| (test.error.powi(2) - of_units / self.values.len() as f64).max(0.0));
        Some(move |count: usize| (of_units / count as f64 + of_items).sqrt())
    }

    /// The fewest units of this spread that find a true mean of `difference` with power 0.8 at a two-sided level; none where
    /// no number would.
    pub fn units_needed(&self, difference: f64, level: f64) -> Option<usize> {
        stats::units_needed(difference, self.error()?, level)
    }

    /// The smallest true mean that as many such units find with power 0.8 at the level 0.05.
    pub fn detectable(&self) -> Option<f64> {
        stats::detectable(self.error()?(self.len()), self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-9
    }

    #[test]
    fn without_items_a_sample_is_its_values() {
        let values = vec![0.01, -0.02, 0.05, 0.03, 0.00, 0.04];
        let sample = Sample::of(values.clone());
        assert_eq!(sample.test(), MeanTest::of(&values));
        assert_eq!((sample.interval(), sample.interval_over_items()), (stats::interval(&values), None));
        assert_eq!(Sample::with_items(values, vec![vec![0.0; 3]; 5]).items, Vec::<Vec<f64>>::new());
    }

    #[test]
    fn items_add_what_they_differ_by() {
        // Two trainings that agree on every question: all doubt is in which questions were asked.
        let one: Vec<f64> = (0..40).map(|item| f64::from(item % 2)).collect();
        let agreeing = Sample::with_items(vec![0.5, 0.5], vec![one.clone(), one.clone()]);
        let (low, high) = agreeing.interval().unwrap();
        let (from, to) = stats::interval(&one).unwrap();
        assert!(close(low, from) && close(high, to), "{low} {high} against {from} {to}");
        assert_eq!(
            agreeing.units_needed(0.05, 0.05),
            None,
            "no number of trainings makes up for so few questions"
        );
        // Two that differ by the same on every question: all doubt is in the trainings.
        let other: Vec<f64> = vec![0.25; 40];
        let constant = vec![0.75; 40];
        let differing = Sample::with_items(vec![0.25, 0.75], vec![other, constant]);
        assert_eq!(differing.interval(), stats::interval(&[0.25, 0.75]));
        assert_eq!(differing.interval_over_items(), None);
    }
}
