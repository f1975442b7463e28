//! Drawing pictures, for all trials of a bank at once.

use anyhow::{Result, bail};
use delora_core::stream;
use models::Hook;
use models::diffusion::{Conditions, Sampling, StableDiffusion};
use rand_distr::{Distribution, StandardNormal};
use tch::{Kind, Tensor};

/// Pixels of latents per pass of the network, the unconditional twins not counted: bounds memory, changes no result. 64
/// rows of Stable Diffusion.
const PIXELS: i64 = 1 << 18;
const MOST_ROWS: i64 = 256;

/// On a CPU activations should stay in its cache: 32 rows of the mini model, two of Stable Diffusion.
const PIXELS_ON_CPU: i64 = 1 << 13;

/// The largest magnitude of a latent that the decoder's norms compute with; they make zeros of larger ones, and grey
/// pictures of those.
const LARGEST_LATENT: f64 = 1e12;

/// What one trial draws: a context `[1, S, D]` per prompt, and the seed of its noise.
pub struct Order {
    pub contexts: Vec<Tensor>,
    pub seed: u64,
}

/// How all trials draw.
#[derive(Clone, Copy)]
pub struct Plan {
    pub pictures_per_prompt: usize,
    pub sampling: Sampling,
    /// The kind that networks compute in; latents are in f32 from step to step.
    pub kind: Kind,
}

/// Pictures `[prompts * pictures_per_prompt, 3, H, W]` for each order, prompt by prompt, in [-1, 1]; NaN where latents are
/// no numbers, or too large to be decoded.
///
/// Every order has as many prompts. A trial's noise depends on its seed, the prompt and the picture alone, so trials
/// of one seed draw from the same noise, whatever their method. `report` is told of finished and all rounds.
pub fn draw(
    diffusion: &StableDiffusion,
    hook: &dyn Hook,
    orders: &[Order],
    plan: Plan,
    mut report: impl FnMut(u64, u64),
) -> Result<Vec<Tensor>> {
    let mut drawn: Vec<Vec<Tensor>> = orders.iter().map(|_| Vec::new()).collect();
    let visit = |round: Round| {
        drawn.iter_mut().zip(round.pictures).for_each(|(own, pictures)| own.push(pictures));
        report(round.done, round.all);
        Ok(())
    };
    draw_rounds(diffusion, hook, orders, plan, |_| Ok(None), visit)?;
    Ok(drawn.iter().map(|rounds| Tensor::cat(rounds, 0)).collect())
}

/// What one round has drawn.
pub struct Round<'a> {
    /// Prompt and picture, for every order.
    pub places: &'a [(usize, usize)],
    /// `[places, 3, H, W]` by order, in [-1, 1].
    pub pictures: Vec<Tensor>,
    /// Rounds finished, and all.
    pub done: u64,
    pub all: u64,
}

/// As [`draw`], handing over each round's pictures as they are drawn.
///
/// `control` gives what is added behind the denoiser's first layer for a round's places, `[orders * places, C, h, w]`,
/// order by order.
pub fn draw_rounds(
    diffusion: &StableDiffusion,
    hook: &dyn Hook,
    orders: &[Order],
    plan: Plan,
    control: impl Fn(&[(usize, usize)]) -> Result<Option<Tensor>>,
    mut visit: impl FnMut(Round) -> Result<()>,
) -> Result<()> {
    let prompts = orders[0].contexts.len();
    let unconditional = diffusion.captions.encode(&[""], plan.kind);
    let places: Vec<(usize, usize)> = (0..prompts)
        .flat_map(|prompt| (0..plan.pictures_per_prompt).map(move |picture| (prompt, picture)))
        .collect();
    let mut at_once = (rows_at_once(diffusion) / orders.len()).max(1);
    let draw = |places: &[(usize, usize)]| -> Result<Vec<Tensor>> {
        let rows = orders.iter().flat_map(|order| places.iter().map(move |place| (order, place)));
        let (mut noise, mut contexts) = (Vec::new(), Vec::new());
        for (order, &(prompt, picture)) in rows {
            noise.push(start(diffusion, order.seed, prompt, picture));
            contexts.push(order.contexts[prompt].shallow_clone());
        }
        let noise = Tensor::stack(&noise, 0).to_device(diffusion.device);
        let context = Tensor::cat(&contexts, 0).to_device(diffusion.device).to_kind(plan.kind);
        let control = control(places)?;
        let conditions =
            Conditions { context: &context, unconditional: &unconditional, control: control.as_ref() };
        let latents = diffusion.sample(&noise, conditions, plan.sampling, hook);
        let pictures = diffusion.decode(&latents.to_kind(plan.kind)).to_kind(Kind::Float).clamp(-1.0, 1.0);
        let pictures = pictures.where_scalarother(&are_decodable(&latents), f64::NAN);
        Ok(pictures.split(places.len() as i64, 0))
    };
    let (mut rest, mut done) = (places.as_slice(), 0);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(at_once.min(rest.len()));
        match out_of_memory::within(|| draw(now)) {
            Ok(pictures) => {
                (rest, done) = (later, done + 1);
                let all = done + later.len().div_ceil(at_once) as u64;
                visit(Round { places: now, pictures: pictures?, done, all })?;
            }
            // Fewer at once are the same pictures.
            Err(_) if now.len() > 1 => {
                at_once = now.len().div_ceil(2);
                device::give_back();
            }
            Err(problem) => {
                bail!("one picture of each of {} trials does not fit: {problem}", orders.len())
            }
        }
    }
    Ok(())
}

fn rows_at_once(diffusion: &StableDiffusion) -> usize {
    let [_, height, width] = diffusion.latent_shape();
    let pixels = if diffusion.device.is_cuda() { PIXELS } else { PIXELS_ON_CPU };
    (pixels / (height * width).max(1)).clamp(1, MOST_ROWS) as usize
}

/// Whether each of `latents` `[N, C, h, w]` is of numbers that the decoder computes with, `[N, 1, 1, 1]`.
fn are_decodable(latents: &Tensor) -> Tensor {
    latents.abs().amax([1, 2, 3], true).le(LARGEST_LATENT)
}

fn start(diffusion: &StableDiffusion, seed: u64, prompt: usize, picture: usize) -> Tensor {
    let shape = diffusion.latent_shape();
    let size: i64 = shape.iter().product();
    let stream = stream(seed, &format!("sampling prompt {prompt} picture {picture}"));
    let draws: Vec<f32> = StandardNormal.sample_iter(stream).take(size as usize).collect();
    Tensor::from_slice(&draws).view(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latents_that_the_decoder_would_make_grey_are_not_decodable() {
        for (value, expected) in
            [(1.0, true), (-50.0, true), (f32::NAN, false), (-f32::INFINITY, false), (1e20, false)]
        {
            let latents = Tensor::ones([2, 4, 3, 3], (Kind::Float, tch::Device::Cpu));
            let _ = latents.get(1).get(2).get(0).get(1).fill_(f64::from(value));
            let decodable = Vec::<bool>::try_from(are_decodable(&latents).flatten(0, -1)).unwrap();
            assert_eq!(decodable, [true, expected], "{value}");
        }
    }
}
