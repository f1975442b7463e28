//! What a bank learns: instructions, one pass of the decoder per part of a step; then exams and answers.

use std::ops::Range;
use std::path::Path;

use anyhow::Result;
use delora_core::Bank;
use finetune::{
    BankHook, Broken, EpochOrders, Finished, Finite, NotFinite, Scores, Slot, Training, by_length,
    epoch_order, mean_distances, passes,
};
use serde::Serialize;
use tch::{Kind, Tensor};

use crate::conversations::Conversation;
use crate::examples::Example;
use crate::generate::{Generator, Sampling};
use crate::metrics::{self, Graded, Sat};
use crate::scoring::{LogLikelihoods, Scorer};
use crate::settings::{InstructSettings, LossMean, Settings};
use crate::training::{Batch, accumulate_recomputed, losses};
use crate::world::{Corpus, Exam, Exams, Network};

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

/// Distances are read so many times over a training.
const READINGS: u64 = 20;

/// What the trials of a bank learn, by slot.
pub struct Lesson<'a> {
    network: &'a Network,
    corpus: &'a Corpus,
    exams: &'a Exams,
    slots: Vec<Slot<'a, InstructSettings>>,
    orders: EpochOrders,
    artifacts_dir: &'a Path,
}

/// The order of a trial's examples, which have these `lengths`, in an epoch.
fn order(lengths: &[usize], seed: u64, epoch: u64, longest_first: bool) -> Vec<usize> {
    let mut order = epoch_order(seed, epoch, lengths.len());
    if longest_first && epoch == 0 {
        let longest = (0..order.len()).rev().max_by_key(|&place| lengths[order[place]]);
        order.swap(0, longest.expect("a training set has examples"));
    }
    order
}

impl<'a> Lesson<'a> {
    pub fn new(
        network: &'a Network,
        corpus: &'a Corpus,
        exams: &'a Exams,
        slots: Vec<Slot<'a, InstructSettings>>,
        artifacts_dir: &'a Path,
    ) -> Lesson<'a> {
        let seeds: Vec<u64> = slots.iter().map(|slot| slot.settings.common.seed).collect();
        let lengths: Vec<usize> = corpus.train.iter().map(|example| example.ids.len()).collect();
        let Settings { common, .. } = slots[0].settings;
        let longest_first = slots[0].settings.longest_first;
        let orders = EpochOrders::by(&seeds, lengths.len(), common.batch, move |seed, epoch| {
            order(&lengths, seed, epoch, longest_first)
        });
        Lesson { network, corpus, exams, slots, orders, artifacts_dir }
    }

    fn shared(&self) -> &Settings {
        self.slots[0].settings
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

    /// Mean loss of each slot over `examples`, by target; NaN where activations left what the network can compute with.
    pub fn mean_losses(&self, bank: &Bank, examples: &[Example]) -> Vec<f64> {
        let trials = bank.num_trials();
        let rows = by_length((0..examples.len()).collect(), |row| examples[row].ids.len());
        let rows = vec![rows; trials];
        let total = examples.iter().map(Example::num_targets).sum::<usize>().max(1) as f64;
        let mut sums = vec![0.0; trials];
        let hook = BankHook::evaluating(bank);
        let budget = self.shared().tokens_per_pass;
        for range in passes(&rows, |row| examples[row].ids.len(), budget) {
            let all: Vec<(&Example, f32)> =
                rows.iter().flat_map(|rows| &rows[range.clone()]).map(|&row| (&examples[row], 1.0)).collect();
            let batch = Batch::new(&all, self.network.device);
            let (llama, kind) = (&self.network.llama.network, self.network.kind);
            let losses = gradient_mode::off(|| losses(llama, &batch, trials as i64, kind, &hook));
            let losses = Vec::<f64>::try_from(losses.to_kind(Kind::Double)).expect("a loss for each trial");
            sums.iter_mut().zip(losses).for_each(|(sum, loss)| *sum += loss);
        }
        let overflowed = hook.overflowed().into_iter();
        sums.into_iter()
            .zip(overflowed)
            .map(|(sum, lost)| if lost { f64::NAN } else { sum / total })
            .collect()
    }

    /// Scores of one slot from its log-likelihoods. An error names the first task whose are not finite.
    fn graded(&self, own: &LogLikelihoods) -> Result<Graded, NotFinite> {
        let sat = |exam: &'a Exam| -> Result<Sat<'a>, NotFinite> {
            let of_question = |choices: &Vec<(usize, usize)>| {
                let values = choices.iter().map(|&(prompt, continuation)| own[prompt][continuation]);
                Finite::new(values.collect(), &exam.task.name, "a log-likelihood")
            };
            let log_likelihoods = exam.places.iter().map(of_question).collect::<Result<Vec<_>, _>>()?;
            Ok((&exam.task, &exam.questions, log_likelihoods))
        };
        let sat = self.exams.exams.iter().map(sat).collect::<Result<Vec<_>, _>>()?;
        Ok(metrics::of_tasks(&sat))
    }

    /// What each slot reaches in the exams; none where log-likelihoods are not finite, or where there are no exams.
    fn examined(&self, bank: &Bank, step: u64, broken: &mut Broken) -> Vec<Graded> {
        if self.exams.exams.is_empty() {
            return self.slots.iter().map(|_| Graded::default()).collect();
        }
        let scorer = Scorer {
            llama: &self.network.llama.network,
            bank,
            kind: self.network.kind,
            device: self.network.device,
            tokens_per_pass: self.shared().tokens_per_pass,
        };
        let scored = scorer.score(&self.exams.prompts).into_iter().enumerate();
        let of_slot = |(slot, scored): (usize, Option<LogLikelihoods>)| {
            let scored = scored.ok_or_else(|| NotFinite::overflow("average"));
            broken.told(slot, step, scored.and_then(|scored| self.graded(&scored)))
        };
        scored.map(of_slot).collect()
    }

    /// Mean loss of each slot on the test set; `None` without one.
    fn tested(&self, bank: &Bank) -> Option<Vec<f64>> {
        let test = &self.corpus.test;
        (!test.is_empty()).then(|| self.mean_losses(bank, test))
    }

    /// Each slot's answers to the first test instructions.
    fn answers(&self, bank: &Bank) -> Vec<Vec<Answer<'_>>> {
        let network = self.network;
        let all = &self.corpus.conversations;
        let conversations = &all[..all.len().min(self.shared().answers)];
        if conversations.is_empty() {
            return Vec::new();
        }
        let room = network.max_length().saturating_sub(ANSWER_TOKENS).max(1);
        let prompt = |own: &Conversation| {
            let mut ids = if own.is_complete { Vec::new() } else { network.tokenizer.begin.clone() };
            ids.extend(network.tokenizer.encode(&own.turns[0].given));
            ids.truncate(room);
            ids
        };
        let prompts: Vec<Vec<i64>> = conversations.iter().map(prompt).collect();
        let generator = Generator { network, bank };
        let generated = generator.generate(&prompts, ANSWER_TOKENS, Sampling::GREEDY, 0);
        let of_slot = |ids: Vec<Vec<i64>>| {
            let answers = conversations.iter().zip(ids).map(|(own, ids)| Answer {
                instruction: &own.instruction,
                input: &own.input,
                reference: &own.turns[0].wanted,
                answer: network.tokenizer.decode(&ids).trim().to_owned(),
            });
            answers.collect()
        };
        generated.into_iter().map(of_slot).collect()
    }
}

