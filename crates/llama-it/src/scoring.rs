//! Log-likelihoods of continuations, of all trials of a bank at once.
//!
//! A prompt is read once; its keys and values serve all its continuations, and its last logits their first tokens.

use delora_core::Bank;
use finetune::{BankHook, mask, padded};
use models::decoder::{Cache, Decoder};
use tch::{Device, Kind, Tensor};

use crate::requests::Prompt;

/// What scores.
pub struct Scorer<'a> {
    pub llama: &'a Decoder,
    pub bank: &'a Bank,
    pub kind: Kind,
    pub device: Device,
    /// Most tokens in one pass, padding, trials and what is cached included.
    pub tokens_per_pass: usize,
}

/// Sums of log-probabilities of one slot, `[prompt][continuation]`.
pub type LogLikelihoods = Vec<Vec<f64>>;

impl Scorer<'_> {
    /// By slot; `None` where activations left what the network can compute with, see [`BankHook::overflowed`].
    pub fn score(&self, prompts: &[Prompt]) -> Vec<Option<LogLikelihoods>> {
        let hook = BankHook::evaluating(self.bank);
        let trials = self.bank.num_trials();
        let empty = |prompt: &Prompt| vec![0.0; prompt.continuations.len()];
        let mut scores: Vec<LogLikelihoods> = vec![prompts.iter().map(empty).collect(); trials];
        let mut order: Vec<usize> = (0..prompts.len()).collect();
        order.sort_by_key(|&prompt| prompts[prompt].context.len());
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let fits = |count: usize| {
                trials * count * prompts[rest[count - 1]].context.len() <= self.tokens_per_pass
            };
            let count = (1..=rest.len()).take_while(|&count| count == 1 || fits(count)).count();
            let (chosen, others) = rest.split_at(count);
            gradient_mode::off(|| self.score_together(prompts, chosen, &hook, &mut scores));
            rest = others;
        }
        scores
            .into_iter()
            .zip(hook.overflowed())
            .map(|(own, overflowed)| (!overflowed).then_some(own))
            .collect()
    }

    /// Reads the chosen prompts, then their continuations.
    fn score_together(
        &self,
        prompts: &[Prompt],
        chosen: &[usize],
        hook: &BankHook,
        scores: &mut [LogLikelihoods],
    ) {
        let contexts: Vec<&[i64]> = chosen.iter().map(|&prompt| prompts[prompt].context.as_slice()).collect();
        let (ids, mask) = self.rows(&contexts);
        let mut cache = Cache::new(ids.size()[0], self.llama.num_layers(), self.device);
        let hidden = self.llama.extend(&ids, &mask, &mut cache, self.kind, hook);
        let last = (mask.sum_dim_intlist([1i64].as_slice(), false, Kind::Int64) - 1).view([-1, 1, 1]);
        let last = hidden.gather(1, &last.expand([-1, 1, hidden.size()[2]], false), false);
        let first = self.llama.logits(&last, hook).squeeze_dim(1).log_softmax(-1, Kind::Float); // [rows, vocabulary]

        // Each continuation: place of its prompt among the chosen, of the prompt, and its own.
        let all: Vec<(usize, usize, usize)> = chosen
            .iter()
            .enumerate()
            .flat_map(|(row, &prompt)| {
                (0..prompts[prompt].continuations.len()).map(move |own| (row, prompt, own))
            })
            .collect();
        let tokens =
            |&(_, prompt, own): &(usize, usize, usize)| prompts[prompt].continuations[own].as_slice();
        let is_scored: Vec<_> = all.iter().filter(|at| !tokens(at).is_empty()).copied().collect();
        for (slot, values) in self.first_tokens(&first, &is_scored, tokens).into_iter().enumerate() {
            for (&(_, prompt, own), value) in is_scored.iter().zip(values) {
                scores[slot][prompt][own] += value;
            }
        }
        let mut longer: Vec<_> = is_scored.into_iter().filter(|at| tokens(at).len() > 1).collect();
        longer.sort_by_key(|at| tokens(at).len());
        let width = ids.size()[1] as usize;
        let mut rest = longer.as_slice();
        while !rest.is_empty() {
            let fits = |count: usize| {
                self.bank.num_trials() * count * (width + tokens(&rest[count - 1]).len())
                    <= self.tokens_per_pass
            };
            let count = (1..=rest.len()).take_while(|&count| count == 1 || fits(count)).count();
            let (together, others) = rest.split_at(count);
            let rows: Vec<usize> = together.iter().map(|&(row, _, _)| row).collect();
            let continuations: Vec<&[i64]> = together.iter().map(tokens).collect();
            let values = self.rest_of(&cache, chosen.len(), &rows, &continuations, hook);
            for (slot, values) in values.into_iter().enumerate() {
                for (&(_, prompt, own), value) in together.iter().zip(values) {
                    scores[slot][prompt][own] += value;
                }
            }
            rest = others;
        }
    }

    /// Rows for each trial, trial-major, and their mask.
    fn rows(&self, rows: &[&[i64]]) -> (Tensor, Tensor) {
        let trials = self.bank.num_trials() as i64;
        let lengths: Vec<i64> = rows.iter().map(|row| row.len() as i64).collect();
        let ids = padded(rows.iter().copied(), 0, self.device);
        (ids.repeat([trials, 1]), mask(&lengths, self.device).repeat([trials, 1]))
    }

    /// Log-probability of the first token of each of `at`, by slot; `logs` `[trials · prompts, vocabulary]`.
    fn first_tokens<'a>(
        &self,
        logs: &Tensor,
        at: &[(usize, usize, usize)],
        tokens: impl Fn(&(usize, usize, usize)) -> &'a [i64],
    ) -> Vec<Vec<f64>> {
        let trials = self.bank.num_trials() as i64;
        let prompts: Vec<i64> = at.iter().map(|&(row, _, _)| row as i64).collect();
        let first: Vec<i64> = at.iter().map(|at| tokens(at)[0]).collect();
        let [prompts, first] = [prompts, first].map(|own| Tensor::from_slice(&own).to_device(self.device));
        let logs = logs.view([trials, -1, logs.size()[1]]).index_select(1, &prompts); // [trials, continuations, vocabulary]
        let first = first.view([1, -1, 1]).expand([trials, -1, 1], false);
        by_slot(&logs.gather(2, &first, false).squeeze_dim(2))
    }

    /// Sum of the log-probabilities of all tokens but the first of each continuation, by slot; `prompts` says behind
    /// which of the `num_prompts` cached prompts it comes.
    fn rest_of(
        &self,
        cache: &Cache,
        num_prompts: usize,
        prompts: &[usize],
        continuations: &[&[i64]],
        hook: &BankHook,
    ) -> Vec<Vec<f64>> {
        let trials = self.bank.num_trials();
        let behind =
            (0..trials).flat_map(|slot| prompts.iter().map(move |row| (slot * num_prompts + row) as i64));
        let behind = Tensor::from_slice(&behind.collect::<Vec<i64>>()).to_device(self.device);
        let mut cache = cache.select(&behind);
        let inputs: Vec<&[i64]> = continuations.iter().map(|tokens| &tokens[..tokens.len() - 1]).collect();
        let targets: Vec<&[i64]> = continuations.iter().map(|tokens| &tokens[1..]).collect();
        let ((ids, mask), (targets, _)) = (self.rows(&inputs), self.rows(&targets));
        let hidden = self.llama.extend(&ids, &mask, &mut cache, self.kind, hook);
        let logs = self.llama.logits(&hidden, hook).log_softmax(-1, Kind::Float);
        let own = logs.gather(2, &targets.unsqueeze(2), false).squeeze_dim(2); // [trials · continuations, T]
        let sums = (own * mask).sum_dim_intlist([1i64].as_slice(), false, Kind::Double);
        by_slot(&sums.view([trials as i64, -1]))
    }
}

fn by_slot(values: &Tensor) -> Vec<Vec<f64>> {
    Vec::<Vec<f64>>::try_from(values.to_kind(Kind::Double)).expect("a matrix")
}
