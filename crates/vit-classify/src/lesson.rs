//! What a bank learns: one pass of the transformer per part of a step, for all trials, and the accuracy at the end.

use std::ops::Range;

use anyhow::Result;
use delora_core::Bank;
use finetune::{
    BankHook, Broken, DropoutRates, EpochOrders, Finished, Finite, NotFinite, Scores, Slot, StepDropout,
    Training, mean_distances, passes,
};
use models::{Hook, Linear};
use tch::{Kind, Tensor};

use crate::settings::{PictureSettings, Settings};
use crate::world::{Corpus, Examples, Network};

/// The share of pictures whose class is found.
const SCORE: &str = "score";

/// What the trials of a bank learn, by slot.
pub struct Lesson<'a> {
    network: &'a Network,
    head: &'a Linear,
    corpus: &'a Corpus,
    slots: Vec<Slot<'a, PictureSettings>>,
    seeds: Vec<u64>,
    dropout: Vec<DropoutRates>,
    orders: EpochOrders,
}

impl<'a> Lesson<'a> {
    pub fn new(
        network: &'a Network,
        head: &'a Linear,
        corpus: &'a Corpus,
        slots: Vec<Slot<'a, PictureSettings>>,
    ) -> Lesson<'a> {
        let seeds: Vec<u64> = slots.iter().map(|slot| slot.settings.common.seed).collect();
        Lesson {
            dropout: slots.iter().map(|slot| slot.settings.dropout_rates()).collect(),
            orders: EpochOrders::new(&seeds, corpus.train.labels.len(), slots[0].settings.common.batch),
            network,
            head,
            corpus,
            slots,
            seeds,
        }
    }

    fn shared(&self) -> &Settings {
        self.slots[0].settings
    }

    /// Ranges of rows that pass together; `rows` has the same number of rows for each trial.
    fn passes(&self, rows: &[Vec<usize>]) -> Vec<Range<usize>> {
        passes(rows, |_| 1, self.shared().pictures_per_pass)
    }

    /// Logits `[rows, num_classes]`, f32, of these pictures, trial-major.
    fn logits(&self, examples: &Examples, rows: &[i64], hook: &BankHook) -> Tensor {
        let pixels = examples.pixels(rows, self.network.device);
        let pixels = pixels.to_kind(self.shared().common.precision.kind());
        let features = self.network.vit.network.features(&pixels, hook);
        hook.linear(self.head, &features).to_kind(Kind::Float)
    }

    /// The accuracy of each slot on the test split; none where logits, or activations in front of them, are not finite,
    /// which `broken` is told.
    fn scores(&self, bank: &Bank, step: u64, broken: &mut Broken) -> Vec<Scores> {
        let test = &self.corpus.test;
        let rows = vec![(0..test.labels.len()).collect(); self.slots.len()];
        let mut of_slot = vec![Vec::new(); self.slots.len()];
        let hook = BankHook::evaluating(bank);
        for range in self.passes(&rows) {
            let logits = gradient_mode::off(|| self.logits(test, &flat(&rows, &range), &hook));
            let logits = Vec::<Vec<f32>>::try_from(logits).expect("logits of each row");
            for (slot, logits) in logits.chunks(range.len()).enumerate() {
                of_slot[slot].extend_from_slice(logits);
            }
        }
        let slots = of_slot.iter().zip(hook.overflowed()).enumerate();
        let scored = slots.map(|(slot, (logits, overflowed))| {
            let score = accuracy(logits, &test.labels);
            let score = if overflowed { Err(NotFinite::overflow(SCORE)) } else { score };
            broken.told(slot, step, score.map(|score| Scores::from([(SCORE.to_owned(), score)])))
        });
        scored.collect()
    }
}

/// Indices of the rows `range` of each trial, trial-major.
fn flat(rows: &[Vec<usize>], range: &Range<usize>) -> Vec<i64> {
    rows.iter().flat_map(|rows| &rows[range.clone()]).map(|&row| row as i64).collect()
}

/// The share of rows whose highest logit is their label's; where several are the highest, they share the row.
fn accuracy(logits: &[Vec<f32>], labels: &[i64]) -> Result<f64, NotFinite> {
    let mut correct = 0.0;
    for (logits, &label) in logits.iter().zip(labels) {
        let logits = logits.iter().map(|&logit| f64::from(logit)).collect();
        let highest = Finite::new(logits, SCORE, "a logit")?.highest();
        if highest.contains(&(label as usize)) {
            correct += 1.0 / highest.len() as f64;
        }
    }
    Ok(correct / labels.len() as f64)
}

impl finetune::Lesson for Lesson<'_> {
    fn total_steps(&self) -> u64 {
        self.shared().epochs * self.orders.steps_per_epoch()
    }

    fn update(&mut self, bank: &mut Bank, step: u64) -> Result<Tensor> {
        let rows = self.orders.rows(step);
        let mut total = None;
        for range in self.passes(&rows) {
            let indices = flat(&rows, &range);
            let dropout =
                StepDropout::new(step, &self.seeds, &self.dropout, range.clone(), self.network.device);
            let logits = self.logits(&self.corpus.train, &indices, &BankHook::training(bank, &dropout));
            let labels: Vec<i64> =
                indices.iter().map(|&row| self.corpus.train.labels[row as usize]).collect();
            let labels = Tensor::from_slice(&labels).to_device(self.network.device).unsqueeze(1);
            let losses = -logits.log_softmax(1, Kind::Float).gather(1, &labels, false);
            // The mean over the step's pictures, whatever the passes.
            let losses = losses.view([rows.len() as i64, -1]) / rows[0].len() as f64;
            let losses = losses.sum_dim_intlist([1i64].as_slice(), false, Kind::Float); // [trials]
            bank.accumulate(&losses);
            finetune::add(&mut total, losses.detach());
        }
        bank.finish_step();
        Ok(total.expect("a step has pictures"))
    }

    fn score(&mut self, bank: &Bank, step: u64, broken: &mut Broken) -> Result<Vec<Scores>> {
        Ok(self.scores(bank, step, broken))
    }

    /// Behind each epoch.
    fn reads(&self, step: u64) -> bool {
        step > 0 && step.is_multiple_of(self.orders.steps_per_epoch())
    }

    /// How far each trial has moved from the pretrained weights.
    fn read(&mut self, training: &mut Training) -> Result<()> {
        training.record.distances.insert(training.bank.steps(), mean_distances(&training.bank));
        Ok(())
    }

    fn finish(&mut self, training: &mut Training) -> Result<Vec<Finished>> {
        let steps = training.bank.steps();
        let scores = self.scores(&training.bank, steps, &mut training.record.broken);
        Ok(scores.into_iter().map(|metrics| Finished { metrics, ..Finished::default() }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_is_the_share_of_rows_and_classes_that_tie_share_one() {
        let logits = [vec![0.5, 2.0, -1.0], vec![3.0, 2.0, 1.0], vec![1.0, 1.0, 0.0], vec![0.0, 1.0, 1.0]];
        assert_eq!(accuracy(&logits, &[1, 2, 0, 0]), Ok(0.375));
        let error = accuracy(&[vec![0.0, f32::NAN]], &[0]).unwrap_err().to_string();
        assert_eq!(error, "`score` cannot be scored: a logit is NaN");
    }
}
