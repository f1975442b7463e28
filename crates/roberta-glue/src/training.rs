//! Finetuning of a bank: one pass of the encoder per part of a step, for all trials.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use delora_core::Bank;
use driver::{Broken, NotFinite, by_length, epoch_order, passes};
use harness::{BankHook, DropoutRates, StepDropout};
use models::roberta::{ClassificationHead, Tokens};
use runner::{BankContext, Interrupted};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::batches::Pass;
use crate::metrics::Predictions;
use crate::settings::Settings;
use crate::world::{Corpus, Examples, Network};

/// What a bank learns, in slot order; what it shares is in each of `settings`.
pub struct Lesson<'a> {
    pub network: &'a Network,
    pub head: &'a ClassificationHead,
    pub corpus: &'a Corpus,
    pub settings: &'a [&'a Settings],
}

/// Scores of one evaluation, by slot.
pub type Scores = Vec<BTreeMap<String, f64>>;

/// Losses and scores over a bank's training.
#[derive(Default, Serialize, Deserialize)]
pub struct Record {
    /// `[step][slot]`; a step of one trial may be non-finite.
    pub losses: Vec<Vec<f32>>,
    /// Step behind an epoch to scores on each slot's tuning half.
    pub validation: BTreeMap<u64, Scores>,
    /// Step behind an epoch to mean distances of the adapted layers, by slot.
    pub distances: BTreeMap<u64, Vec<Option<f64>>>,
    /// Slots that an epoch could not score.
    #[serde(default)]
    pub broken: Broken,
    /// Seconds of training so far, without evaluation.
    pub seconds: f64,
}

impl driver::Record for Record {
    fn truncate(&mut self, steps: u64) {
        self.losses.truncate(steps as usize);
        self.validation.retain(|&step, _| step <= steps);
        self.distances.retain(|&step, _| step <= steps);
        self.broken.truncate(steps);
    }
}

/// A bank and what is known of its training.
pub struct Training {
    pub bank: Bank,
    pub record: Record,
}

impl Lesson<'_> {
    fn shared(&self) -> &Settings {
        self.settings[0]
    }

    pub fn steps_per_epoch(&self) -> u64 {
        self.corpus.train.labels.len().div_ceil(self.shared().batch) as u64
    }

    pub fn total_steps(&self) -> u64 {
        self.shared().epochs * self.steps_per_epoch()
    }

    /// Outputs of the head `[N, num_labels]`, f32, of a pass's rows.
    fn outputs(&self, pass: &Pass, hook: &BankHook) -> Tensor {
        // A tokenizer may number segments for which the model has one embedding alone.
        let types = (self.network.config().type_vocab_size > 1).then_some(&pass.types);
        let tokens = Tokens { ids: &pass.ids, mask: &pass.mask, types };
        let kind = self.shared().precision.kind();
        let hidden = self.network.encoder.network.forward(&tokens, kind, hook);
        self.head.forward(&hidden, hook).to_kind(Kind::Float)
    }

    /// One update from `rows`, each slot's examples of this step, longest first. Gives the losses `[trials]`.
    pub fn step(&self, bank: &mut Bank, rows: &[Vec<usize>], dropout: &[DropoutRates]) -> Tensor {
        let examples = &self.corpus.train;
        let seeds: Vec<u64> = self.settings.iter().map(|own| own.seed).collect();
        let mut total: Option<Tensor> = None;
        for range in passes(rows, examples.length(), self.shared().tokens_per_pass) {
            let pass = self.pass(rows, &range, examples);
            let dropout = StepDropout {
                step: bank.steps(),
                seeds: &seeds,
                rates: dropout,
                first_row: range.start,
                lengths: &pass.lengths,
                device: self.network.device,
            };
            let outputs = self.outputs(&pass, &BankHook::training(bank, &dropout));
            let labels: Vec<f32> =
                rows.iter().flat_map(|rows| &rows[range.clone()]).map(|&row| examples.labels[row]).collect();
            let labels = Tensor::from_slice(&labels).to_device(self.network.device);
            // The mean over the step's examples, whatever the passes.
            let losses = self.losses(&outputs, &labels) / rows[0].len() as f64;
            let losses =
                losses.view([rows.len() as i64, -1]).sum_dim_intlist([1i64].as_slice(), false, Kind::Float); // [trials]
            bank.accumulate(&losses);
            let losses = losses.detach();
            total = Some(match total {
                Some(total) => total + losses,
                None => losses,
            });
        }
        bank.finish_step();
        total.expect("a step has examples")
    }

    fn pass(&self, rows: &[Vec<usize>], range: &std::ops::Range<usize>, examples: &Examples) -> Pass {
        let pad = self.network.config().pad_token_id;
        Pass::new(rows, range, &examples.encoded, pad, self.network.device)
    }

    /// Cross-entropy, or squared error of a regression, of each row.
    fn losses(&self, outputs: &Tensor, labels: &Tensor) -> Tensor {
        if self.shared().task().is_regression() {
            return (outputs.squeeze_dim(1) - labels).square();
        }
        let labels = labels.to_kind(Kind::Int64).unsqueeze(1);
        -outputs.log_softmax(1, Kind::Float).gather(1, &labels, false).squeeze_dim(1)
    }

    /// What each slot predicts for its own examples. All slots have as many. An error is of a slot whose outputs, or
    /// activations in front of them, are not finite.
    pub fn predict(
        &self,
        bank: &Bank,
        examples: &Examples,
        of_slot: &[Vec<usize>],
    ) -> Vec<Result<Predictions, NotFinite>> {
        let sorted = of_slot.iter().map(|rows| by_length(rows.clone(), examples.length()));
        let sorted: Vec<Vec<usize>> = sorted.collect();
        let mut of_example = vec![vec![Vec::new(); examples.labels.len()]; of_slot.len()];
        let hook = BankHook::evaluating(bank);
        for range in passes(&sorted, examples.length(), self.shared().tokens_per_pass) {
            let pass = self.pass(&sorted, &range, examples);
            let outputs = gradient_mode::off(|| self.outputs(&pass, &hook));
            let outputs = Vec::<Vec<f32>>::try_from(outputs).expect("outputs of each row");
            for (slot, outputs) in outputs.chunks(range.len()).enumerate() {
                for (&row, outputs) in sorted[slot][range.clone()].iter().zip(outputs) {
                    of_example[slot][row] = outputs.clone();
                }
            }
        }
        let slots = of_slot.iter().zip(&of_example).zip(hook.overflowed());
        let of_rows = |((rows, outputs), overflowed): ((&Vec<usize>, &Vec<Vec<f32>>), bool)| {
            let outputs: Vec<Vec<f32>> = rows.iter().map(|&row| outputs[row].clone()).collect();
            let predictions = Predictions::of(self.shared().task(), &outputs)?;
            if overflowed { Err(NotFinite::overflow("score")) } else { Ok(predictions) }
        };
        slots.map(of_rows).collect()
    }
}

