//! Training of a bank, and DreamBooth's steps: one UNet pass per step for all trials.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use delora_core::{Bank, stream};
use driver::Broken;
use models::diffusion::StableDiffusion;
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use runner::{BankContext, Interrupted};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::pass::{Draws, Objective};
use crate::settings::Settings;

/// Latents to learn from: means and standard deviations of a set of pictures, each `[pictures, C, h, w]`, on the CPU.
pub struct Moments {
    pub mean: Vec<f32>,
    pub deviation: Vec<f32>,
    pub count: usize,
}

impl Moments {
    pub fn of(diffusion: &StableDiffusion, pictures: &Tensor) -> Result<Moments> {
        let (mean, deviation) = diffusion.encode(pictures);
        let values =
            |tensor: Tensor| Vec::<f32>::try_from(tensor.to_kind(Kind::Float).contiguous().view([-1]));
        Ok(Moments { mean: values(mean)?, deviation: values(deviation)?, count: pictures.size()[0] as usize })
    }

    /// Appends the latents of one picture, drawn from its posterior.
    pub fn draw(&self, picture: usize, stream: &mut impl Rng, latents: &mut Vec<f32>) {
        let size = self.mean.len() / self.count;
        let start = picture * size;
        let pairs = self.mean[start..start + size].iter().zip(&self.deviation[start..start + size]);
        latents.extend(pairs.map(|(mean, deviation)| {
            let draw: f32 = StandardNormal.sample(&mut *stream);
            mean + deviation * draw
        }));
    }
}

/// What one trial learns from.
pub struct Lesson<'a> {
    pub settings: &'a Settings,
    pub subject: &'a Moments,
    /// Contexts `[1, S, D]` of the instance prompt and the class prompt.
    pub subject_context: Tensor,
    pub class: Option<(&'a Moments, Tensor)>,
}

/// Losses and distances over a bank's training, per slot.
#[derive(Default, Serialize, Deserialize)]
pub struct Record {
    /// `[step][slot]`; a step of one trial may be non-finite.
    pub losses: Vec<Vec<f32>>,
    /// Step to what is known of each adapted linear layer.
    pub telemetry: BTreeMap<u64, Vec<LayerReading>>,
    /// Step to metrics by slot: what `evaluate_at` asks for.
    pub scores: BTreeMap<u64, Vec<BTreeMap<String, f64>>>,
    /// Slots that drew what cannot be scored.
    #[serde(default)]
    pub broken: Broken,
    /// Seconds of training so far.
    pub seconds: f64,
}

/// Distance, λ and bound of one layer, by slot; absent where the trial's method has none (see [`delora_core::Bank`]).
#[derive(Serialize, Deserialize)]
pub struct LayerReading {
    pub layer: String,
    pub values: Vec<[Option<f64>; 3]>,
}

impl driver::Record for Record {
    fn truncate(&mut self, steps: u64) {
        self.losses.truncate(steps as usize);
        self.telemetry.retain(|&step, _| step <= steps);
        self.scores.retain(|&step, _| step <= steps);
        self.broken.truncate(steps);
    }
}

/// How long a bank trains, and what is recorded on the way.
#[derive(Clone, Copy)]
pub struct Steps<'a> {
    pub train_steps: u64,
    /// Steps between two records of the distances.
    pub track_every: u64,
    pub evaluate_at: &'a [u64],
}

/// A bank and what is known of its training.
pub struct Training {
    pub bank: Bank,
    pub record: Record,
}

impl Training {
    /// Goes on from the checkpoint in `folder` where there is one.
    pub fn resume(mut bank: Bank, folder: &Path) -> Result<Training> {
        let record = driver::resume(&mut bank, folder)?;
        Ok(Training { bank, record })
    }

