//! What a bank learns of label maps, what its trials' condition encoders make of them, and what it draws for them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use delora_core::{Bank, Group, Site, Start, TENSOR_VALUE, TensorRun, stream};
use finetune::{
    BankHook, Broken, EpochOrders, Finished, NotFinite, Scores, Slot, Training, epoch_order, untrained,
};
use models::frechet::FrechetError;
use models::palette::colored;
use models::{Frozen, Hook};
use runner::{Outcome, Progress};
use tch::{Kind, Tensor};

use super::corpus::Corpus;
use super::scores::Scorer;
use super::settings::{SemanticSettings, Settings};
use super::world::World;
use crate::pass::{Draws, Objective};
use crate::pictures::{is_finite, write_sheet};
use crate::sampling::{Order, Plan, draw_rounds};

/// In front of a condition encoder's parameters among a bank's sites.
const PREFIX: &str = "condition_encoder.";

/// What can be adapted: the denoiser's layers, and the condition encoder where it is trained.
pub fn sites(world: &World, settings: &Settings) -> Vec<Site> {
    let mut sites = finetune::sites(&world.diffusion.unet);
    if settings.condition_encoder.learning_rate.is_some() {
        sites.extend(world.encoder.parameters().into_iter().enumerate().map(|(index, parameter)| {
            let group = if parameter.name.ends_with("bias") { Group::HeadBias } else { Group::Head };
            // Values that are not pretrained come from `place_encoders`.
            let pretrained = world.pretrained.as_ref().map(|values| values[index].shallow_clone());
            let start = pretrained.map_or(Start::Zero, Start::Given);
            Site::task_tensor(&format!("{PREFIX}{}", parameter.name), &parameter.shape, group, start)
        }));
    }
    sites
}

/// Draws every slot's encoder by the trial's seed, where it does not start from a pretrained one.
pub fn place_encoders(bank: &mut Bank, world: &World, settings: &Settings) -> Result<()> {
    if settings.condition_encoder.learning_rate.is_none() || world.pretrained.is_some() {
        return Ok(());
    }
    let names = world.encoder.parameters();
    for slot in 0..bank.num_trials() {
        let seed = bank.trial(slot).seed;
        let values = world.encoder.initial(|name| stream(seed, &format!("{PREFIX}{name}")));
        for (parameter, value) in names.iter().zip(values) {
            bank.set_parameter(&format!("{PREFIX}{}", parameter.name), slot, TENSOR_VALUE, &value)?;
        }
    }
    Ok(())
}

/// What the denoiser gets of label maps `[trials * N, side, side]`, trial by trial: `[trials * N, C, h, w]`.
pub fn control(bank: &Bank, world: &World, labels: &Tensor, kind: Kind) -> Tensor {
    let maps = colored(&labels.to_device(world.device), kind);
    let own = |name: &str| {
        let runs = bank.tensor(&format!("{PREFIX}{name}"), kind)?;
        let values = |run: TensorRun| run.values.expect("each trial has its own encoder");
        Some(Tensor::cat(&runs.into_iter().map(values).collect::<Vec<_>>(), 0))
    };
    let names = world.encoder.parameters();
    match names.iter().map(|parameter| own(&parameter.name)).collect::<Option<Vec<Tensor>>>() {
        Some(stacked) => world.encoder.forward_stacked(&stacked, &maps),
        None => {
            let frozen = world.pretrained.as_ref().expect("an encoder that is not trained is pretrained");
            world.encoder.forward(frozen, &maps)
        }
    }
}

/// Pictures of a trial that are kept on disk: those of the first validation maps.
pub const SHOWN: usize = 20;

/// What one slot has drawn and how good it is.
struct Drawn {
    scores: BTreeMap<String, f64>,
    shown: Tensor,
    broken: Option<NotFinite>,
}

/// The first metric of what is drawn.
const METRIC: &str = "miou";

/// What the trials of a bank learn, by slot.
pub struct Lesson<'a> {
    world: &'a World,
    corpus: &'a Corpus,
    slots: Vec<Slot<'a, SemanticSettings>>,
    orders: EpochOrders,
    artifacts_dir: &'a Path,
    progress: &'a dyn Progress,
}

