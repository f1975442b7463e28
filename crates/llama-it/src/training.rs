//! Finetuning of a bank: one pass of the decoder per part of a step, for all trials.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use delora_core::Bank;
use driver::{by_length, epoch_order, padded, passes};
use harness::BankHook;
use models::Hook;
use models::llama::Llama;
use runner::{BankContext, Interrupted};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::examples::Example;
use crate::settings::{LossMean, Settings};
use crate::world::{Corpus, Network};

/// The inputs of one pass, N rows of T tokens, trial-major.
pub struct Batch {
    /// `[N, T]`
    pub ids: Tensor,
    /// The token behind each, `[N, T]`
    pub targets: Tensor,
    /// What each target's loss counts in its trial's, `[N, T]`: 0 at padding and at what is given.
    pub weights: Tensor,
}

impl Batch {
    /// The examples of `rows`, with the weight of each target of each.
    pub fn new(rows: &[(&Example, f32)], device: Device) -> Batch {
        let rows: Vec<&(&Example, f32)> = rows.iter().collect();
        let ids = rows.iter().map(|(example, _)| &example.ids[..example.ids.len() - 1]);
        let targets = rows.iter().map(|(example, _)| &example.ids[1..]);
        let ids = padded(ids, 0, device);
        let mut weights = vec![0f32; ids.numel()];
        let length = ids.size()[1] as usize;
        for (row, (example, weight)) in weights.chunks_mut(length).zip(&rows) {
            row[example.first_target - 1..example.ids.len() - 1].fill(*weight);
        }
        Batch {
            targets: padded(targets, 0, device),
            weights: Tensor::from_slice(&weights).view_as(&ids).to_device(device),
            ids,
        }
    }
}

/// Each trial's loss `[trials]`: the weighted sum of its targets' cross-entropies, from `hidden` `[N, T, hidden_size]`
/// behind the last norm.
fn losses_of(llama: &Llama, hidden: &Tensor, batch: &Batch, trials: i64, hook: &dyn Hook) -> Tensor {
    let logits = llama.logits(hidden, hook).to_kind(Kind::Float).flatten(0, 1);
    let own = logits.cross_entropy_loss::<&Tensor>(
        &batch.targets.flatten(0, 1),
        None,
        tch::Reduction::None,
        -100,
        0.0,
    );
    (own.view_as(&batch.weights) * &batch.weights).view([trials, -1]).sum_dim_intlist(
        [1i64].as_slice(),
        false,
        Kind::Float,
    )
}

/// Each trial's loss `[trials]` on a batch of `trials` equal parts.
pub fn losses(llama: &Llama, batch: &Batch, trials: i64, kind: Kind, hook: &dyn Hook) -> Tensor {
    losses_of(llama, &llama.forward(&batch.ids, kind, hook), batch, trials, hook)
}

/// Adds the gradients of a batch to the bank's, keeping only what goes into each block. Gives the losses `[trials]`.
pub fn accumulate_recomputed(bank: &mut Bank, llama: &Llama, batch: &Batch, kind: Kind) -> Tensor {
    let trials = bank.num_trials() as i64;
    let rotation = llama.rotation(batch.ids.size()[1], kind);
    let mut inputs = Vec::with_capacity(llama.num_layers() + 1);
    let piece = |bank: &Bank, index: usize, inputs: &[Tensor]| {
        let (hook, input) = (BankHook::new(bank), &inputs[0]);
        if index == llama.num_layers() {
            return vec![losses_of(llama, &llama.normed(input, &hook), batch, trials, &hook)];
        }
        let embedded = (index == 0).then(|| llama.embed(input, kind, &hook));
        vec![llama.layer(index, embedded.as_ref().unwrap_or(input), &rotation, &hook)]
    };
    gradient_mode::off(|| {
        inputs.push(vec![batch.ids.shallow_clone()]);
        for index in 0..llama.num_layers() {
            inputs.push(piece(bank, index, &inputs[index]));
        }
    });
    bank.accumulate_recomputed(&inputs, piece)
}

