//! What a bank learns: one pass of the encoder per part of a step, for all trials; the best epoch by the tuning half, and
//! scores on the test half.

use std::ops::Range;

use anyhow::Result;
use delora_core::Bank;
use finetune::{
    BankHook, Broken, DropoutRates, EpochOrders, Finished, NotFinite, Scores, Slot, StepDropout, Training,
    by_length, mean_distances, passes,
};
use models::roberta::{ClassificationHead, Tokens};
use tch::{Kind, Tensor};

use crate::batches::Pass;
use crate::metrics::{Predictions, scores};
use crate::settings::{GlueSettings, Settings, halves_of};
use crate::split::Halves;
use crate::tasks::TextTask;
use crate::world::{Corpus, Examples, Network};

/// The score on the tuning half that chooses the epoch.
const VALIDATION: &str = "validation_score";

/// What the trials of a bank learn, by slot.
pub struct Lesson<'a> {
    network: &'a Network,
    head: &'a ClassificationHead,
    corpus: &'a Corpus,
    slots: Vec<Slot<'a, GlueSettings>>,
    seeds: Vec<u64>,
    dropout: Vec<DropoutRates>,
    halves: Vec<Halves>,
    orders: EpochOrders,
}

/// Best epoch's step and score of a slot: the first that is above all before it, and above 0.
fn best(tuning: &[(u64, f64)]) -> Option<(u64, f64)> {
    tuning.iter().fold(None, |best: Option<(u64, f64)>, &(step, score)| {
        if score > best.map_or(0.0, |(_, score)| score) { Some((step, score)) } else { best }
    })
}

/// The metric that chooses the best epoch: the first that the reference's `evaluate` prints.
fn selection(task: &TextTask) -> &'static str {
    if task.is_regression() { "pearson" } else { "score" }
}

/// A slot's scores on its tuning half so far, by step.
fn tuning_of(training: &Training, slot: usize) -> Vec<(u64, f64)> {
    let scores = training.record.tuning.iter();
    scores.filter_map(|(&step, scores)| Some((step, *scores[slot].get(VALIDATION)?))).collect()
}

impl<'a> Lesson<'a> {
    /// Errors: a validation set that is too small for two halves.
    pub fn new(
        network: &'a Network,
        head: &'a ClassificationHead,
        corpus: &'a Corpus,
        slots: Vec<Slot<'a, GlueSettings>>,
    ) -> Result<Lesson<'a>> {
        let num_rows = corpus.validation.labels.len();
        let halves = slots.iter().map(|slot| halves_of(slot.settings, &corpus.task, num_rows, true));
        let seeds: Vec<u64> = slots.iter().map(|slot| slot.settings.common.seed).collect();
        Ok(Lesson {
            halves: halves.collect::<Result<_, _>>()?,
            dropout: slots.iter().map(|slot| slot.settings.dropout.rates(network.config())).collect(),
            orders: EpochOrders::new(&seeds, corpus.train.labels.len(), slots[0].settings.common.batch),
            network,
            head,
            corpus,
            slots,
            seeds,
        })
    }

    fn shared(&self) -> &Settings {
        self.slots[0].settings
    }

    /// Outputs of the head `[N, num_labels]`, f32, of a pass's rows.
    fn outputs(&self, pass: &Pass, hook: &BankHook) -> Tensor {
        // A tokenizer may number segments for which the model has one embedding alone.
        let types = (self.network.config().type_vocab_size > 1).then_some(&pass.types);
        let tokens = Tokens { ids: &pass.ids, mask: &pass.mask, types };
        let kind = self.shared().common.precision.kind();
        let hidden = self.network.encoder.network.forward(&tokens, kind, hook);
        self.head.forward(&hidden, hook).to_kind(Kind::Float)
    }

    fn pass(&self, rows: &[Vec<usize>], range: &Range<usize>, examples: &Examples) -> Pass {
        let pad = self.network.config().pad_token_id;
        Pass::new(rows, range, &examples.encoded, pad, self.network.device)
    }

    /// Cross-entropy, or squared error of a regression, of each row.
    fn losses(&self, outputs: &Tensor, labels: &Tensor) -> Tensor {
        if self.corpus.task.is_regression() {
            return (outputs.squeeze_dim(1) - labels).square();
        }
        let labels = labels.to_kind(Kind::Int64).unsqueeze(1);
        -outputs.log_softmax(1, Kind::Float).gather(1, &labels, false).squeeze_dim(1)
    }

    /// What each slot predicts for its own examples. All slots have as many. An error is of a slot whose outputs, or
    /// activations in front of them, are not finite.
    fn predict(
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
            let predictions = Predictions::of(&self.corpus.task, &outputs)?;
            if overflowed { Err(NotFinite::overflow("score")) } else { Ok(predictions) }
        };
        slots.map(of_rows).collect()
    }

    /// Scores of each slot on its own rows of the validation set; none where outputs are not finite, which `broken` is
    /// told.
    fn scores(&self, bank: &Bank, rows: &[Vec<usize>], step: u64, broken: &mut Broken) -> Vec<Scores> {
        let validation = &self.corpus.validation;
        let predictions = self.predict(bank, validation, rows);
        let task = &self.corpus.task;
        let of_slot =
            |(slot, (rows, predictions)): (usize, (&Vec<usize>, Result<Predictions, NotFinite>))| {
                let labels: Vec<f32> = rows.iter().map(|&row| validation.labels[row]).collect();
                broken.told(slot, step, predictions.map(|predictions| scores(task, &predictions, &labels)))
            };
        rows.iter().zip(predictions).enumerate().map(of_slot).collect()
    }

    fn rows(&self, half: impl Fn(&Halves) -> &Vec<usize>) -> Vec<Vec<usize>> {
        self.halves.iter().map(|halves| half(halves).clone()).collect()
    }
}

