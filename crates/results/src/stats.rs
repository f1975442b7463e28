//! Means, spreads, intervals, and what a number of pairs can tell.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::student;

const RESAMPLES: usize = 10_000;
/// Fixed, so that the same trials give the same interval.
const RESAMPLING_SEED: u64 = 0;
/// Two-sided level of [`detectable_difference`], and of what counts as significant.
pub const LEVEL: f64 = 0.05;
/// Power of [`detectable_difference`].
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

/// The smallest true mean difference that so many units with this spread find with power 0.8 at the two-sided level 0.05.
///
/// δ = (t(1 − 0.05/2; n − 1) + t(0.8; n − 1)) · s / √n, with s the standard deviation of the differences and
/// t the quantile of Student's distribution: the minimum detectable difference of a paired t test, as in Zar,
/// *Biostatistical Analysis*, chapter 7 (one-sample hypotheses). Against the exact non-central t it is too
/// small: by 14 % for two units, 5 % for three, 1 % for five, 0.1 % for ten. `None` for fewer than two units.
pub fn detectable_difference(units: &[f64]) -> Option<f64> {
    let degrees = units.len().checked_sub(1)? as f64;
    Some(multiple(LEVEL, degrees) * std(units)? / (units.len() as f64).sqrt())
}

/// How many standard errors a difference must have to be found with power 0.8 at a two-sided level.
fn multiple(level: f64, degrees: f64) -> f64 {
    student::quantile(1.0 - level / 2.0, degrees) + student::quantile(POWER, degrees)
}

/// The fewest units of standard deviation `spread` that find a difference with power 0.8 at a two-sided level.
pub fn units_needed(difference: f64, spread: f64, level: f64) -> Option<usize> {
    const MOST: usize = 1_000_000;
    if !(difference > 0.0 && spread.is_finite()) {
        return None;
    }
    let finds =
        |count: usize| multiple(level, (count - 1) as f64) * spread <= difference * (count as f64).sqrt();
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
        for (difference, spread) in [(0.5, 1.0), (1.0, 1.0), (0.02, 0.04), (3.0, 0.1)] {
            let count = units_needed(difference, spread, 0.05).unwrap();
            let detectable =
                |count: usize| multiple(0.05, (count - 1) as f64) * spread / (count as f64).sqrt();
            assert!(detectable(count) <= difference, "{count}");
            assert!(count == 2 || detectable(count - 1) > difference, "{count}");
        }
        // Cohen's table for a two-sided paired test at power 0.8 and d = 0.5 has 34.
        assert_eq!(units_needed(0.5, 1.0, 0.05), Some(34));
        assert_eq!(units_needed(0.0, 1.0, 0.05), None);
    }

    #[test]
    fn the_detectable_difference_follows_the_tabled_quantiles() {
        // Ten differences with s = 1: t(0.975; 9) = 2.262 and t(0.8; 9) = 0.883 in any table.
        let base: Vec<f64> = (0..10).map(f64::from).collect();
        let scale = std(&base).unwrap();
        let unit: Vec<f64> = base.iter().map(|value| value / scale).collect();
        let expected = (2.262 + 0.883) / 10.0_f64.sqrt();
        assert!((detectable_difference(&unit).unwrap() - expected).abs() < 5e-4);
        // The exact value, from the non-central t, is 0.9960.
        assert!((detectable_difference(&unit).unwrap() - 0.9960).abs() < 2e-3);
        let shifted: Vec<f64> = unit.iter().map(|value| value + 7.0).collect();
        assert!((detectable_difference(&shifted).unwrap() - expected).abs() < 5e-4);
        assert_eq!((detectable_difference(&[1.0]), detectable_difference(&[])), (None, None));
        assert_eq!(detectable_difference(&[0.5, 0.5, 0.5]), Some(0.0));
    }

    #[test]
    fn a_slope_is_that_of_the_fitted_line() {
        assert_eq!(slope(&[(0.0, 1.0), (2.0, 5.0), (4.0, 9.0)]), Some(2.0));
        assert_eq!(slope(&[(0.0, 0.0), (1.0, 1.0), (2.0, 0.0)]), Some(0.0));
        assert_eq!((slope(&[(1.0, 1.0), (1.0, 2.0)]), slope(&[])), (None, None));
    }
}
