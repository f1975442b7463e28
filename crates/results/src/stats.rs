//! Means, spreads, intervals, and what a number of pairs can tell.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::student;

const RESAMPLES: usize = 10_000;
/// Fixed, so that the same trials give the same interval.
const RESAMPLING_SEED: u64 = 0;
/// Two-sided level of intervals, and of what counts as significant.
pub const LEVEL: f64 = 0.05;
/// Power at which a difference counts as found.
const POWER: f64 = 0.8;

/// The mean; of no value there is none.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Standard deviation with n − 1 below the line; of fewer than two values there is none.
pub fn std(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// 95 % percentile bootstrap interval of any number that is computed from `n` units.
///
/// `statistic` gets the indices of the units drawn, `n` of them with repetition, so that what belongs to one
/// unit stays together. Resamples without a value are left out. Of fewer than two units there is no interval.
pub fn bootstrap(n: usize, statistic: impl Fn(&[usize]) -> Option<f64>) -> Option<(f64, f64)> {
    if n < 2 {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(RESAMPLING_SEED);
    let mut drawn = vec![0; n];
    let mut values: Vec<f64> = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        drawn.fill_with(|| random.random_range(0..n));
        values.extend(statistic(&drawn).filter(|value| value.is_finite()));
    }
    values.sort_by(f64::total_cmp);
    let quantile = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    (!values.is_empty()).then(|| (quantile(0.025), quantile(0.975)))
}

/// What values of independent units say of their mean, by Student's t distribution with n − 1 degrees of freedom.
///
/// Its interval holds the true mean as often as it says where the values are normal, with few units too, which the
/// percentile bootstrap does not. Values that are all equal have no spread to judge by, so they say nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanTest {
    /// The mean.
    pub mean: f64,
    /// Its standard error, above zero.
    pub error: f64,
    /// Degrees of freedom: units less one.
    pub degrees: f64,
}

impl MeanTest {
    /// None for fewer than two values, or where they do not differ.
    pub fn of(values: &[f64]) -> Option<Self> {
        let degrees = values.len().checked_sub(1)? as f64;
        let (mean, error) = (mean(values)?, std(values)? / (values.len() as f64).sqrt());
        // What differs by rounding alone does not differ.
        let least = values.iter().fold(0.0, |least: f64, value| least.max(value.abs())) * 1e-12;
        (error > least && mean.is_finite() && error.is_finite()).then_some(Self { mean, error, degrees })
    }

    /// What units that sat the same test say, `[unit][item]`: both could have been others. A unit's effect is common to its items, and an
    /// item's to all units, so the variance of the mean has a part of each (a two-way layout with random effects), and
    /// Satterthwaite's degrees of freedom. Of one unit its items alone are tested.
    ///
    /// None without two items, or where nothing differs.
    pub fn crossed(rows: &[Vec<f64>]) -> Option<Self> {
        let [first, _, ..] = rows else { return Self::of(rows.first()?) };
        let (units, items) = (rows.len() as f64, first.len() as f64);
        if first.len() < 2 || rows.iter().any(|row| row.len() != first.len()) {
            return None;
        }
        let of_unit: Vec<f64> = rows.iter().filter_map(|row| mean(row)).collect();
        let of_item: Vec<f64> =
            (0..first.len()).map(|item| rows.iter().map(|row| row[item]).sum::<f64>() / units).collect();
        let all = mean(&of_unit)?;
        let mut rest = 0.0;
        for (row, unit) in rows.iter().zip(&of_unit) {
            rest += row
                .iter()
                .zip(&of_item)
                .map(|(value, item)| (value - unit - item + all).powi(2))
                .sum::<f64>();
        }
        // Each a mean square, as a part of the variance of the mean.
        let freedom = [units - 1.0, items - 1.0, (units - 1.0) * (items - 1.0)];
        let [by_unit, by_item] = [(&of_unit, units), (&of_item, items)]
            .map(|(means, count)| std(means).map_or(0.0, |std| std.powi(2) / count));
        let both = rest / freedom[2] / (units * items);
        let variance = (by_unit + by_item - both).max(by_unit).max(by_item);
        let least =
            of_item.iter().chain(&of_unit).fold(0.0, |least: f64, value| least.max(value.abs())) * 1e-12;
        let parts =
            [by_unit, by_item, both].into_iter().zip(freedom).map(|(part, freedom)| part.powi(2) / freedom);
        let degrees = (variance.powi(2) / parts.sum::<f64>()).max(freedom[0].min(freedom[1]));
        let error = variance.sqrt();
        (error > least && all.is_finite() && error.is_finite()).then_some(Self { mean: all, error, degrees })
    }