    /// Trains to the end of `plan`; `update` makes the step of a number and gives its losses, `[trials]`.
    ///
    /// `evaluate` is called with the step before each step of `evaluate_at` but the last; it notes slots that it cannot
    /// score. Returns [`Interrupted`] after
    /// a checkpoint when asked to stop.
    pub fn run(
        &mut self,
        plan: Steps,
        context: &BankContext,
        update: impl Fn(&mut Bank, u64) -> Result<Tensor>,
        mut evaluate: impl FnMut(&Bank, u64, &mut Broken) -> Result<Vec<BTreeMap<String, f64>>>,
    ) -> Result<()> {
        let mut unread = Vec::new();
        let (mut started, mut saved) = (Instant::now(), Instant::now());
        while self.bank.steps() < plan.train_steps {
            let step = self.bank.steps();
            if step.is_multiple_of(plan.track_every) {
                self.track(step);
            }
            if plan.evaluate_at.contains(&step) && !self.record.scores.contains_key(&step) {
                self.record.seconds += started.elapsed().as_secs_f64();
                let scores = evaluate(&self.bank, step, &mut self.record.broken)?;
                self.record.scores.insert(step, scores);
                started = Instant::now();
            }
            unread.push(update(&mut self.bank, step)?);
            let done = self.bank.steps();
            if done.is_multiple_of(10) {
                context.progress.step(done, plan.train_steps, "training");
            }
            let is_over = done == plan.train_steps;
            let is_due = saved.elapsed() >= context.checkpoint_every.max(Duration::from_millis(1));
            if is_over || is_due || context.stopped() {
                self.record.losses.extend(driver::read_losses(&mut unread)?);
                self.record.seconds += started.elapsed().as_secs_f64();
                if is_over {
                    self.track(done);
                }
                driver::save(&self.bank, &self.record, &context.checkpoint_dir)?;
                if context.stopped() {
                    return Err(Interrupted.into());
                }
                (started, saved) = (Instant::now(), Instant::now());
            }
        }
        Ok(())
    }

    fn track(&mut self, step: u64) {
        let readings = self.bank.telemetry().into_iter().map(|reading| LayerReading {
            values: (0..self.bank.num_trials())
                .map(|slot| [reading.distances[slot], reading.strengths[slot], reading.bounds[slot]])
                .collect(),
            layer: reading.site,
        });
        self.record.telemetry.insert(step, readings.collect());
    }
}

/// Contexts `[N, S, D]` of a step's rows: per trial those of the instance pictures, then those of the class pictures.
pub fn step_contexts(lessons: &[Lesson]) -> Tensor {
    let rows: Vec<Tensor> = lessons
        .iter()
        .flat_map(|lesson| {
            let batch = lesson.settings.batch;
            let class = lesson.class.iter().flat_map(move |(_, context)| std::iter::repeat_n(context, batch));
            std::iter::repeat_n(&lesson.subject_context, batch).chain(class)
        })
        .map(Tensor::shallow_clone)
        .collect();
    Tensor::cat(&rows, 0)
}

/// A DreamBooth step of all trials; `contexts` are those of [`step_contexts`], on the device. Gives the losses `[trials]`:
/// the error on the instance pictures, plus the prior's weight times that on the class pictures.
///
/// Each trial draws from its own stream of this step, whoever its neighbours are.
pub fn dreambooth_step(
    diffusion: &StableDiffusion,
    lessons: &[Lesson],
    contexts: &Tensor,
    bank: &mut Bank,
    step: u64,
) -> Tensor {
    let mut draws = Draws::default();
    for lesson in lessons {
        let mut stream = stream(lesson.settings.seed, &format!("training step {step}"));
        let sets = [Some(lesson.subject), lesson.class.as_ref().map(|(moments, _)| *moments)];
        for moments in sets.into_iter().flatten() {
            for _ in 0..lesson.settings.batch {
                let picture = stream.random_range(0..moments.count);
                draws.add(diffusion, moments, picture, &mut stream);
            }
        }
    }
    let settings = lessons[0].settings;
    let losses = |errors: Tensor| {
        let sets = errors.view([lessons.len() as i64, -1, settings.batch as i64]);
        let error = sets.mean_dim([2i64].as_slice(), false, Kind::Float); // [trials, 1 or 2]
        match settings.prior_preservation {
            Some(prior) => error.select(1, 0) + error.select(1, 1) * prior.weight,
            None => error.select(1, 0),
        }
    };
    let objective = Objective { control: &|_| None, losses: &losses, recompute: settings.checkpointing };
    let pass = draws.pass(diffusion, contexts, settings.precision.kind());
    let losses = pass.accumulate(bank, diffusion, &objective);
    bank.finish_step();
    losses
}