impl Training {
    /// Goes on from the checkpoint in `folder` where there is one.
    pub fn resume(mut bank: Bank, folder: &Path) -> Result<Training> {
        let record = driver::resume(&mut bank, folder)?;
        Ok(Training { bank, record })
    }

    /// Trains to the end. `validate` scores the bank behind each epoch and says which slots are better than ever
    /// before: their parameters are kept. Returns [`Interrupted`] after a checkpoint when asked to stop.
    pub fn run(
        &mut self,
        lesson: &Lesson,
        context: &BankContext,
        mut validate: impl FnMut(&Bank, &mut Record) -> (Scores, Vec<bool>),
    ) -> Result<()> {
        let (total, per_epoch) = (lesson.total_steps(), lesson.steps_per_epoch());
        let dropout: Vec<DropoutRates> =
            lesson.settings.iter().map(|own| own.dropout.rates(lesson.network.config())).collect();
        let mut orders = (u64::MAX, Vec::new());
        let mut unread = Vec::new();
        let (mut started, mut saved) = (Instant::now(), Instant::now());
        while self.bank.steps() < total {
            let (epoch, place) = (self.bank.steps() / per_epoch, self.bank.steps() % per_epoch);
            if orders.0 != epoch {
                let count = lesson.corpus.train.labels.len();
                let order = |own: &&Settings| epoch_order(own.seed, epoch, count);
                orders = (epoch, lesson.settings.iter().map(order).collect());
            }
            let batch = lesson.shared().batch;
            let rows = orders.1.iter().map(|order: &Vec<usize>| {
                let chunk = order.chunks(batch).nth(place as usize).expect("a step of the epoch");
                by_length(chunk.to_vec(), lesson.corpus.train.length())
            });
            let rows: Vec<Vec<usize>> = rows.collect();
            unread.push(lesson.step(&mut self.bank, &rows, &dropout));
            let done = self.bank.steps();
            if done.is_multiple_of(10) || done == total {
                context.progress.step(done, total, "training");
            }
            let is_due = saved.elapsed() >= context.checkpoint_every.max(Duration::from_millis(1));
            if done.is_multiple_of(per_epoch) || is_due || context.stopped() {
                self.record.losses.extend(driver::read_losses(&mut unread)?);
                self.record.seconds += started.elapsed().as_secs_f64();
                if done.is_multiple_of(per_epoch) {
                    let (scores, better) = validate(&self.bank, &mut self.record);
                    self.bank.keep(&better);
                    self.record.validation.insert(done, scores);
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
