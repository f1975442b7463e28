//! Watches what goes into the norms of a network, for each trial.

use std::cell::RefCell;

use tch::{Kind, Tensor};

/// The largest magnitude that a norm computes with: the sum of a million squares of it still is an f32.
const LARGEST: f64 = 1e16;

/// The largest magnitude so far, [trials] in f32 on the device; absent before the first.
#[derive(Default)]
pub struct Watch(RefCell<Option<Tensor>>);

impl Watch {
    /// Takes the `input` of a norm, trial-major.
    pub fn look(&self, input: &Tensor, trials: i64) {
        let found = fused::largest_magnitudes(input, trials).to_kind(Kind::Float);
        let mut largest = self.0.borrow_mut();
        *largest = Some(match largest.take() {
            Some(largest) => largest.maximum(&found), // NaN where either is
            None => found,
        });
    }

    /// Whether a trial had a magnitude that is NaN or above what norms compute with.
    pub fn overflowed(&self, trials: usize) -> Vec<bool> {
        let Some(largest) = &*self.0.borrow() else { return vec![false; trials] };
        Vec::<bool>::try_from(largest.le(LARGEST).logical_not()).expect("a truth value for each trial")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_whose_norms_get_nan_or_huge_values_has_overflowed_and_its_neighbours_have_not() {
        let watch = Watch::default();
        assert_eq!(watch.overflowed(4), [false; 4]);
        let input = |broken: f32| {
            let mut values: Vec<f32> = (0..4 * 40).map(|index| (index % 7) as f32 - 3.0).collect();
            values[40 + 17] = broken;
            Tensor::from_slice(&values).view([8, 20])
        };
        watch.look(&input(2.0), 4);
        assert_eq!(watch.overflowed(4), [false; 4]);
        for broken in [f32::NAN, f32::INFINITY, -1e18] {
            let watch = Watch::default();
            watch.look(&input(broken), 4);
            watch.look(&input(1.0), 4);
            assert_eq!(watch.overflowed(4), [false, true, false, false], "{broken}");
        }
    }
}
