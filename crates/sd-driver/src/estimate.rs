//! What a trial will cost, from one measured pass of the network.

use finetune::{fastest_of_three, resident_bytes, trained_bytes};
use models::Frozen;
use models::diffusion::StableDiffusion;
use runner::Estimate;
use tch::{Kind, Tensor};

use crate::settings::{Settings, trial_of};
use crate::subject;
use crate::world::World;

/// A training step costs about three forward passes.
pub const PASSES_PER_STEP: f64 = 3.0;

/// The most rows that are measured at once: larger banks cost as much per row.
const MOST_ROWS: usize = 64;

/// What one row of the network costs in a full bank.
#[derive(Clone, Copy)]
pub struct RowCost {
    pub seconds: f64,
    pub memory_bytes: u64,
}

/// Rows that one trial adds to a step.
fn rows_per_trial(settings: &Settings) -> usize {
    settings.common.batch.saturating_mul(if settings.prior_preservation.is_some() { 2 } else { 1 })
}

/// Measures forward passes over a full bank's rows, activations kept as in training.
pub fn measure(world: &World, settings: &Settings) -> RowCost {
    measure_rows(
        &world.diffusion,
        settings.common.bank.saturating_mul(rows_per_trial(settings)),
        settings.common.precision.kind(),
    )
}

/// As [`measure`], for a number of rows, of which [`MOST_ROWS`] are taken.
pub fn measure_rows(diffusion: &StableDiffusion, rows: usize, kind: Kind) -> RowCost {
    let rows = rows.clamp(1, MOST_ROWS);
    let [channels, height, width] = diffusion.latent_shape();
    let options = (kind, diffusion.device);
    let latents = Tensor::randn([rows as i64, channels, height, width], options).set_requires_grad(true);
    let timesteps = Tensor::full([rows as i64], 500, (Kind::Int64, diffusion.device));
    let context = diffusion.captions.encode(&vec![""; rows], kind);
    let pass = || {
        let output = diffusion.unet.network.forward(&latents, &timesteps, &context, &Frozen);
        let _ = f64::try_from(output.sum(Kind::Double)); // waits for the device
        output
    };
    // The first pass takes the memory.
    let before = resident_bytes();
    let output = pass();
    let activations = resident_bytes().unwrap_or(0).saturating_sub(before.unwrap_or(0));
    drop(output);
    let fastest = fastest_of_three(|| drop(pass()));
    RowCost { seconds: fastest / rows as f64, memory_bytes: activations / rows as u64 }
}

/// Bytes of a trained f32 parameter: itself, its gradient, and AdamW's two moments.
pub const BYTES_PER_PARAMETER: u64 = 16;

/// Cost of one trial.
pub fn estimate(world: &World, cost: RowCost, settings: &Settings) -> Estimate {
    let trained_bytes = trained_bytes(&world.sites(), &trial_of(settings), BYTES_PER_PARAMETER);
    let rows = rows_per_trial(settings);
    let passes =
        if settings.trains() { settings.train_steps as f64 * PASSES_PER_STEP * rows as f64 } else { 0.0 };
    let pictures = subject::prompts(settings, "").len() as f64 * settings.pictures_per_prompt as f64;
    let on_the_way = settings.common.evaluate_at.iter().filter(|step| **step < settings.train_steps).count();
    let times = if settings.trains() { 1 + on_the_way } else { 1 };
    let drawing = times as f64 * pictures * settings.sampling.steps as f64 * 2.0;
    let is_drawn = f64::from(u8::from(settings.common.method.name != crate::settings::REAL_IMAGES));
    Estimate {
        seconds: cost.seconds * (passes + drawing) * is_drawn,
        memory_bytes: cost.memory_bytes.saturating_mul(rows as u64).saturating_add(trained_bytes),
        trained_bytes,
        frozen_bytes: (world.diffusion.unet.bytes() + world.diffusion.vae.bytes()) as u64,
    }
}