impl<'a> Lesson<'a> {
    pub fn new(
        world: &'a World,
        corpus: &'a Corpus,
        slots: Vec<Slot<'a, SemanticSettings>>,
        artifacts_dir: &'a Path,
        progress: &'a dyn Progress,
    ) -> Lesson<'a> {
        let seeds: Vec<u64> = slots.iter().map(|slot| slot.settings.common.seed).collect();
        let (count, shuffle) = (corpus.training.len(), slots[0].settings.shuffle);
        let order = move |seed, epoch| match shuffle {
            true => epoch_order(seed, epoch, count),
            false => (0..count).collect(),
        };
        let orders = EpochOrders::by(&seeds, count, slots[0].settings.common.batch, order);
        Lesson { world, corpus, slots, orders, artifacts_dir, progress }
    }

    fn shared(&self) -> &Settings {
        self.slots[0].settings
    }

    /// Draws and scores the model as it is, which sees captions and no label map.
    pub fn untrained(&self) -> Result<Vec<Outcome>> {
        let outcome = |(slot, drawn): (&Slot<SemanticSettings>, Drawn)| {
            let mut broken = Broken::default();
            let finished = self.finished(slot, 0, drawn, (0, &mut broken))?;
            Ok(untrained(slot.id, finished, &broken))
        };
        self.slots.iter().zip(self.draw(&Frozen, |_, _| None)?).map(outcome).collect()
    }

    /// What each slot of a bank draws.
    fn drawn(&self, bank: &Bank) -> Result<Vec<Drawn>> {
        let hook = BankHook::evaluating(bank);
        let trials = bank.num_trials();
        let mut drawn = self
            .draw(&hook, |labels, kind| Some(control(bank, self.world, &repeated(labels, trials), kind)))?;
        for (drawn, overflowed) in drawn.iter_mut().zip(hook.overflowed()) {
            drawn.broken = drawn.broken.take().or(overflowed.then(|| NotFinite::overflow(METRIC)));
        }
        Ok(drawn)
    }

    /// Writes what a slot drew, unless its trial was finished before.
    fn finished(
        &self,
        slot: &Slot<SemanticSettings>,
        index: usize,
        drawn: Drawn,
        (step, broken): (u64, &mut Broken),
    ) -> Result<Finished> {
        let file = format!("{}.png", slot.id);
        if !slot.is_done {
            write_sheet(&drawn.shown, 1, &self.artifacts_dir.join(&file))?;
        }
        if let Some(error) = drawn.broken {
            broken.note(index, step, error);
        }
        let artifacts = BTreeMap::from([("pictures".to_owned(), file)]);
        Ok(Finished { metrics: drawn.scores, artifacts, ..Finished::default() })
    }

    /// A picture of every slot for every validation map; `control` is told a round's label maps.
    fn draw(&self, hook: &dyn Hook, control: impl Fn(&Tensor, Kind) -> Option<Tensor>) -> Result<Vec<Drawn>> {
        let shared = self.shared();
        let kind = shared.common.precision.kind();
        let validation = &self.corpus.validation;
        let captions: Vec<&str> = validation.iter().map(|pair| pair.caption.as_str()).collect();
        let contexts = self.world.diffusion.captions.encode(&captions, kind);
        let order = |slot: &Slot<SemanticSettings>| Order {
            contexts: contexts.split(1, 0),
            seed: slot.settings.common.seed,
        };
        let orders: Vec<Order> = self.slots.iter().map(order).collect();
        let plan = Plan { pictures_per_prompt: 1, sampling: shared.sampling, kind };
        let labels_of =
            |places: &[(usize, usize)]| self.corpus.labels(places.iter().map(|&(pair, _)| &validation[pair]));
        let mut scorers: Vec<Scorer> = orders.iter().map(|_| Scorer::new(self.world)).collect();
        let mut shown: Vec<Vec<Tensor>> = orders.iter().map(|_| Vec::new()).collect();
        let mut finite = vec![true; orders.len()];
        draw_rounds(
            &self.world.diffusion,
            hook,
            &orders,
            plan,
            |places| Ok(control(&labels_of(places)?, kind)),
            |round| {
                let labels = labels_of(round.places)?;
                let kept = SHOWN.saturating_sub(round.places[0].0).min(round.places.len()) as i64;
                for (slot, pictures) in round.pictures.iter().enumerate() {
                    finite[slot] &= is_finite(pictures);
                    if finite[slot] {
                        scorers[slot].add(pictures, &labels)?;
                    }
                    shown[slot].push(pictures.narrow(0, 0, kept));
                }
                self.progress.step(round.done, round.all, "drawing");
                Ok(())
            },
        )?;
        let real = &self.corpus.real;
        let finished = scorers.into_iter().zip(shown).zip(finite);
        finished
            .map(|((scorer, shown), finite)| {
                let shown = Tensor::cat(&shown, 0);
                if !finite {
                    let broken = Some(NotFinite::new(METRIC, "a drawn picture is not finite"));
                    return Ok(Drawn { scores: BTreeMap::new(), shown, broken });
                }
                match scorer.scores(real) {
                    Ok(scores) => Ok(Drawn { scores, shown, broken: None }),
                    // Features of one trial's pictures are no reason to lose its neighbours.
                    Err(error) if matches!(error.downcast_ref(), Some(FrechetError::NotFinite { .. })) => {
                        let broken = Some(NotFinite::new("fid", error.to_string()));
                        Ok(Drawn { scores: BTreeMap::new(), shown, broken })
                    }
                    Err(error) => Err(error),
                }
            })
            .collect()
    }
}