impl finetune::Lesson for Lesson<'_> {
    fn total_steps(&self) -> u64 {
        self.shared().epochs * self.orders.steps_per_epoch()
    }

    /// A step of each trial's examples, longest first.
    fn update(&mut self, bank: &mut Bank, step: u64) -> Result<Tensor> {
        let examples = &self.corpus.train;
        let length = |row: usize| examples[row].ids.len();
        let rows: Vec<_> = self.orders.rows(step).into_iter().map(|rows| by_length(rows, length)).collect();
        let mut total = None;
        for range in passes(&rows, length, self.shared().tokens_per_pass) {
            let batch = self.batch(examples, &rows, &range);
            let (llama, kind) = (&self.network.llama.network, self.network.kind);
            let losses = if self.shared().checkpointing {
                accumulate_recomputed(bank, llama, &batch, kind)
            } else {
                let losses = losses(llama, &batch, bank.num_trials() as i64, kind, &BankHook::new(bank));
                bank.accumulate(&losses);
                losses.detach()
            };
            finetune::add(&mut total, losses);
        }
        bank.finish_step();
        Ok(total.expect("a step has examples"))
    }

    fn reads(&self, step: u64) -> bool {
        let total = self.total_steps();
        step > 0 && (step.is_multiple_of((total / READINGS).max(1)) || step == total)
    }

    fn read(&mut self, training: &mut Training) -> Result<()> {
        let distances = mean_distances(&training.bank);
        training.record.distances.insert(training.bank.steps(), distances);
        Ok(())
    }

    fn score(&mut self, bank: &Bank, step: u64, broken: &mut Broken) -> Result<Vec<Scores>> {
        let mut scores: Vec<Scores> =
            self.examined(bank, step, broken).into_iter().map(|graded| graded.metrics).collect();
        if self.exams.exams.is_empty() {
            for (own, loss) in scores.iter_mut().zip(self.tested(bank).into_iter().flatten()) {
                own.insert("test_loss".to_owned(), loss);
            }
        }
        Ok(scores)
    }

    /// Scores, losses at the end, and answers.
    fn finish(&mut self, training: &mut Training) -> Result<Vec<Finished>> {
        let Training { bank, record } = training;
        let examined = self.examined(bank, bank.steps(), &mut record.broken);
        let tested = self.tested(bank);
        let answers = self.answers(bank);
        let distances = mean_distances(bank);
        let mut all = Vec::new();
        for (slot, Graded { metrics, items }) in examined.into_iter().enumerate() {
            let mut finished = Finished { metrics, items, ..Finished::default() };
            let mut add = |name: &str, value: f64| finished.metrics.insert(name.to_owned(), value);
            if let Some(distance) = distances[slot] {
                add("mean_distance", distance);
            }
            if let Some(losses) = &tested {
                add("test_loss", losses[slot]);
            }
            let last = record.losses.iter().rev().take(LAST_STEPS).map(|step| f64::from(step[slot]));
            let last: Vec<f64> = last.collect();
            if !last.is_empty() {
                add("train_loss", last.iter().sum::<f64>() / last.len() as f64);
            }
            if let Some(answers) = answers.get(slot).filter(|_| !self.slots[slot].is_done) {
                let file = format!("{}.answers.json", self.slots[slot].id);
                let text = serde_json::to_vec_pretty(answers)?;
                runner::write_atomically(&self.artifacts_dir.join(&file), &text)?;
                finished.artifacts.insert("answers".to_owned(), file);
            }
            all.push(finished);
        }
        Ok(all)
    }
}
