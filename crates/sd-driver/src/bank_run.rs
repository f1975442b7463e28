//! One bank from its first step to its outcomes: training, drawing, scoring, and what is left on disk.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;
use delora_core::Bank;
use driver::{Broken, End, NotFinite};
use harness::BankHook;
use runner::{BankContext, Outcome, Status, Trial};
use tch::Tensor;

use crate::evaluate::{Reference, score};
use crate::pictures::write_sheet;
use crate::sampling::{Order, Plan, draw};
use crate::settings::{Settings, SubjectSettings};
use crate::subject;
use crate::telemetry;
use crate::training::{Lesson, Moments, Training, dreambooth_step, step_contexts};
use crate::world::World;

/// What one subject brings to a bank.
pub struct SubjectData {
    pub moments: Moments,
    pub reference: Reference,
}

/// The first metric of what is drawn.
const METRIC: &str = "dino";

type Scores = BTreeMap<String, f64>;

/// What a bank works with. `trials` and `settings` are in the runner's order, which `order` gives for each slot.
pub struct BankRun<'a> {
    pub world: &'a World,
    pub trials: &'a [Trial],
    pub settings: &'a [Settings],
    pub subjects: &'a BTreeMap<String, SubjectData>,
    pub order: &'a [usize],
    pub context: &'a BankContext<'a>,
}