    /// The interval that misses the true mean with probability `level`, half of it on each side.
    pub fn interval(&self, level: f64) -> (f64, f64) {
        let reach = student::quantile(1.0 - level / 2.0, self.degrees) * self.error;
        (self.mean - reach, self.mean + reach)
    }

    /// One-sided p value of a true mean at or below `bound`: small where the mean is clearly above it.
    pub fn p_above(&self, bound: f64) -> f64 {
        let t = (self.mean - bound) / self.error;
        let beyond = 1.0 - student::cumulative(t.abs(), self.degrees);
        if t >= 0.0 { beyond } else { 1.0 - beyond }
    }

    /// The same with the mean of the negated values: small where the mean is clearly below `bound`.
    pub fn p_below(&self, bound: f64) -> f64 {
        1.0 - self.p_above(bound)
    }

    /// Two-sided p value of a true mean of zero.
    pub fn p(&self) -> f64 {
        2.0 * self.p_above(0.0).min(self.p_below(0.0))
    }
}

/// 95 % interval of the mean of independent units; see [`MeanTest`].
pub fn interval(units: &[f64]) -> Option<(f64, f64)> {
    Some(MeanTest::of(units)?.interval(LEVEL))
}

/// The smallest true mean that so many units find with power 0.8 at the two-sided level 0.05, by the standard error of their mean.
///
/// δ = (t(1 − 0.05/2; n − 1) + t(0.8; n − 1)) · error, with t the quantile of Student's distribution: the minimum detectable
/// difference of a paired t test, as in Zar, *Biostatistical Analysis*, chapter 7 (one-sample hypotheses). Against the exact
/// non-central t it is too small: by 14 % for two units, 5 % for three, 1 % for five, 0.1 % for ten. `None` for fewer than two units.
pub(crate) fn detectable(error: f64, units: usize) -> Option<f64> {
    let degrees = units.checked_sub(1).filter(|degrees| *degrees > 0)? as f64;
    Some(multiple(LEVEL, degrees) * error)
}

/// How many standard errors a difference must have to be found with power 0.8 at a two-sided level.
fn multiple(level: f64, degrees: f64) -> f64 {
    student::quantile(1.0 - level / 2.0, degrees) + student::quantile(POWER, degrees)
}

/// The fewest units that find a difference with power 0.8 at a two-sided level, where the mean of so many has the standard error
/// `error`.
pub(crate) fn units_needed(difference: f64, error: impl Fn(usize) -> f64, level: f64) -> Option<usize> {
    const MOST: usize = 1_000_000;
    let finds = |count: usize| multiple(level, (count - 1) as f64) * error(count) <= difference;
    if !finds(MOST) {
        return None;
    }
    let (mut low, mut high) = (1, MOST); // `low` does not find it
    while high - low > 1 {
        let middle = low.midpoint(high);
        if finds(middle) { high = middle } else { low = middle }
    }
    Some(high)
}