/// What a bank learns, in slot order; what it shares is in each of `settings`.
pub struct Lesson<'a> {
    pub network: &'a Network,
    pub corpus: &'a Corpus,
    pub settings: &'a [&'a Settings],
}

/// Losses over a bank's training.
#[derive(Default, Serialize, Deserialize)]
pub struct Record {
    /// `[step][slot]`; a step of one trial may be non-finite.
    pub losses: Vec<Vec<f32>>,
    /// Steps to mean distances of the adapted layers, by slot.
    pub distances: BTreeMap<u64, Vec<Option<f64>>>,
    /// Seconds of training so far.
    pub seconds: f64,
}

impl driver::Record for Record {
    fn truncate(&mut self, steps: u64) {
        self.losses.truncate(steps as usize);
        self.distances.retain(|&step, _| step <= steps);
    }
}

/// A bank and what is known of its training.
pub struct Training {
    pub bank: Bank,
    pub record: Record,
}

/// Distances are read so many times over a training.
const READINGS: u64 = 20;

impl Lesson<'_> {
    fn shared(&self) -> &Settings {
        self.settings[0]
    }

    fn steps_per_epoch(&self) -> u64 {
        self.corpus.train.len().div_ceil(self.shared().batch) as u64
    }

    /// 0 where nothing is trained.
    pub fn total_steps(&self) -> u64 {
        if self.shared().is_untrained() { 0 } else { self.shared().epochs * self.steps_per_epoch() }
    }

    /// The order of a trial's examples in an epoch.
    fn order(&self, seed: u64, epoch: u64) -> Vec<usize> {
        let examples = &self.corpus.train;
        let mut order = epoch_order(seed, epoch, examples.len());
        if self.shared().longest_first && epoch == 0 {
            let longest = (0..order.len()).rev().max_by_key(|&place| examples[order[place]].ids.len());
            order.swap(0, longest.expect("a training set has examples"));
        }
        order
    }

    /// One update from `rows`, each slot's examples of this step, longest first. Gives the losses `[trials]`.
    fn step(&self, bank: &mut Bank, rows: &[Vec<usize>]) -> Tensor {
        let examples = &self.corpus.train;
        let length = |row: usize| examples[row].ids.len();
        let mut total: Option<Tensor> = None;
        for range in passes(rows, length, self.shared().tokens_per_pass) {
            let batch = self.batch(examples, rows, &range);
            let (llama, kind) = (&self.network.llama.network, self.network.kind);
            let losses = if self.shared().checkpointing {
                accumulate_recomputed(bank, llama, &batch, kind)
            } else {
                let losses = losses(llama, &batch, bank.num_trials() as i64, kind, &BankHook::new(bank));
                bank.accumulate(&losses);
                losses.detach()
            };
            total = Some(match total {
                Some(total) => total + losses,
                None => losses,
            });
        }
        bank.finish_step();
        total.expect("a step has examples")
    }

    /// Rows `range` of each trial, weighted by all its `rows`.
    fn batch(&self, examples: &[Example], rows: &[Vec<usize>], range: &Range<usize>) -> Batch {
        let targets = |row: &usize| examples[*row].num_targets();
        let of_trial = |rows: &Vec<usize>| -> Vec<(&Example, f32)> {
            let total = rows.iter().map(targets).sum::<usize>().max(1) as f32;
            let count = rows.iter().filter(|&row| targets(row) > 0).count().max(1) as f32;
            let weight = |row: &usize| match self.shared().loss_mean {
                LossMean::Tokens => 1.0 / total,
                LossMean::Examples => 1.0 / (count * targets(row).max(1) as f32),
            };
            rows[range.clone()].iter().map(|row| (&examples[*row], weight(row))).collect()
        };
        let all: Vec<(&Example, f32)> = rows.iter().flat_map(of_trial).collect();
        Batch::new(&all, self.network.device)
    }

    /// Mean loss of each slot over `examples`, by target.
    pub fn mean_losses(&self, bank: &Bank, examples: &[Example]) -> Vec<f64> {
        let trials = bank.num_trials();
        let rows = by_length((0..examples.len()).collect(), |row| examples[row].ids.len());
        let rows = vec![rows; trials];
        let total = examples.iter().map(Example::num_targets).sum::<usize>().max(1) as f64;
        let mut sums = vec![0.0; trials];
        let budget = self.shared().tokens_per_pass;
        for range in passes(&rows, |row| examples[row].ids.len(), budget) {
            let all: Vec<(&Example, f32)> =
                rows.iter().flat_map(|rows| &rows[range.clone()]).map(|&row| (&examples[row], 1.0)).collect();
            let batch = Batch::new(&all, self.network.device);
            let (llama, kind) = (&self.network.llama.network, self.network.kind);
            let losses =
                gradient_mode::off(|| losses(llama, &batch, trials as i64, kind, &BankHook::new(bank)));
            let losses = Vec::<f64>::try_from(losses.to_kind(Kind::Double)).expect("a loss for each trial");
            sums.iter_mut().zip(losses).for_each(|(sum, loss)| *sum += loss);
        }
        sums.into_iter().map(|sum| sum / total).collect()
    }
}