impl finetune::Lesson for Lesson<'_> {
    fn total_steps(&self) -> u64 {
        self.shared().epochs * self.orders.steps_per_epoch()
    }

    /// Each trial draws from its own streams, whoever its neighbours are.
    fn update(&mut self, bank: &mut Bank, step: u64) -> Result<Tensor> {
        let diffusion = &self.world.diffusion;
        let rows = self.orders.rows(step);
        let shared = self.shared();
        let mut draws = Draws::default();
        for (slot, rows) in self.slots.iter().zip(&rows) {
            let mut stream = stream(slot.settings.common.seed, &format!("training step {step}"));
            rows.iter().for_each(|&row| draws.add(diffusion, &self.corpus.moments, row, &mut stream));
        }
        let pairs: Vec<_> = rows.iter().flatten().map(|&row| &self.corpus.training[row]).collect();
        let kind = shared.common.precision.kind();
        let captions: Vec<&str> = pairs.iter().map(|pair| pair.caption.as_str()).collect();
        let contexts = diffusion.captions.encode(&captions, kind);
        let labels = self.corpus.labels(pairs)?;
        let trials = self.slots.len() as i64;
        let objective = Objective {
            control: &|bank| Some(control(bank, self.world, &labels, kind)),
            losses: &|errors| errors.view([trials, -1]).mean_dim([1i64].as_slice(), false, Kind::Float),
            recompute: shared.checkpointing,
        };
        let losses = draws.pass(diffusion, &contexts, kind).accumulate(bank, diffusion, &objective);
        bank.finish_step();
        Ok(losses)
    }

    fn score(&mut self, bank: &Bank, step: u64, broken: &mut Broken) -> Result<Vec<Scores>> {
        let of_slot = |(slot, drawn): (usize, Drawn)| match drawn.broken {
            Some(error) => broken.told(slot, step, Err(error)),
            None => drawn.scores,
        };
        Ok(self.drawn(bank)?.into_iter().enumerate().map(of_slot).collect())
    }

    fn finish(&mut self, training: &mut Training) -> Result<Vec<Finished>> {
        let steps = training.bank.steps();
        let drawn = self.slots.iter().enumerate().zip(self.drawn(&training.bank)?);
        let broken = &mut training.record.broken;
        drawn.map(|((index, slot), drawn)| self.finished(slot, index, drawn, (steps, broken))).collect()
    }
}

/// `labels` `[N, H, W]` once for each trial, `[trials * N, H, W]`.
fn repeated(labels: &Tensor, trials: usize) -> Tensor {
    labels.repeat([trials as i64, 1, 1])
}