/// Slope of the line that fits points (x, y) with least squares; `None` where they have fewer than two x.
pub fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let (xs, ys): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
    let (x_mean, y_mean) = (mean(&xs)?, mean(&ys)?);
    let across: f64 = xs.iter().map(|x| (x - x_mean).powi(2)).sum();
    let product: f64 = points.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    (across > 0.0).then(|| product / across)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_has_n_minus_one_and_needs_two_values() {
        assert_eq!(std(&[1.0, 3.0]), Some(2.0_f64.sqrt()));
        assert_eq!((std(&[1.0]), mean(&[]), interval(&[1.0])), (None, None, None));
    }

    #[test]
    fn an_interval_and_its_p_are_those_of_a_t_test() {
        // scipy.stats.ttest_1samp([0.01, -0.02, 0.05, 0.03, 0.0, 0.04], 0): t = 1.70139, p = 0.149608,
        // interval −0.009366 to 0.046033.
        let values = [0.01, -0.02, 0.05, 0.03, 0.00, 0.04];
        let test = MeanTest::of(&values).unwrap();
        let (low, high) = test.interval(0.05);
        assert!((test.p() - 0.149_608).abs() < 1e-6, "{}", test.p());
        assert!((low + 0.009_366).abs() < 1e-6 && (high - 0.046_033).abs() < 1e-6, "{low} {high}");
        assert!((test.p_above(low) - 0.025).abs() < 1e-9 && (test.p_below(high) - 0.025).abs() < 1e-9);
        assert!((test.p_above(0.0) + test.p_below(0.0) - 1.0).abs() < 1e-12);
        assert_eq!((MeanTest::of(&[0.3; 9]), MeanTest::of(&[0.0, 0.0])), (None, None));
    }

    #[test]
    fn a_bootstrap_is_the_same_each_time_and_leaves_out_resamples_without_a_value() {
        let values = [0.01, -0.02, 0.05, 0.03, 0.00, 0.04];
        let mean = |drawn: &[usize]| mean(&drawn.iter().map(|index| values[*index]).collect::<Vec<_>>());
        let (low, high) = bootstrap(6, mean).unwrap();
        assert!(-0.02 < low && low < 0.018 && 0.019 < high && high < 0.05, "{low} {high}");
        assert_eq!(bootstrap(6, mean), Some((low, high)));
        assert_eq!(bootstrap(3, |_| None), None, "no resample has a value");
    }

    #[test]
    fn units_needed_are_the_fewest_whose_detectable_difference_is_small_enough() {
        let needed = |difference: f64, spread: f64| {
            units_needed(difference, |count| spread / (count as f64).sqrt(), 0.05)
        };
        for (difference, spread) in [(0.5, 1.0), (1.0, 1.0), (0.02, 0.04), (3.0, 0.1)] {
            let count = needed(difference, spread).unwrap();
            let detectable = |count: usize| detectable(spread / (count as f64).sqrt(), count).unwrap();
            assert!(detectable(count) <= difference, "{count}");
            assert!(count == 2 || detectable(count - 1) > difference, "{count}");
        }
        // Cohen's table for a two-sided paired test at power 0.8 and d = 0.5 has 34.
        assert_eq!(needed(0.5, 1.0), Some(34));
        assert_eq!((needed(0.0, 1.0), needed(f64::NAN, 1.0), needed(1.0, f64::NAN)), (None, None, None));
    }

    #[test]
    fn the_detectable_difference_follows_the_tabled_quantiles() {
        // Ten differences with s = 1: t(0.975; 9) = 2.262 and t(0.8; 9) = 0.883 in any table.
        let error = 1.0 / 10.0_f64.sqrt();
        let detectable_by_ten = detectable(error, 10).unwrap();
        assert!((detectable_by_ten - (2.262 + 0.883) * error).abs() < 5e-4);
        // The exact value, from the non-central t, is 0.9960.
        assert!((detectable_by_ten - 0.9960).abs() < 2e-3);
        assert_eq!((detectable(1.0, 1), detectable(1.0, 0), detectable(0.0, 3)), (None, None, Some(0.0)));
    }

    #[test]
    fn units_and_items_are_a_two_way_layout_with_random_effects() {
        let rows = [vec![1.0, 2.0, 3.0], vec![2.0, 4.0, 6.0]];
        let test = MeanTest::crossed(&rows).unwrap();
        // Mean squares by hand: of units (means 2, 4) 6, of items (means 1.5, 3, 4.5) 4.5, of the rest 0.5.
        let [units, items, rest] = [6.0, 4.5, 0.5].map(|square: f64| square / 6.0);
        assert!((test.mean - 3.0).abs() < 1e-12);
        assert!((test.error.powi(2) - (units + items - rest)).abs() < 1e-12, "{}", test.error);
        let degrees = (units + items - rest).powi(2) / (units.powi(2) + (items.powi(2) + rest.powi(2)) / 2.0);
        assert!((test.degrees - degrees).abs() < 1e-12, "{}", test.degrees);
        assert_eq!(
            MeanTest::crossed(&rows[..1]),
            MeanTest::of(&rows[0]),
            "of one training the questions alone"
        );
        assert_eq!((MeanTest::crossed(&[]), MeanTest::crossed(&[vec![1.0], vec![2.0]])), (None, None));
        assert_eq!(MeanTest::crossed(&[vec![0.5; 4], vec![0.5; 4]]), None);
    }

    #[test]
    fn a_slope_is_that_of_the_fitted_line() {
        assert_eq!(slope(&[(0.0, 1.0), (2.0, 5.0), (4.0, 9.0)]), Some(2.0));
        assert_eq!(slope(&[(0.0, 0.0), (1.0, 1.0), (2.0, 0.0)]), Some(0.0));
        assert_eq!((slope(&[(1.0, 1.0), (1.0, 2.0)]), slope(&[])), (None, None));
    }
}
