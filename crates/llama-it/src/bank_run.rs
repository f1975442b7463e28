//! One bank from its first step to its outcomes: finetuning, exams, answers.

use std::collections::BTreeMap;

use anyhow::Result;
use driver::{Broken, End, Finite, NotFinite};
use runner::{BankContext, CurvePoint, Outcome, Status, Trial};
use serde::Serialize;

use crate::alpaca::Instruction;
use crate::generate::{Generator, Sampling};
use crate::metrics;
use crate::scoring::{LogLikelihoods, Scorer};
use crate::training::{Lesson, Record, Training, mean_distances};
use crate::world::Exams;

/// What a bank works with. `trials` is in the runner's order, which `order` gives for each slot; the rest is by slot.
pub struct BankRun<'a> {
    pub trials: &'a [Trial],
    pub order: &'a [usize],
    pub lesson: Lesson<'a>,
    pub exams: &'a Exams,
    pub context: &'a BankContext<'a>,
}

/// A test instruction, and what the trained model says.
#[derive(Serialize)]
struct Answer<'a> {
    instruction: &'a str,
    input: &'a str,
    /// The wanted response.
    reference: &'a str,
    answer: String,
}

/// Tokens of an answer at most.
const ANSWER_TOKENS: usize = 64;
/// Steps whose losses are one mean of `train_loss`, at the end of training.
const LAST_STEPS: usize = 20;