impl finetune::Lesson for Lesson<'_> {
    fn total_steps(&self) -> u64 {
        self.shared().epochs * self.orders.steps_per_epoch()
    }

    /// A step of each trial's examples, longest first.
    fn update(&mut self, bank: &mut Bank, step: u64) -> Result<Tensor> {
        let examples = &self.corpus.train;
        let rows = self.orders.rows(step);
        let rows: Vec<_> = rows.into_iter().map(|rows| by_length(rows, examples.length())).collect();
        let mut total = None;
        for range in passes(&rows, examples.length(), self.shared().tokens_per_pass) {
            let pass = self.pass(&rows, &range, examples);
            let dropout =
                StepDropout::new(step, &self.seeds, &self.dropout, range.clone(), self.network.device);
            let outputs = self.outputs(&pass, &BankHook::training(bank, &dropout));
            let labels: Vec<f32> =
                rows.iter().flat_map(|rows| &rows[range.clone()]).map(|&row| examples.labels[row]).collect();
            let labels = Tensor::from_slice(&labels).to_device(self.network.device);
            // The mean over the step's examples, whatever the passes.
            let losses = self.losses(&outputs, &labels) / rows[0].len() as f64;
            let losses =
                losses.view([rows.len() as i64, -1]).sum_dim_intlist([1i64].as_slice(), false, Kind::Float); // [trials]
            bank.accumulate(&losses);
            finetune::add(&mut total, losses.detach());
        }
        bank.finish_step();
        Ok(total.expect("a step has examples"))
    }

    fn score(&mut self, bank: &Bank, step: u64, broken: &mut Broken) -> Result<Vec<Scores>> {
        Ok(self.scores(bank, &self.rows(|halves| &halves.test), step, broken))
    }

    /// Behind each epoch.
    fn reads(&self, step: u64) -> bool {
        step > 0 && step.is_multiple_of(self.orders.steps_per_epoch())
    }

    /// Scores the tuning half, and keeps the parameters of slots that are better than ever before.
    fn read(&mut self, training: &mut Training) -> Result<()> {
        let step = training.bank.steps();
        if training.record.tuning.contains_key(&step) {
            return Ok(());
        }
        let tuning = self.rows(|halves| &halves.tuning);
        let scores = self.scores(&training.bank, &tuning, step, &mut training.record.broken);
        let metric = selection(&self.corpus.task);
        let chosen: Vec<Option<f64>> = scores.iter().map(|scores| scores.get(metric).copied()).collect();
        let is_better = |(slot, score): (usize, &Option<f64>)| {
            let before = best(&tuning_of(training, slot)).map_or(0.0, |(_, best)| best);
            score.is_some_and(|score| score > before)
        };
        let better: Vec<bool> = chosen.iter().enumerate().map(is_better).collect();
        training.bank.keep(&better);
        let named =
            chosen.into_iter().map(|score| score.map(|score| (VALIDATION.to_owned(), score)).into_iter());
        training.record.tuning.insert(step, named.map(Iterator::collect).collect());
        training.record.distances.insert(step, mean_distances(&training.bank));
        Ok(())
    }

    /// Scores each slot's best epoch on its test half; one that was never above 0 has no score.
    fn finish(&mut self, training: &mut Training) -> Result<Vec<Finished>> {
        training.bank.recall();
        let (steps, per_epoch) = (training.bank.steps(), self.orders.steps_per_epoch());
        let tested = self.score(&training.bank, steps, &mut training.record.broken)?;
        let distances = mean_distances(&training.bank);
        let of_slot = |(slot, (tested, distance)): (usize, (Scores, Option<f64>))| {
            let tuning = tuning_of(training, slot);
            let mut metrics = Scores::new();
            if let Some((step, _)) = best(&tuning) {
                metrics = tested;
                metrics.insert("best_epoch".to_owned(), (step / per_epoch) as f64);
            }
            // The best epoch's, or one that is not above 0.
            let highest = tuning.into_iter().map(|(_, score)| score).reduce(f64::max);
            metrics.extend(highest.map(|score| (VALIDATION.to_owned(), score)));
            metrics.extend(distance.map(|distance| ("mean_distance".to_owned(), distance)));
            Finished { metrics, ..Finished::default() }
        };
        Ok(tested.into_iter().zip(distances).enumerate().map(of_slot).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_epoch_is_the_first_above_all_before_it_and_above_zero() {
        assert_eq!(best(&[(4, 0.2), (8, 0.5), (12, 0.5), (16, 0.4)]), Some((8, 0.5)));
        assert_eq!(best(&[(4, -0.1), (12, 0.0)]), None);
        assert_eq!(best(&[(8, 0.1)]), Some((8, 0.1)));
    }
}
