//! Sampling of texts, of all trials of a bank at once.

use delora_core::{Bank, stream};
use finetune::{BankHook, mask, padded};
use models::decoder::Cache;
use rand::RngExt;
use tch::{Kind, Tensor};

use crate::world::Network;

/// How a token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Logits are divided by it; 0: always the likeliest token.
    pub temperature: f64,
    /// Only the likeliest tokens that together have this probability; 1: all.
    pub top_p: f64,
}

impl Sampling {
    /// Always the likeliest token.
    pub const GREEDY: Sampling = Sampling { temperature: 0.0, top_p: 1.0 };
}

/// Samples under a bank.
pub struct Generator<'a> {
    pub network: &'a Network,
    pub bank: &'a Bank,
}

impl Generator<'_> {
    /// What follows each of `prompts`, token ids `[slot][prompt]`, up to a token that ends a text, or `max_tokens`, or where positions end.
    ///
    /// A row's draws depend on `seed` and its place among the prompts alone. Panics without prompts, or at an empty one.
    pub fn generate(
        &self,
        prompts: &[Vec<i64>],
        max_tokens: usize,
        sampling: Sampling,
        seed: u64,
    ) -> Vec<Vec<Vec<i64>>> {
        let trials = self.bank.num_trials();
        let Network { llama, tokenizer, kind, device, .. } = self.network;
        let (llama, hook) = (&llama.network, BankHook::new(self.bank));
        let lengths: Vec<i64> = prompts.iter().map(|prompt| prompt.len() as i64).collect();
        let mut ids = padded(prompts.iter().map(Vec::as_slice), 0, *device).repeat([trials as i64, 1]);
        let mut seen = mask(&lengths, *device).repeat([trials as i64, 1]);
        let mut cache = Cache::new(ids.size()[0], llama.num_layers(), *device);
        let mut draws: Vec<_> =
            (0..prompts.len()).map(|row| stream(seed, &format!("sample {row}"))).collect();
        let mut generated = vec![Vec::new(); trials * prompts.len()];
        let mut is_done = vec![false; generated.len()];
        for step in 0..max_tokens {
            let hidden = gradient_mode::off(|| llama.extend(&ids, &seen, &mut cache, *kind, &hook));
            let last = (seen.sum_dim_intlist([1i64].as_slice(), false, Kind::Int64) - 1).view([-1, 1, 1]);
            let last = hidden.gather(1, &last.expand([-1, 1, hidden.size()[2]], false), false);
            let logits = gradient_mode::off(|| llama.logits(&last, &hook)).squeeze_dim(1);
            let logits = Vec::<Vec<f64>>::try_from(logits.to_kind(Kind::Double)).expect("logits of each row");
            let mut next = vec![tokenizer.ends[0]; generated.len()];
            // Every trial sees the same draws, as it would alone.
            let uniform: Vec<f64> = draws.iter_mut().map(|stream| stream.random()).collect();
            for (row, logits) in logits.iter().enumerate() {
                let prompt = row % prompts.len();
                let room = self.network.max_length().saturating_sub(prompts[prompt].len() + step);
                is_done[row] |= room == 0;
                if is_done[row] {
                    continue;
                }
                next[row] = choose(logits, sampling, uniform[prompt]);
                is_done[row] = tokenizer.ends.contains(&next[row]);
                if !is_done[row] {
                    generated[row].push(next[row]);
                }
            }
            if is_done.iter().all(|&done| done) {
                break;
            }
            ids = Tensor::from_slice(&next).view([-1, 1]).to_device(*device);
            seen = ids.ones_like();
        }
        generated.chunks(prompts.len()).map(<[Vec<i64>]>::to_vec).collect()
    }
}

/// The token that `uniform` in [0, 1) falls on, among those that `sampling` leaves, the likeliest first.
fn choose(logits: &[f64], sampling: Sampling, uniform: f64) -> i64 {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&left, &right| logits[right].total_cmp(&logits[left]));
    if sampling.temperature == 0.0 {
        return order[0] as i64;
    }
    let weight = |&token: &usize| ((logits[token] - logits[order[0]]) / sampling.temperature).exp();
    let weights: Vec<f64> = order.iter().map(weight).collect();
    let total: f64 = weights.iter().sum();
    let mut kept = 0.0;
    let within = weights.iter().take_while(|&&weight| {
        let is_needed = kept < sampling.top_p * total;
        kept += weight;
        is_needed
    });
    let count = within.count().max(1);
    let total: f64 = weights[..count].iter().sum();
    let mut rest = uniform * total;
    let place = weights[..count].iter().position(|weight| {
        rest -= weight;
        rest < 0.0
    });
    order[place.unwrap_or(count - 1)] as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_drawn_by_their_probabilities_among_the_likeliest() {
        let logits = [0.1f64, 0.6, 0.3].map(f64::ln);
        let draw = |temperature, top_p, uniform| choose(&logits, Sampling { temperature, top_p }, uniform);
        assert_eq!(draw(0.0, 1.0, 0.99), 1);
        assert_eq!([0.0, 0.59, 0.61, 0.89, 0.91].map(|at| draw(1.0, 1.0, at)), [1, 1, 2, 2, 0]);
        assert_eq!(draw(1.0, 0.8, 0.999), 2);
        assert_eq!(draw(1.0, 0.5, 0.999), 1);
        // A low temperature makes the likeliest likelier.
        assert_eq!(draw(0.1, 1.0, 0.99), 1);
    }
}
