//! Training of a bank: updates, what is read on the way, checkpoints, and stopping when asked to.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use delora_core::Bank;
use runner::{BankContext, Interrupted};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::finite::Broken;
use crate::settings::Common;

/// Metrics of one trial, by name.
pub type Scores = BTreeMap<String, f64>;

/// What a task leaves of a trial: its metrics, what single questions add to them, and its files beside the results, by name.
#[derive(Default)]
pub struct Finished {
    pub metrics: Scores,
    /// See [`Outcome::items`](runner::Outcome::items).
    pub items: BTreeMap<String, Vec<f64>>,
    pub artifacts: BTreeMap<String, String>,
}

/// What a bank learns, and how its trials are scored.
pub trait Lesson {
    /// Updates of a whole training, were anything trained.
    fn total_steps(&self) -> u64;

    /// Makes the update of a number, from 0. Gives its losses `[trials]`.
    fn update(&mut self, bank: &mut Bank, step: u64) -> Result<Tensor>;

    /// Scores of every slot after `step` updates, for `evaluate_at`. `broken` is told of slots that cannot be scored.
    fn score(&mut self, bank: &Bank, step: u64, broken: &mut Broken) -> Result<Vec<Scores>>;

    /// Whether the task reads something of its own after `step` updates, see [`Lesson::read`].
    fn reads(&self, _step: u64) -> bool {
        false
    }

    /// Reads into the record what the task needs on the way.
    fn read(&mut self, _training: &mut Training) -> Result<()> {
        Ok(())
    }

    /// Scores every slot of a trained bank, whose last updates are recorded.
    fn finish(&mut self, training: &mut Training) -> Result<Vec<Finished>>;
}

/// What is known of a bank's training. Slots have the order of the bank.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// `[step][slot]`; a step of one trial may be non-finite.
    pub losses: Vec<Vec<f32>>,
    /// Steps to what is known of each adapted linear layer.
    pub telemetry: BTreeMap<u64, Vec<LayerReading>>,
    /// Steps to scores that choose among the steps, as those on a tuning half.
    pub tuning: BTreeMap<u64, Vec<Scores>>,
    /// Steps to mean distances of the adapted layers.
    pub distances: BTreeMap<u64, Vec<Option<f64>>>,
    /// Steps to scores: what `evaluate_at` asks for.
    pub scores: BTreeMap<u64, Vec<Scores>>,
    /// Slots that could not be scored.
    pub broken: Broken,
    /// Seconds of training so far, without what is read on the way.
    pub seconds: f64,
}

/// Distance, λ and bound of one layer, by slot; absent where the trial's method has none (see [`delora_core::Bank`]).
#[derive(Serialize, Deserialize)]
pub struct LayerReading {
    pub layer: String,
    pub values: Vec<[Option<f64>; 3]>,
}

impl Record {
    /// Forgets everything behind `steps` updates.
    fn truncate(&mut self, steps: u64) {
        self.losses.truncate(steps as usize);
        self.telemetry.retain(|&step, _| step <= steps);
        self.tuning.retain(|&step, _| step <= steps);
        self.distances.retain(|&step, _| step <= steps);
        self.scores.retain(|&step, _| step <= steps);
        self.broken.truncate(steps);
    }
}

/// A bank and what is known of its training.
pub struct Training {
    pub bank: Bank,
    pub record: Record,
}

/// Between two checkpoints lies at least so often the time that one takes: large banks are saved more seldom.
const SAVINGS_PER_INTERVAL: u32 = 20;

const BANK_FILE: &str = "bank.safetensors";
const RECORD_FILE: &str = "record.json";

impl Training {
    /// Goes on from the checkpoint in `folder` where there is one.
    pub fn resume(mut bank: Bank, folder: &Path) -> Result<Training> {
        let (state, path) = (folder.join(BANK_FILE), folder.join(RECORD_FILE));
        let mut record = Record::default();
        if state.exists() {
            bank.load_state(&state)?;
            let text = std::fs::read(&path).with_context(|| format!("{}: cannot be read", path.display()))?;
            record =
                serde_json::from_slice(&text).with_context(|| format!("{}: is damaged", path.display()))?;
            // The record is written first, so it may be ahead of the bank.
            record.truncate(bank.steps());
        }
        Ok(Training { bank, record })
    }