impl BankRun<'_> {
    /// Trains, examines and reports every trial that was not finished before.
    pub fn run(&self, training: &mut Training) -> Result<Vec<Outcome>> {
        training.run(&self.lesson, self.context)?;
        let mut broken = Broken::default();
        let metrics = self.examine(training, &mut broken);
        let tested = self.tested(training);
        let answers = self.answers(training);
        let distances = mean_distances(&training.bank);
        let statuses = driver::statuses(&training.bank);
        let mut outcomes = Vec::new();
        let untrained = self.lesson.settings[0].is_untrained();
        for (slot, mut known) in metrics.into_iter().enumerate() {
            if self.context.done[self.order[slot]] {
                continue;
            }
            let mut outcome = Outcome::new(&self.trials[self.order[slot]].id, Status::Done);
            let mut add = |name: &str, value: f64| known.insert(name.to_owned(), value);
            add("num_parameters", training.bank.num_parameters(slot) as f64);
            if let Some(distance) = distances[slot] {
                add("mean_distance", distance);
            }
            if let Some(loss) = tested.as_ref().map(|losses| losses[slot]) {
                add("test_loss", loss);
            }
            let last = training.record.losses.iter().rev().take(LAST_STEPS).map(|step| f64::from(step[slot]));
            let last: Vec<f64> = last.collect();
            if !last.is_empty() {
                add("train_loss", last.iter().sum::<f64>() / last.len() as f64);
            }
            outcome.metrics = known;
            let steps = training.bank.steps();
            End { slot, trains: !untrained, steps, trained: &statuses[slot], broken: &broken }
                .conclude(&mut outcome);
            curves(&training.record, slot, &mut outcome);
            outcome.train_seconds = training.record.seconds / self.order.len() as f64;
            self.save(training, slot, answers.get(slot), &mut outcome)?;
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    /// Scores of each slot, by name; none where log-likelihoods are not finite, which `broken` is told.
    fn examine(&self, training: &Training, broken: &mut Broken) -> Vec<BTreeMap<String, f64>> {
        let network = self.lesson.network;
        let scorer = Scorer {
            llama: &network.llama.network,
            bank: &training.bank,
            kind: network.kind,
            device: network.device,
            tokens_per_pass: self.lesson.settings[0].tokens_per_pass,
        };
        let scored = scorer.score(&self.exams.prompts).into_iter().enumerate();
        let of_slot = |(slot, own): (usize, Option<LogLikelihoods>)| {
            let metrics =
                own.ok_or_else(|| NotFinite::overflow("average")).and_then(|own| self.metrics(&own));
            metrics.unwrap_or_else(|error| {
                broken.note(slot, training.bank.steps(), error);
                BTreeMap::new()
            })
        };
        scored.map(of_slot).collect()
    }

    /// Scores of one slot from its log-likelihoods. An error names the first task whose are not finite.
    fn metrics(&self, own: &LogLikelihoods) -> Result<BTreeMap<String, f64>, NotFinite> {
        let mut metrics = BTreeMap::new();
        for exam in &self.exams.exams {
            let of_question = |choices: &Vec<(usize, usize)>| {
                let values = choices.iter().map(|&(prompt, continuation)| own[prompt][continuation]);
                Finite::new(values.collect(), &exam.task.name, "a log-likelihood")
            };
            let log_likelihoods = exam.places.iter().map(of_question).collect::<Result<Vec<_>, _>>()?;
            metrics.extend(metrics::of_task(&exam.task, &exam.questions, &log_likelihoods));
        }
        let tasks: Vec<_> = self.exams.exams.iter().map(|exam| exam.task.clone()).collect();
        metrics.insert("average".to_owned(), metrics::average(&tasks, &metrics));
        Ok(metrics)
    }

    /// Mean loss of each slot on the test set; `None` without one.
    fn tested(&self, training: &Training) -> Option<Vec<f64>> {
        let test = &self.lesson.corpus.test;
        (!test.is_empty()).then(|| self.lesson.mean_losses(&training.bank, test))
    }

    /// Each slot's answers to the first test instructions.
    fn answers(&self, training: &Training) -> Vec<Vec<Answer<'_>>> {
        let network = self.lesson.network;
        let all = &self.lesson.corpus.instructions;
        let instructions = &all[..all.len().min(self.lesson.settings[0].answers)];
        if instructions.is_empty() {
            return Vec::new();
        }
        let room = network.max_length().saturating_sub(ANSWER_TOKENS).max(1);
        let prompt = |own: &Instruction| {
            let mut ids = vec![network.tokenizer.begin];
            ids.extend(network.tokenizer.encode(&own.prompt()));
            ids.truncate(room);
            ids
        };
        let prompts: Vec<Vec<i64>> = instructions.iter().map(prompt).collect();
        let generator = Generator { network, bank: &training.bank };
        let generated = generator.generate(&prompts, ANSWER_TOKENS, Sampling::GREEDY, 0);
        let of_slot = |ids: Vec<Vec<i64>>| {
            let answers = instructions.iter().zip(ids).map(|(own, ids)| Answer {
                instruction: &own.instruction,
                input: &own.input,
                reference: &own.output,
                answer: network.tokenizer.decode(&ids).trim().to_owned(),
            });
            answers.collect()
        };
        generated.into_iter().map(of_slot).collect()
    }

    fn save(
        &self,
        training: &Training,
        slot: usize,
        answers: Option<&Vec<Answer>>,
        outcome: &mut Outcome,
    ) -> Result<()> {
        if let Some(answers) = answers {
            let file = format!("{}.answers.json", outcome.trial_id);
            let text = serde_json::to_vec_pretty(answers)?;
            runner::write_atomically(&self.context.artifacts_dir.join(&file), &text)?;
            outcome.artifacts.insert("answers".to_owned(), file);
        }
        if self.context.save_adapters && outcome.status == Status::Done {
            let file = format!("{}.adapter.safetensors", outcome.trial_id);
            training.bank.adapter(slot)?.save(&self.context.artifacts_dir.join(&file))?;
            outcome.artifacts.insert("adapter".to_owned(), file);
        }
        Ok(())
    }
}

fn curves(record: &Record, slot: usize, outcome: &mut Outcome) {
    let mut add = |step, metric: &str, value: f64| {
        outcome.curves.push(CurvePoint { step, metric: metric.to_owned(), layer: None, value });
    };
    for (step, losses) in record.losses.iter().enumerate() {
        add(step as u64, "loss", f64::from(losses[slot]));
    }
    for (&step, distances) in &record.distances {
        if let Some(distance) = distances[slot] {
            add(step, "mean_distance", distance);
        }
    }
}