impl Training {
    /// Goes on from the checkpoint in `folder` where there is one.
    pub fn resume(mut bank: Bank, folder: &Path) -> Result<Training> {
        let record = driver::resume(&mut bank, folder)?;
        Ok(Training { bank, record })
    }

    /// Trains to the end. Returns [`Interrupted`] after a checkpoint when asked to stop.
    pub fn run(&mut self, lesson: &Lesson, context: &BankContext) -> Result<()> {
        let (total, per_epoch) = (lesson.total_steps(), lesson.steps_per_epoch());
        let batch = lesson.shared().batch;
        let examples = &lesson.corpus.train;
        let mut orders = (u64::MAX, Vec::new());
        let mut unread = Vec::new();
        let (mut started, mut saved) = (Instant::now(), Instant::now());
        while self.bank.steps() < total {
            let (epoch, place) = (self.bank.steps() / per_epoch, self.bank.steps() % per_epoch);
            if orders.0 != epoch {
                let order = |own: &&Settings| lesson.order(own.seed, epoch);
                orders = (epoch, lesson.settings.iter().map(order).collect());
            }
            let rows = orders.1.iter().map(|order: &Vec<usize>| {
                let chunk = order.chunks(batch).nth(place as usize).expect("a step of the epoch");
                by_length(chunk.to_vec(), |row| examples[row].ids.len())
            });
            let rows: Vec<Vec<usize>> = rows.collect();
            unread.push(lesson.step(&mut self.bank, &rows));
            let done = self.bank.steps();
            if done.is_multiple_of(10) || done == total {
                context.progress.step(done, total, "training");
            }
            let is_reading = done.is_multiple_of((total / READINGS).max(1)) || done == total;
            let is_due = saved.elapsed() >= context.checkpoint_every.max(Duration::from_millis(1));
            if is_reading || is_due || context.stopped() {
                self.record.losses.extend(driver::read_losses(&mut unread)?);
                self.record.seconds += started.elapsed().as_secs_f64();
                if is_reading {
                    self.record.distances.insert(done, mean_distances(&self.bank));
                }
                if done == total || is_due || context.stopped() {
                    driver::save(&self.bank, &self.record, &context.checkpoint_dir)?;
                    saved = Instant::now();
                }
                if context.stopped() {
                    return Err(Interrupted.into());
                }
                started = Instant::now();
            }
        }
        Ok(())
    }
}

/// Mean of ‖W′ − W‖ over the linear layers that a slot adapts; `None` where it adapts none.
pub fn mean_distances(bank: &Bank) -> Vec<Option<f64>> {
    let layers = bank.distances();
    let mean = |slot: usize| {
        let own: Vec<f64> = layers.iter().filter_map(|(_, slots)| slots[slot]).collect();
        (!own.is_empty()).then(|| own.iter().sum::<f64>() / own.len() as f64)
    };
    (0..bank.num_trials()).map(mean).collect()
}