impl BankRun<'_> {
    /// Trains to the end; `classes` has each slot's pictures of its class.
    pub fn train(&self, training: &mut Training, classes: &[Option<Rc<Moments>>]) -> Result<()> {
        let slots = self.order.iter().zip(classes);
        let lessons: Vec<Lesson> =
            slots.map(|(&trial, class)| self.lesson(trial, class.as_deref())).collect();
        let diffusion = &self.world.diffusion;
        let contexts = step_contexts(&lessons).to_device(diffusion.device);
        let update = |bank: &mut Bank, step| Ok(dreambooth_step(diffusion, &lessons, &contexts, bank, step));
        training.run(self.settings[0].steps(), self.context, update, |bank, step, broken| {
            let drawn = self.draw(bank, step, broken);
            self.write_sheets(&drawn, &format!("-{step}"))?;
            Ok(self.scores(&drawn))
        })
    }

    /// Draws, scores and reports every trial that was not finished before.
    pub fn finish(&self, training: &mut Training) -> Result<Vec<Outcome>> {
        let last = self.settings[0].train_steps;
        let drawn = self.draw(&training.bank, last, &mut training.record.broken);
        let scores = self.scores(&drawn);
        self.write_sheets(&drawn, "")?;
        if self.settings[0].evaluate_at.contains(&last) {
            self.write_sheets(&drawn, &format!("-{last}"))?;
            training.record.scores.insert(last, scores.clone());
        }
        let statuses = driver::statuses(&training.bank);
        let mut outcomes = Vec::new();
        for (slot, scores) in scores.into_iter().enumerate() {
            if !self.context.done[self.order[slot]] {
                outcomes.push(self.outcome(slot, &statuses[slot], scores, training)?);
            }
        }
        Ok(outcomes)
    }

    fn outcome(&self, slot: usize, trained: &Status, scores: Scores, training: &Training) -> Result<Outcome> {
        let Training { bank, record } = training;
        let (own, id) = (&self.settings[self.order[slot]], &self.trials[self.order[slot]].id);
        let mut outcome = Outcome::new(id, Status::Done);
        outcome.metrics = scores;
        outcome.metrics.insert("num_parameters".to_owned(), bank.num_parameters(slot) as f64);
        telemetry::report(record, slot, &own.tracked_layer, &mut outcome);
        End { slot, trains: own.trains(), steps: own.train_steps, trained, broken: &record.broken }
            .conclude(&mut outcome);
        outcome.train_seconds = record.seconds / self.order.len() as f64;
        let mut artifact = |name: String, file: String| outcome.artifacts.insert(name, file);
        artifact("pictures".to_owned(), format!("{id}.png"));
        for step in record.scores.keys() {
            artifact(format!("pictures_{step}"), format!("{id}-{step}.png"));
        }
        if let Some(text) = telemetry::csv(record, slot) {
            let file = format!("{id}.telemetry.csv");
            runner::write_atomically(&self.context.artifacts_dir.join(&file), text.as_bytes())?;
            artifact("telemetry".to_owned(), file);
        }
        if self.context.save_adapters && own.trains() && outcome.status == Status::Done {
            let file = format!("{id}.adapter.safetensors");
            bank.adapter(slot)?.save(&self.context.artifacts_dir.join(&file))?;
            outcome.artifacts.insert("adapter".to_owned(), file);
        }
        Ok(outcome)
    }

    fn lesson<'a>(&'a self, trial: usize, class: Option<&'a Moments>) -> Lesson<'a> {
        let settings = &self.settings[trial];
        let SubjectSettings { name, class: word, .. } = &settings.subject;
        let captions = &self.world.diffusion.captions;
        let encode = |prompt: String| captions.encode(&[prompt], settings.precision.kind());
        Lesson {
            settings,
            subject: &self.subjects[name].moments,
            subject_context: encode(format!("a photo of {} {word}", settings.identifier)),
            class: class.map(|moments| (moments, encode(format!("a photo of {word}")))),
        }
    }

    /// Every prompt's pictures, by slot; `broken` is told of slots whose weights are too large to compute with.
    fn draw(&self, bank: &Bank, step: u64, broken: &mut Broken) -> Vec<Tensor> {
        let shared = &self.settings[0];
        let kind = shared.precision.kind();
        let diffusion = &self.world.diffusion;
        let order = |&trial: &usize| {
            let own = &self.settings[trial];
            let contexts = diffusion.captions.encode(&subject::prompts(own, &own.identifier), kind);
            Order { contexts: contexts.split(1, 0), seed: own.seed }
        };
        let orders: Vec<Order> = self.order.iter().map(order).collect();
        let plan = Plan { pictures_per_prompt: shared.pictures_per_prompt, sampling: shared.sampling, kind };
        let report = |done, all| self.context.progress.step(done, all, "drawing");
        let hook = BankHook::evaluating(bank);
        let drawn = draw(diffusion, &hook, &orders, plan, report);
        for (slot, (overflowed, drawn)) in hook.overflowed().into_iter().zip(&drawn).enumerate() {
            if !is_finite(drawn) {
                broken.note(slot, step, NotFinite::new(METRIC, "a drawn picture is not finite"));
            } else if overflowed {
                broken.note(slot, step, NotFinite::overflow(METRIC));
            }
        }
        drawn
    }

    /// Scores of what each slot drew.
    fn scores(&self, drawn: &[Tensor]) -> Vec<Scores> {
        let of_slot = |(&trial, drawn): (&usize, &Tensor)| {
            let own = &self.settings[trial];
            let (captions, reference) =
                (subject::prompts(own, ""), &self.subjects[&own.subject.name].reference);
            score(self.world, drawn, &captions, own.pictures_per_prompt, reference)
        };
        self.order.iter().zip(drawn).map(of_slot).collect()
    }

    /// What each slot drew as `<trial id><suffix>.png`; a trial that was finished before keeps its own.
    fn write_sheets(&self, drawn: &[Tensor], suffix: &str) -> Result<()> {
        for (&trial, drawn) in self.order.iter().zip(drawn) {
            if !self.context.done[trial] {
                let file = self.context.artifacts_dir.join(format!("{}{suffix}.png", self.trials[trial].id));
                write_sheet(drawn, self.settings[trial].pictures_per_prompt, &file)?;
            }
        }
        Ok(())
    }
}

pub fn is_finite(pictures: &Tensor) -> bool {
    bool::try_from(pictures.isfinite().all()).expect("one truth value")
}
