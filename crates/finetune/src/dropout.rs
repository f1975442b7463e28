//! Dropout while a bank trains: drawn for each trial and row by itself.

use delora_core::stream;
use models::Dropout;
use rand::Rng;
use tch::{Device, Tensor};

/// Probabilities of one trial.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DropoutRates {
    /// For the network's hidden states.
    pub hidden: f64,
    /// For attention's probabilities.
    pub attention: f64,
    /// For the head's features.
    pub head: f64,
    /// For the inputs of additive updates of low rank, and for what LoReFT changes.
    pub adapter: f64,
}

/// What one pass of a training step needs to draw its dropout.
///
/// A row's draws depend on its trial's seed, the step, its place in the trial's batch and the layer, and go over its own
/// tokens alone: they are the same in any bank, beside any other rows and with any padding.
pub struct StepDropout<'a> {
    pub step: u64,
    /// By slot.
    pub seeds: &'a [u64],
    /// By slot.
    pub rates: &'a [DropoutRates],
    /// The index in each trial's batch of the first row of this pass.
    pub first_row: usize,
    /// Tokens of each row, trial-major.
    pub lengths: &'a [i64],
    pub device: Device,
}

/// Draws are compared as 16-bit integers.
const STEPS: f64 = 65536.0;

impl StepDropout<'_> {
    /// What [`models::Hook::dropout`] has to give.
    pub fn of_network(&self, dropout: Dropout, site: &str, shape: &[i64]) -> Option<Tensor> {
        match dropout {
            Dropout::Hidden => self.draw(|rates| rates.hidden, "hidden", site, shape),
            Dropout::Attention => self.draw(|rates| rates.attention, "attention", site, shape),
            Dropout::Head => self.draw(|rates| rates.head, "head", site, shape),
        }
    }

    /// What multiplies the input of an adapter at `site`, in this shape; `None`: nothing is dropped out.
    pub fn of_adapters(&self, site: &str, shape: &[i64]) -> Option<Tensor> {
        self.draw(|rates| rates.adapter, "adapter", site, shape)
    }

    /// 0 or 1 / (1 − p) at each value; `None` when no trial has a probability.
    fn draw(
        &self,
        rate: impl Fn(&DropoutRates) -> f64,
        purpose: &str,
        site: &str,
        shape: &[i64],
    ) -> Option<Tensor> {
        if self.rates.iter().all(|rates| rate(rates) == 0.0) {
            return None;
        }
        let size: i64 = shape.iter().product();
        let mut values = vec![1f32; size as usize];
        let mut bytes = Vec::new();
        let rows_per_trial = self.lengths.len() / self.seeds.len();
        let rows = values.chunks_mut(size as usize / self.lengths.len()).enumerate();
        for (row, values) in rows {
            let trial = row / rows_per_trial;
            let threshold = (rate(&self.rates[trial]) * STEPS).round() as u32;
            if threshold == 0 {
                continue;
            }
            let place = self.first_row + row % rows_per_trial;
            let purpose = format!("dropout {} {place} {purpose} {site}", self.step);
            let mut generator = stream(self.seeds[trial], &purpose);
            let kept = (STEPS / (STEPS - f64::from(threshold))) as f32;
            let mut fill = |values: &mut [f32]| {
                bytes.resize(2 * values.len(), 0u8);
                generator.fill_bytes(&mut bytes);
                for (value, pair) in values.iter_mut().zip(bytes.chunks_exact(2)) {
                    let drawn = u32::from(u16::from_le_bytes([pair[0], pair[1]]));
                    *value = if drawn < threshold { 0.0 } else { kept };
                }
            };
            let length = self.lengths[row] as usize;
            match shape {
                [_, _] => fill(values),
                [_, _, features] => fill(&mut values[..length * *features as usize]),
                [_, _, queries, keys] => {
                    for head in values.chunks_mut((queries * keys) as usize) {
                        head.chunks_mut(*keys as usize)
                            .take(length)
                            .for_each(|keys| fill(&mut keys[..length]));
                    }
                }
                _ => unreachable!("features of heads, hidden states and attention have two to four axes"),
            }
        }
        Some(Tensor::from_slice(&values).view(shape).to_device(self.device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(
        seeds: &[u64],
        rates: &[f64],
        first_row: usize,
        lengths: &[i64],
        shape: &[i64],
    ) -> Option<Tensor> {
        let rates: Vec<DropoutRates> =
            rates.iter().map(|&hidden| DropoutRates { hidden, ..Default::default() }).collect();
        let step = StepDropout { step: 3, seeds, rates: &rates, first_row, lengths, device: Device::Cpu };
        step.of_network(Dropout::Hidden, "layer", shape)
    }

    #[test]
    fn a_row_draws_the_same_in_any_bank_with_any_padding_and_any_neighbours() {
        let alone = mask(&[7], &[0.5], 1, &[2], &[1, 2, 3]).unwrap();
        // The second row of the second trial, padded to four tokens.
        let together = mask(&[5, 7], &[0.2, 0.5], 0, &[4, 1, 3, 2], &[4, 4, 3]).unwrap();
        assert_eq!(together.get(3).narrow(0, 0, 2), alone.get(0));
        assert_ne!(together.get(2).narrow(0, 0, 2), alone.get(0));
    }

    #[test]
    fn a_share_of_p_is_dropped_and_the_mean_stays() {
        for rate in [0.1, 0.5] {
            let mask = mask(&[1], &[rate], 0, &[100], &[1, 100, 1000]).unwrap();
            let dropped =
                f64::try_from(mask.eq(0.0).to_kind(tch::Kind::Double).mean(tch::Kind::Double)).unwrap();
            let mean = f64::try_from(mask.mean(tch::Kind::Double)).unwrap();
            assert!((dropped - rate).abs() < 5e-3, "{dropped}");
            assert!((mean - 1.0).abs() < 6e-3, "{mean}");
        }
    }

    #[test]
    fn trials_without_dropout_are_left_alone() {
        assert!(mask(&[1, 2], &[0.0, 0.0], 0, &[1, 1], &[2, 1, 8]).is_none());
        let mask = mask(&[1, 2], &[0.0, 0.5], 0, &[1, 1], &[2, 1, 64]).unwrap();
        assert_eq!(mask.get(0), Tensor::ones([1, 64], (tch::Kind::Float, Device::Cpu)));
        assert_ne!(mask.get(1), Tensor::ones([1, 64], (tch::Kind::Float, Device::Cpu)));
    }
}
