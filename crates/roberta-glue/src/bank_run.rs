//! One bank from its first step to its outcomes: finetuning, choosing the best epoch, testing.

use std::collections::BTreeMap;

use anyhow::Result;
use driver::{Broken, End, NotFinite};
use runner::{BankContext, CurvePoint, Outcome, Status, Trial};

use crate::metrics::{Predictions, scores};
use crate::tasks::GlueTask;
use crate::training::{Lesson, Record, Scores, Training, mean_distances};

/// What a bank works with. `trials` is in the runner's order, which `order` gives for each slot; the rest is by slot.
pub struct BankRun<'a> {
    pub trials: &'a [Trial],
    pub order: &'a [usize],
    pub lesson: Lesson<'a>,
    pub context: &'a BankContext<'a>,
}

/// The metric that chooses the best epoch: the first that the reference's `evaluate` prints.
fn selection(task: &GlueTask) -> &'static str {
    if task.is_regression() { "pearson" } else { "score" }
}

/// Best epoch's step and score by slot: the first that is above all before it, and above 0.
fn best(record: &Record, slot: usize, metric: &str) -> Option<(u64, f64)> {
    record.validation.iter().fold(None, |best: Option<(u64, f64)>, (&step, scores)| {
        match scores[slot].get(metric) {
            Some(&score) if score > best.map_or(0.0, |(_, score)| score) => Some((step, score)),
            _ => best,
        }
    })
}

/// The highest score on a slot's tuning half: the best epoch's, or one that is not above 0, which has no test score.
fn highest(record: &Record, slot: usize, metric: &str) -> Option<f64> {
    record.validation.values().filter_map(|scores| scores[slot].get(metric).copied()).reduce(f64::max)
}

impl BankRun<'_> {
    /// Trains, tests and reports every trial that was not finished before.
    pub fn run(&self, training: &mut Training) -> Result<Vec<Outcome>> {
        let num_rows = self.lesson.corpus.validation.labels.len();
        let halves = self.lesson.settings.iter().map(|own| own.halves(num_rows));
        let halves = halves.collect::<Result<Vec<_>, _>>()?;
        let metric = selection(self.lesson.settings[0].task());
        let tuning: Vec<Vec<usize>> = halves.iter().map(|own| own.tuning.clone()).collect();
        training.run(&self.lesson, self.context, |bank, record| {
            let scores = self.scores(bank, &tuning, &mut record.broken);
            let is_better = |slot: usize| match scores[slot].get(metric) {
                Some(&score) => score > best(record, slot, metric).map_or(0.0, |(_, best)| best),
                None => false,
            };
            let better = (0..scores.len()).map(is_better).collect();
            (scores, better)
        })?;
        training.bank.recall();
        let test: Vec<Vec<usize>> = halves.into_iter().map(|own| own.test).collect();
        let tested = self.scores(&training.bank, &test, &mut training.record.broken);
        let distances = mean_distances(&training.bank);
        let statuses = driver::statuses(&training.bank);
        let mut outcomes = Vec::new();
        for (slot, (tested, distance)) in tested.into_iter().zip(distances).enumerate() {
            if self.context.done[self.order[slot]] {
                continue;
            }
            let mut outcome = Outcome::new(&self.trials[self.order[slot]].id, Status::Done);
            let per_epoch = self.lesson.steps_per_epoch();
            let mut known = vec![("num_parameters", training.bank.num_parameters(slot) as f64)];
            known.extend(distance.map(|distance| ("mean_distance", distance)));
            known.extend(highest(&training.record, slot, metric).map(|score| ("validation_score", score)));
            if let Some((step, _)) = best(&training.record, slot, metric) {
                known.push(("best_epoch", (step / per_epoch) as f64));
                outcome.metrics = tested;
            }
            outcome.metrics.extend(known.into_iter().map(|(name, value)| (name.to_owned(), value)));
            let (steps, broken) = (training.bank.steps(), &training.record.broken);
            End { slot, trains: true, steps, trained: &statuses[slot], broken }.conclude(&mut outcome);
            curves(&training.record, slot, metric, &mut outcome);
            outcome.train_seconds = training.record.seconds / self.order.len() as f64;
            self.save_adapter(training, slot, &mut outcome)?;
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    /// Scores of each slot on its own rows of the validation set; none where outputs are not finite, which `broken` is
    /// told.
    fn scores(&self, bank: &delora_core::Bank, rows: &[Vec<usize>], broken: &mut Broken) -> Scores {
        let validation = &self.lesson.corpus.validation;
        let predictions = self.lesson.predict(bank, validation, rows);
        let task = self.lesson.settings[0].task();
        let of_slot =
            |(slot, (rows, predictions)): (usize, (&Vec<usize>, Result<Predictions, NotFinite>))| {
                let labels: Vec<f32> = rows.iter().map(|&row| validation.labels[row]).collect();
                match predictions {
                    Ok(predictions) => scores(task, &predictions, &labels),
                    Err(error) => {
                        broken.note(slot, bank.steps(), error);
                        BTreeMap::new()
                    }
                }
            };
        rows.iter().zip(predictions).enumerate().map(of_slot).collect()
    }

    fn save_adapter(&self, training: &Training, slot: usize, outcome: &mut Outcome) -> Result<()> {
        if self.context.save_adapters && outcome.status == Status::Done {
            let file = format!("{}.adapter.safetensors", outcome.trial_id);
            training.bank.adapter(slot)?.save(&self.context.artifacts_dir.join(&file))?;
            outcome.artifacts.insert("adapter".to_owned(), file);
        }
        Ok(())
    }
}

fn curves(record: &Record, slot: usize, metric: &str, outcome: &mut Outcome) {
    let mut add = |step, metric: &str, value: f64| {
        outcome.curves.push(CurvePoint { step, metric: metric.to_owned(), layer: None, value });
    };
    for (step, losses) in record.losses.iter().enumerate() {
        add(step as u64, "loss", f64::from(losses[slot]));
    }
    for (&step, scores) in &record.validation {
        if let Some(&score) = scores[slot].get(metric) {
            add(step, "validation_score", score);
        }
    }
    for (&step, distances) in &record.distances {
        if let Some(distance) = distances[slot] {
            add(step, "mean_distance", distance);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_epoch_is_the_first_above_all_before_it_and_above_zero() {
        let record = |scores: &[Option<f64>]| Record {
            validation: (scores.iter().enumerate())
                .map(|(epoch, score)| {
                    let scores = score.map(|score| ("score".to_owned(), score));
                    (4 * (epoch as u64 + 1), vec![BTreeMap::from_iter(scores)])
                })
                .collect(),
            ..Record::default()
        };
        let best_of = |scores: &[Option<f64>]| best(&record(scores), 0, "score");
        assert_eq!(best_of(&[Some(0.2), Some(0.5), Some(0.5), Some(0.4)]), Some((8, 0.5)));
        assert_eq!(best_of(&[Some(-0.1), None, Some(0.0)]), None);
        assert_eq!(highest(&record(&[Some(-0.1), None, Some(0.0)]), 0, "score"), Some(0.0));
        assert_eq!(best_of(&[None, Some(0.1)]), Some((8, 0.1)));
    }
}