    fn save(&self, folder: &Path) -> Result<()> {
        runner::write_atomically(&folder.join(RECORD_FILE), &serde_json::to_vec(&self.record)?)?;
        Ok(self.bank.save(&folder.join(BANK_FILE))?)
    }

    /// Trains to the end. Returns [`Interrupted`] after a checkpoint when asked to stop.
    pub fn run(&mut self, lesson: &mut impl Lesson, common: &Common, context: &BankContext) -> Result<()> {
        let total = lesson.total_steps();
        let mut every = context.checkpoint_every.max(Duration::from_millis(1));
        let mut unread = Vec::new();
        let mut has_stepped = false;
        let (mut started, mut saved) = (Instant::now(), Instant::now());
        loop {
            let done = self.bank.steps();
            let is_over = done >= total;
            let is_scored = !is_over && common.evaluate_at.contains(&done);
            let is_tracked = common.track_every.is_some_and(|every| done.is_multiple_of(every) || is_over);
            let is_saved = has_stepped && (is_over || saved.elapsed() >= every || context.stopped());
            let is_read = lesson.reads(done);
            if is_scored || is_tracked || is_saved || is_read {
                self.record.losses.extend(read_losses(&mut unread)?);
                self.record.seconds += started.elapsed().as_secs_f64();
                if is_tracked {
                    self.record.telemetry.insert(done, layer_readings(&self.bank));
                }
                if is_read {
                    lesson.read(self)?;
                }
                if is_scored && !self.record.scores.contains_key(&done) {
                    let scores = lesson.score(&self.bank, done, &mut self.record.broken)?;
                    self.record.scores.insert(done, scores);
                }
                if is_saved {
                    let saving = Instant::now();
                    self.save(&context.checkpoint_dir)?;
                    if context.stopped() {
                        return Err(Interrupted.into());
                    }
                    every = every.max(saving.elapsed() * SAVINGS_PER_INTERVAL);
                    saved = Instant::now();
                }
                started = Instant::now();
            }
            if is_over {
                return Ok(());
            }
            // The first step of a process sends what all others find on the device.
            device::region(if has_stepped { c"step" } else { c"first step" });
            unread.push(lesson.update(&mut self.bank, done)?);
            device::region(c"beside steps");
            has_stepped = true;
            let done = done + 1;
            if done.is_multiple_of(10) || done == total {
                context.progress.step(done, total, "training");
            }
        }
    }
}

/// Losses `[trials]` of each step since the last call, by step and slot. Waits for the device.
fn read_losses(unread: &mut Vec<Tensor>) -> Result<Vec<Vec<f32>>> {
    if unread.is_empty() {
        return Ok(Vec::new());
    }
    let losses = Tensor::stack(&std::mem::take(unread), 0).to_kind(Kind::Float); // [steps, trials]
    Ok(Vec::<Vec<f32>>::try_from(losses)?)
}

fn layer_readings(bank: &Bank) -> Vec<LayerReading> {
    let readings = bank.telemetry().into_iter().map(|reading| LayerReading {
        values: (0..bank.num_trials())
            .map(|slot| [reading.distances[slot], reading.strengths[slot], reading.bounds[slot]])
            .collect(),
        layer: reading.site,
    });
    readings.collect()
}

/// Mean of ‖W′ − W‖ over the linear layers that a slot adapts; `None` where it adapts none.
pub fn mean_distances(bank: &Bank) -> Vec<Option<f64>> {
    let layers = bank.distances();
    let mean = |slot: usize| {
        let adapted: Vec<f64> = layers.iter().filter_map(|(_, slots)| slots[slot]).collect();
        (!adapted.is_empty()).then(|| adapted.iter().sum::<f64>() / adapted.len() as f64)
    };
    (0..bank.num_trials()).map(mean).collect()
}
