//! Means, spreads and intervals.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const RESAMPLES: usize = 10_000;
/// Fixed, so that the same trials give the same interval.
const RESAMPLING_SEED: u64 = 0;

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

/// 95 % percentile bootstrap interval of the mean; of fewer than two values there is none.
pub fn bootstrap_interval(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(RESAMPLING_SEED);
    let mut resample = || {
        let drawn = (0..values.len()).map(|_| values[random.random_range(0..values.len())]);
        drawn.sum::<f64>() / values.len() as f64
    };
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| resample()).collect();
    means.sort_by(f64::total_cmp);
    let quantile = |share: f64| means[((RESAMPLES - 1) as f64 * share).round() as usize];
    Some((quantile(0.025), quantile(0.975)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_has_n_minus_one_and_needs_two_values() {
        assert_eq!(std(&[1.0, 3.0]), Some(2.0_f64.sqrt()));
        assert_eq!((std(&[1.0]), mean(&[]), bootstrap_interval(&[1.0])), (None, None, None));
    }

    #[test]
    fn the_interval_holds_the_mean_lies_inside_the_values_and_is_the_same_each_time() {
        let values = [0.01, -0.02, 0.05, 0.03, 0.00, 0.04];
        let (low, high) = bootstrap_interval(&values).unwrap();
        let mean = mean(&values).unwrap();
        assert!(-0.02 < low && low < mean && mean < high && high < 0.05, "{low} {mean} {high}");
        assert_eq!(bootstrap_interval(&values), Some((low, high)));
        let shifted: Vec<f64> = values.iter().map(|value| value + 1.0).collect();
        assert!((bootstrap_interval(&shifted).unwrap().0 - low - 1.0).abs() < 1e-12);
    }
}
