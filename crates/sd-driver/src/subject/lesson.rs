//! What a bank learns from its subjects, and what it draws of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use anyhow::Result;
use delora_core::Bank;
use finetune::{BankHook, Broken, Finished, NotFinite, Scores, Slot, Training};
use runner::Progress;
use tch::Tensor;

use crate::moments::Moments;
use crate::pictures::{is_finite, write_sheet};
use crate::sampling::{Order, Plan, draw};
use crate::subject::dreambooth::{Examples, dreambooth_step, step_contexts};
use crate::subject::evaluate::{Reference, score};
use crate::subject::settings::{Scored, Settings, SubjectDrivenSettings, SubjectSettings};
use crate::subject::subjects;
use crate::subject::world::World;

/// What one subject brings to a bank.
pub struct SubjectData {
    pub moments: Moments,
    pub reference: Reference,
}

/// The first metric of what is drawn.
const METRIC: &str = "dino";

/// What the trials of a bank learn, by slot.
pub struct Lesson<'a> {
    pub world: &'a World,
    pub slots: Vec<Slot<'a, SubjectDrivenSettings>>,
    pub subjects: &'a BTreeMap<String, SubjectData>,
    /// What a step learns from, and its contexts; none where nothing is trained.
    pub examples: Option<(Vec<Examples<'a>>, Tensor)>,
    pub artifacts_dir: &'a Path,
    pub progress: &'a dyn Progress,
}

/// What each slot learns from, and the contexts of a step; `classes` are pictures of its class, with prior preservation.
pub fn examples<'a>(
    world: &World,
    slots: &[Slot<'a, SubjectDrivenSettings>],
    subjects: &'a BTreeMap<String, SubjectData>,
    classes: Vec<Option<Rc<Moments>>>,
) -> (Vec<Examples<'a>>, Tensor) {
    let diffusion = &world.diffusion;
    let of_slot = |(slot, class): (&Slot<'a, SubjectDrivenSettings>, Option<Rc<Moments>>)| {
        let settings = slot.settings;
        let SubjectSettings { name, class: word, .. } = &settings.subject;
        let encode = |prompt: String| diffusion.captions.encode(&[prompt], settings.common.precision.kind());
        Examples {
            settings,
            subject: &subjects[name].moments,
            subject_context: encode(format!("a photo of {} {word}", settings.identifier)),
            class: class.map(|moments| (moments, encode(format!("a photo of {word}")))),
        }
    };
    let examples: Vec<Examples> = slots.iter().zip(classes).map(of_slot).collect();
    let contexts = step_contexts(&examples).to_device(diffusion.device);
    (examples, contexts)
}

impl Lesson<'_> {
    fn shared(&self) -> &Settings {
        self.slots[0].settings
    }

    /// Every prompt's pictures, by slot; `broken` is told of slots whose weights are too large to compute with.
    fn draw(&self, bank: &Bank, step: u64, broken: &mut Broken) -> Result<Vec<Tensor>> {
        let shared = self.shared();
        let kind = shared.common.precision.kind();
        let diffusion = &self.world.diffusion;
        let order = |slot: &Slot<SubjectDrivenSettings>| {
            let prompts = subjects::prompts(slot.settings, &slot.settings.identifier);
            let contexts = diffusion.captions.encode(&prompts, kind);
            Order { contexts: contexts.split(1, 0), seed: slot.settings.common.seed }
        };
        let orders: Vec<Order> = self.slots.iter().map(order).collect();
        let plan = Plan { pictures_per_prompt: shared.pictures_per_prompt, sampling: shared.sampling, kind };
        let report = |done, all| self.progress.step(done, all, "drawing");
        let hook = BankHook::evaluating(bank);
        let drawn = draw(diffusion, &hook, &orders, plan, report)?;
        for (slot, (overflowed, drawn)) in hook.overflowed().into_iter().zip(&drawn).enumerate() {
            if !is_finite(drawn) {
                broken.note(slot, step, NotFinite::new(METRIC, "a drawn picture is not finite"));
            } else if overflowed {
                broken.note(slot, step, NotFinite::overflow(METRIC));
            }
        }
        Ok(drawn)
    }

    /// Scores of what each slot drew.
    fn scores(&self, drawn: &[Tensor]) -> Vec<Scores> {
        let of_slot = |(slot, drawn): (&Slot<SubjectDrivenSettings>, &Tensor)| {
            let captions = subjects::prompts(slot.settings, "");
            let reference = &self.subjects[&slot.settings.subject.name].reference;
            score(self.world, drawn, &captions, slot.settings.pictures_per_prompt, reference)
        };
        self.slots.iter().zip(drawn).map(of_slot).collect()
    }

    /// What each slot drew as `<trial id><suffix>.png`; a trial that was finished before keeps its own.
    fn write_sheets(&self, drawn: &[Tensor], suffix: &str) -> Result<()> {
        for (slot, drawn) in self.slots.iter().zip(drawn).filter(|(slot, _)| !slot.is_done) {
            let file = self.artifacts_dir.join(format!("{}{suffix}.png", slot.id));
            write_sheet(drawn, slot.settings.pictures_per_prompt, &file)?;
        }
        Ok(())
    }
}

impl finetune::Lesson for Lesson<'_> {
    fn total_steps(&self) -> u64 {
        self.shared().train_steps
    }

    fn update(&mut self, bank: &mut Bank, step: u64) -> Result<Tensor> {
        let (examples, contexts) = self.examples.as_ref().expect("a trial that trains has them");
        Ok(dreambooth_step(&self.world.diffusion, examples, contexts, bank, step))
    }

    fn score(&mut self, bank: &Bank, step: u64, broken: &mut Broken) -> Result<Vec<Scores>> {
        let drawn = self.draw(bank, step, broken)?;
        self.write_sheets(&drawn, &format!("-{step}"))?;
        Ok(self.scores(&drawn))
    }

    fn finish(&mut self, training: &mut Training) -> Result<Vec<Finished>> {
        let last = self.total_steps();
        let drawn = self.draw(&training.bank, last, &mut training.record.broken)?;
        self.write_sheets(&drawn, "")?;
        let is_asked = self.shared().common.evaluate_at.contains(&last);
        if is_asked {
            self.write_sheets(&drawn, &format!("-{last}"))?;
        }
        let steps: Vec<u64> = training
            .record
            .scores
            .keys()
            .copied()
            .filter(|&step| step != last)
            .chain(is_asked.then_some(last))
            .collect();
        let of_slot = |(slot, metrics): (&Slot<_>, Scores)| {
            let sheet = |step: &u64| (format!("pictures_{step}"), format!("{}-{step}.png", slot.id));
            let mut artifacts: BTreeMap<String, String> = steps.iter().map(sheet).collect();
            artifacts.insert("pictures".to_owned(), format!("{}.png", slot.id));
            Finished { metrics, artifacts, ..Finished::default() }
        };
        let mut scores = self.scores(&drawn);
        if self.shared().scored == Scored::Best {
            let earlier = training.record.scores.iter().filter(|(step, _)| **step != last);
            let mut best = vec![last; scores.len()];
            for (step, of_slots) in earlier {
                for (slot, (found, own)) in scores.iter_mut().zip(of_slots).enumerate() {
                    if own.get(METRIC) > found.get(METRIC) {
                        (*found, best[slot]) = (own.clone(), *step);
                    }
                }
            }
            for (scores, step) in scores.iter_mut().zip(best) {
                scores.insert("scored_step".to_owned(), step as f64);
            }
        }
        Ok(self.slots.iter().zip(scores).map(of_slot).collect())
    }
}
