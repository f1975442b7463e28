//! What a trial will cost.

use finetune::{PassCost, trained_bytes};
use runner::Estimate;

use super::settings::{Settings, trial_of};
use super::subjects;
use super::world::World;
use crate::REAL_IMAGES;
use crate::estimate::{BYTES_PER_PARAMETER, PASSES_PER_STEP, measure_rows};

/// Rows that one trial adds to a step.
fn rows_per_trial(settings: &Settings) -> usize {
    settings.common.batch.saturating_mul(if settings.prior_preservation.is_some() { 2 } else { 1 })
}

/// Measures forward passes over a full bank's rows, activations kept as in training.
pub fn measure(world: &World, settings: &Settings) -> PassCost {
    measure_rows(
        &world.diffusion,
        settings.common.bank.most().saturating_mul(rows_per_trial(settings)),
        settings.common.precision.kind(),
    )
}

/// Cost of one trial.
pub fn estimate(world: &World, cost: PassCost, settings: &Settings) -> Estimate {
    let trained_bytes = trained_bytes(&world.sites(), &trial_of(settings), BYTES_PER_PARAMETER);
    let rows = rows_per_trial(settings);
    let passes =
        if settings.trains() { settings.train_steps as f64 * PASSES_PER_STEP * rows as f64 } else { 0.0 };
    let pictures = subjects::prompts(settings, "").len() as f64 * settings.pictures_per_prompt as f64;
    let on_the_way = settings.common.evaluate_at.iter().filter(|step| **step < settings.train_steps).count();
    let times = if settings.trains() { 1 + on_the_way } else { 1 };
    let drawing = times as f64 * pictures * settings.sampling.steps as f64 * 2.0;
    let is_drawn = f64::from(u8::from(settings.common.method.name != REAL_IMAGES));
    let frozen_bytes = (world.diffusion.unet.bytes() + world.diffusion.vae.bytes()) as u64;
    cost.estimate((passes + drawing) * is_drawn, rows as f64, trained_bytes, frozen_bytes)
}
