//! One step's rows of all trials, and the denoiser's gradients on them.

use delora_core::Bank;
use finetune::BankHook;
use models::Hook;
use models::diffusion::StableDiffusion;
use models::unet::{State, Step};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use tch::{Kind, Tensor};

use crate::moments::Moments;

/// Rows as they are drawn, trial by trial.
#[derive(Default)]
pub struct Draws {
    latents: Vec<f32>,
    noise: Vec<f32>,
    timesteps: Vec<i64>,
}

impl Draws {
    /// Appends a row: the picture's latents, noise for them, and a timestep, from `stream` in this order.
    pub fn add(
        &mut self,
        diffusion: &StableDiffusion,
        moments: &Moments,
        picture: usize,
        stream: &mut impl Rng,
    ) {
        let before = self.latents.len();
        moments.draw(picture, stream, &mut self.latents);
        let size = self.latents.len() - before;
        let draws = StandardNormal.sample_iter(&mut *stream);
        self.noise.extend(draws.take(size).map(|draw: f32| draw));
        let steps = diffusion.schedule.alphas_cumprod().len() as i64;
        self.timesteps.push(stream.random_range(0..steps));
    }

    /// The rows on the device, under `contexts` `[N, S, D]`; the network is to compute in `kind`.
    pub fn pass(&self, diffusion: &StableDiffusion, contexts: &Tensor, kind: Kind) -> Pass {
        let [channels, height, width] = diffusion.latent_shape();
        let rows = self.timesteps.len() as i64;
        // One upload: each row's latents, its noise, its timestep (below 2^24, so exact) and ᾱ there.
        let alphas = diffusion.schedule.alphas_cumprod();
        let size = self.latents.len() / self.timesteps.len();
        let row = |(index, &timestep): (usize, &i64)| {
            let part = index * size..(index + 1) * size;
            let ends = [timestep as f32, alphas[timestep as usize] as f32];
            self.latents[part.clone()]
                .iter()
                .chain(&self.noise[part])
                .copied()
                .chain(ends)
                .collect::<Vec<f32>>()
        };
        let drawn: Vec<f32> = self.timesteps.iter().enumerate().flat_map(row).collect();
        let drawn = Tensor::from_slice(&drawn).view([rows, -1]).to_device(diffusion.device);
        let size = size as i64;
        let picture = |first: i64| drawn.narrow(1, first, size).reshape([rows, channels, height, width]);
        let (latents, noise) = (picture(0), picture(size));
        let timesteps = drawn.select(1, 2 * size).to_kind(Kind::Int64);
        let alphas = drawn.select(1, 2 * size + 1);
        let noisy = models::scheduler::noised(&latents, &noise, &alphas).to_kind(kind);
        let target = diffusion.schedule.target(&latents, &noise, &alphas);
        Pass { noisy, target, timesteps, contexts: contexts.to_kind(kind) }
    }
}

/// `N` rows, trial-major.
pub struct Pass {
    noisy: Tensor,
    /// What the network is to predict.
    target: Tensor,
    timesteps: Tensor,
    contexts: Tensor,
}

/// How a pass becomes losses.
pub struct Objective<'a> {
    /// What is added behind the denoiser's first layer, `[N, C, h, w]`.
    pub control: &'a dyn Fn(&Bank) -> Option<Tensor>,
    /// Losses `[trials]` of the rows' errors `[N]`.
    pub losses: &'a dyn Fn(Tensor) -> Tensor,
    /// Keeps only what goes into each block of the network, and computes the blocks again on the way back.
    pub recompute: bool,
}

impl Pass {
    /// Mean squared error `[N]` of what is predicted.
    fn errors(&self, predicted: Tensor) -> Tensor {
        let error = (predicted.to_kind(Kind::Float) - &self.target).square();
        error.mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float)
    }

    /// Adds the gradients of the pass to the bank's. Gives the losses `[trials]`.
    pub fn accumulate(&self, bank: &mut Bank, diffusion: &StableDiffusion, objective: &Objective) -> Tensor {
        if objective.recompute {
            return self.accumulate_recomputed(bank, diffusion, objective);
        }
        let control = (objective.control)(bank);
        let hook = BankHook::new(bank);
        let unet = &diffusion.unet.network;
        let predicted =
            unet.forward_controlled(&self.noisy, &self.timesteps, &self.contexts, control.as_ref(), &hook);
        let losses = (objective.losses)(self.errors(predicted));
        bank.accumulate(&losses);
        losses.detach()
    }

    fn accumulate_recomputed(
        &self,
        bank: &mut Bank,
        diffusion: &StableDiffusion,
        objective: &Objective,
    ) -> Tensor {
        let unet = &diffusion.unet.network;
        let last = unet.num_pieces();
        // The first piece is the way in; the last ends in the losses.
        let piece = |bank: &Bank, index: usize, inputs: &[Tensor]| {
            let hook = BankHook::new(bank);
            let step = Step { context: &self.contexts, hook: &hook as &dyn Hook };
            if index == 0 {
                let control = (objective.control)(bank);
                return unet.enter(&inputs[0], &self.timesteps, control.as_ref(), step).into_tensors();
            }
            let state = unet.piece(index - 1, State::from_tensors(inputs), step);
            match index == last {
                true => vec![(objective.losses)(self.errors(state.into_values()))],
                false => state.into_tensors(),
            }
        };
        let mut inputs = vec![vec![self.noisy.shallow_clone()]];
        gradient_mode::off(|| {
            for index in 0..last {
                inputs.push(piece(bank, index, &inputs[index]));
            }
        });
        bank.accumulate_recomputed(&inputs, piece)
    }
}
