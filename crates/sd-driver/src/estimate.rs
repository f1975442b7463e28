//! What a trial will cost, from one measured pass of the network.

use std::time::Instant;

use models::Frozen;
use runner::Estimate;
use tch::{Kind, Tensor};

use crate::settings::Settings;
use crate::subject;
use crate::world::World;

/// A training step costs about three forward passes; adapters are small beside the network.
const PASSES_PER_STEP: f64 = 3.0;

/// Measures one forward pass over a full bank's rows, its activations kept as in training.
pub fn estimate(world: &World, settings: &Settings) -> Estimate {
    let branches = if settings.prior_preservation.is_some() { 2 } else { 1 };
    let rows = settings.bank * settings.batch * branches;
    let kind = settings.precision.kind();
    let diffusion = &world.diffusion;
    let [channels, height, width] = diffusion.latent_shape();
    let latents =
        Tensor::randn([rows as i64, channels, height, width], (kind, world.device)).set_requires_grad(true);
    let timesteps = Tensor::full([rows as i64], 500, (Kind::Int64, world.device));
    let context = diffusion.captions.encode(&vec![""; rows], kind);
    let before = resident_bytes();
    let started = Instant::now();
    let output = diffusion.unet.network.forward(&latents, &timesteps, &context, &Frozen);
    let checksum = f64::try_from(output.sum(Kind::Double)); // waits for the device
    let seconds_per_row = started.elapsed().as_secs_f64() / rows as f64;
    let activations = resident_bytes().saturating_sub(before) / settings.bank as u64;
    drop((output, checksum));
    let passes = if settings.trains() {
        settings.train_steps as f64 * PASSES_PER_STEP * (settings.batch * branches) as f64
    } else {
        0.0
    };
    let pictures = subject::prompts(settings, "").len() * settings.pictures_per_prompt;
    let drawing = (pictures * settings.sampling.steps * 2) as f64;
    let is_drawn = f64::from(u8::from(settings.method.name != crate::settings::REAL_IMAGES));
    Estimate { seconds: seconds_per_row * (passes + drawing) * is_drawn, memory_bytes: activations }
}

/// Memory of this process, from the kernel; 0 where it does not say.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}
