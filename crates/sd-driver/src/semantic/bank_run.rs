//! One bank from its first step to its outcomes: training, drawing a picture per validation map, and scoring.

use std::collections::BTreeMap;

use anyhow::Result;
use delora_core::Bank;
use driver::{Broken, End, NotFinite};
use harness::BankHook;
use models::frechet::FrechetError;
use models::{Frozen, Hook};
use runner::{BankContext, Outcome, Status, Trial};
use tch::{Kind, Tensor};

use super::corpus::Corpus;
use super::lesson::{Lesson, control};
use super::scores::Scorer;
use super::settings::Settings;
use super::world::World;
use crate::bank_run::is_finite;
use crate::pictures::write_sheet;
use crate::sampling::{Order, Plan, draw_rounds};
use crate::telemetry;
use crate::training::{Steps, Training};

/// Pictures of a trial that are kept on disk: those of the first validation maps.
pub const SHOWN: usize = 20;

/// What a bank works with. `trials` and `settings` are in the runner's order, which `order` gives for each slot.
pub struct BankRun<'a> {
    pub world: &'a World,
    pub corpus: &'a Corpus,
    pub trials: &'a [Trial],
    pub settings: &'a [Settings],
    pub order: &'a [usize],
    pub context: &'a BankContext<'a>,
}

/// What one slot has drawn and how good it is.
struct Drawn {
    scores: BTreeMap<String, f64>,
    shown: Tensor,
    broken: Option<NotFinite>,
}

/// The first metric of what is drawn.
const METRIC: &str = "miou";

impl BankRun<'_> {
    /// Trains, draws and scores; reports every trial that was not finished before.
    pub fn run(&self, training: &mut Training) -> Result<Vec<Outcome>> {
        let settings = self.order.iter().map(|&trial| &self.settings[trial]).collect();
        let lesson = Lesson::new(self.world, self.corpus, settings);
        let (train_steps, track_every) = (lesson.total_steps(), self.settings[0].track_every);
        let steps = Steps { train_steps, track_every, evaluate_at: &[] };
        let update = |bank: &mut Bank, step| lesson.step(bank, step);
        training.run(steps, self.context, update, |_, _, _| unreachable!("nothing asks for scores"))?;
        let bank = &training.bank;
        let hook = BankHook::evaluating(bank);
        let mut drawn = self.draw(&hook, |labels, kind| {
            Some(control(bank, self.world, &repeated(labels, self.order.len()), kind))
        })?;
        for (drawn, overflowed) in drawn.iter_mut().zip(hook.overflowed()) {
            drawn.broken = drawn.broken.take().or(overflowed.then(|| NotFinite::overflow(METRIC)));
        }
        let statuses = driver::statuses(bank);
        let mut outcomes = Vec::new();
        for (slot, drawn) in drawn.into_iter().enumerate() {
            if !self.context.done[self.order[slot]] {
                outcomes.push(self.trained(slot, &statuses[slot], drawn, training)?);
            }
        }
        Ok(outcomes)
    }

    /// Draws and scores the model as it is, which sees captions and no label map.
    pub fn untrained(&self) -> Result<Vec<Outcome>> {
        let drawn = self.draw(&Frozen, |_, _| None)?;
        let outcome = |(&trial, drawn): (&usize, Drawn)| {
            let broken = broken_at(0, &drawn);
            let mut outcome = self.outcome(trial, drawn)?;
            End { slot: 0, trains: false, steps: 0, trained: &Status::Done, broken: &broken }
                .conclude(&mut outcome);
            Ok(outcome)
        };
        self.order.iter().zip(drawn).map(outcome).collect()
    }

    fn trained(&self, slot: usize, trained: &Status, drawn: Drawn, training: &Training) -> Result<Outcome> {
        let Training { bank, record } = training;
        let own = &self.settings[self.order[slot]];
        let broken = broken_at(bank.steps(), &drawn);
        let mut outcome = self.outcome(self.order[slot], drawn)?;
        outcome.metrics.insert("num_parameters".to_owned(), bank.num_parameters(slot) as f64);
        telemetry::report(record, slot, &own.tracked_layer, &mut outcome);
        End { slot: 0, trains: true, steps: bank.steps(), trained, broken: &broken }.conclude(&mut outcome);
        outcome.train_seconds = record.seconds / self.order.len() as f64;
        if self.context.save_adapters && outcome.status == Status::Done {
            let file = format!("{}.adapter.safetensors", outcome.trial_id);
            bank.adapter(slot)?.save(&self.context.artifacts_dir.join(&file))?;
            outcome.artifacts.insert("adapter".to_owned(), file);
        }
        Ok(outcome)
    }

    fn outcome(&self, trial: usize, drawn: Drawn) -> Result<Outcome> {
        let id = &self.trials[trial].id;
        let mut outcome = Outcome::new(id, Status::Done);
        outcome.metrics = drawn.scores;
        let file = format!("{id}.png");
        write_sheet(&drawn.shown, 1, &self.context.artifacts_dir.join(&file))?;
        outcome.artifacts.insert("pictures".to_owned(), file);
        Ok(outcome)
    }

    /// A picture of every slot for every validation map; `control` is told a round's label maps.
    fn draw(&self, hook: &dyn Hook, control: impl Fn(&Tensor, Kind) -> Option<Tensor>) -> Result<Vec<Drawn>> {
        let shared = &self.settings[0];
        let kind = shared.precision.kind();
        let validation = &self.corpus.validation;
        let captions: Vec<&str> = validation.iter().map(|pair| pair.caption.as_str()).collect();
        let contexts = self.world.diffusion.captions.encode(&captions, kind);
        let order =
            |&trial: &usize| Order { contexts: contexts.split(1, 0), seed: self.settings[trial].seed };
        let orders: Vec<Order> = self.order.iter().map(order).collect();
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
                self.context.progress.step(round.done, round.all, "drawing");
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

/// What is wrong with what a trial drew after `step`, as of slot 0.
fn broken_at(step: u64, drawn: &Drawn) -> Broken {
    let mut broken = Broken::default();
    if let Some(error) = drawn.broken.clone() {
        broken.note(0, step, error);
    }
    broken
}

/// `labels` `[N, H, W]` once for each trial, `[trials * N, H, W]`.
fn repeated(labels: &Tensor, trials: usize) -> Tensor {
    labels.repeat([trials as i64, 1, 1])
}
