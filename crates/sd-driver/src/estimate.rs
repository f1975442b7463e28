//! What a row of the denoiser costs, from one measured pass.

use finetune::{PassCost, fastest_of_three, resident_bytes};
use models::Frozen;
use models::diffusion::StableDiffusion;
use tch::{Kind, Tensor};

/// A training step costs about three forward passes.
pub const PASSES_PER_STEP: f64 = 3.0;

/// The most rows that are measured at once: larger banks cost as much per row.
const MOST_ROWS: usize = 64;

/// Measures forward passes over `rows` rows, of which [`MOST_ROWS`] are taken, or as many as fit. On a CPU activations are kept
/// as in training; a device says in a rehearsal what they take.
pub fn measure_rows(diffusion: &StableDiffusion, rows: usize, kind: Kind) -> PassCost {
    let mut rows = rows.clamp(1, MOST_ROWS);
    let keeps = device::memory(diffusion.device).is_none();
    loop {
        match out_of_memory::within(|| measure(diffusion, rows, kind, keeps)) {
            Ok(cost) => return cost,
            // A row of fewer costs about as much.
            Err(_) if rows > 1 => rows /= 2,
            Err(problem) => panic!("{problem}"),
        }
        device::give_back();
    }
}

fn measure(diffusion: &StableDiffusion, rows: usize, kind: Kind, keeps: bool) -> PassCost {
    let [channels, height, width] = diffusion.latent_shape();
    let options = (kind, diffusion.device);
    let latents = Tensor::randn([rows as i64, channels, height, width], options).set_requires_grad(keeps);
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
    PassCost { seconds: fastest / rows as f64, memory_bytes: activations / rows as u64 }
}

/// Bytes of a trained f32 parameter: itself, its gradient, and AdamW's two moments.
pub const BYTES_PER_PARAMETER: u64 = 16;
