//! Stable Diffusion's parts put together: a checkpoint folder, captions to contexts, and guided sampling.

use std::path::Path;

use tch::{Device, Kind, Tensor, nn};

use crate::checkpoint::{Checkpoint, CheckpointConfigs, DiffusionError};
use crate::clip::{Clip, ClipConfig, ClipText, ClipTextConfig, ClipVision};
use crate::layers::Hook;
use crate::loaded::{Loaded, filled, load_with_config};
use crate::scheduler::{Ddim, DpmSolverPlusPlus, FinalStep, NoiseSchedule, Pndm, Sampler};
use crate::text::CaptionTokenizer;
use crate::unet::{UNet2DCondition, UNetConfig};
use crate::vae::{AutoencoderKl, VaeConfig};
use crate::vit::{Vit, VitConfig};
use crate::weights::{WeightsError, naming};

/// Pixels that the VAE takes at once, four pictures of 512 × 512: its widest activations are 256 floats a pixel. Each
/// picture is computed by itself, so this changes no result.
const VAE_PIXELS: i64 = 1 << 20;

/// `unet/` of a checkpoint.
pub fn load_unet(checkpoint: &Path, device: Device) -> Result<Loaded<UNet2DCondition>, WeightsError> {
    let checkpoint = Checkpoint::at(checkpoint);
    let config: UNetConfig = checkpoint.read(&checkpoint.config_file("unet"))?;
    let build = |path: &nn::Path| Ok(UNet2DCondition::new(path, &config));
    filled(&checkpoint.unet(&config)?, &naming::PLAIN, Kind::Float, device, build)
}

/// `vae/` of a checkpoint.
pub fn load_vae(checkpoint: &Path, device: Device) -> Result<Loaded<AutoencoderKl>, WeightsError> {
    let checkpoint = Checkpoint::at(checkpoint);
    let config: VaeConfig = checkpoint.read(&checkpoint.config_file("vae"))?;
    let build = |path: &nn::Path| Ok(AutoencoderKl::new(path, &config));
    filled(&checkpoint.vae(&config)?, &naming::VAE, Kind::Float, device, build)
}

/// A ViT's folder, such as DINO's: in transformers' layout, or with facebookresearch's weights beside such a
/// `config.json`.
pub fn load_vit(folder: &Path, device: Device) -> Result<Loaded<Vit>, WeightsError> {
    load_with_config(folder, &naming::VIT, device, |path, config: &VitConfig| Vit::new(path, config))
}

/// A CLIP model's folder: both towers.
pub fn load_clip(folder: &Path, device: Device) -> Result<Loaded<Clip>, WeightsError> {
    load_with_config(folder, &naming::PLAIN, device, |path, config: &ClipConfig| Clip::new(path, config))
}

/// The vision tower, with its projection, of a CLIP model's folder.
pub fn load_clip_vision(folder: &Path, device: Device) -> Result<Loaded<ClipVision>, WeightsError> {
    load_with_config(folder, &naming::CLIP_VISION, device, |path, config: &ClipConfig| {
        ClipVision::new(path, &config.vision_config, config.projection_dim)
    })
}

/// `tokenizer/` and `text_encoder/` of a checkpoint.
#[derive(Debug)]
pub struct CaptionEncoder {
    pub tokenizer: CaptionTokenizer,
    tower: Loaded<ClipText>,
    device: Device,
}

impl CaptionEncoder {
    pub fn load(checkpoint: &Path, device: Device) -> Result<CaptionEncoder, DiffusionError> {
        let checkpoint = Checkpoint::at(checkpoint);
        let config: ClipTextConfig = checkpoint.read(&checkpoint.config_file("text_encoder"))?;
        let build = |path: &nn::Path| Ok::<_, WeightsError>(ClipText::new(path, &config));
        let weights = checkpoint.text_encoder(&config)?;
        let tower = filled(&weights, &naming::CLIP_TEXT, Kind::Float, device, build)?;
        let tokenizer = CaptionTokenizer::open(&checkpoint.tokenizer(), &config)?;
        Ok(CaptionEncoder { tokenizer, tower, device })
    }

    /// Hidden states `[N, S, D]` of `captions`, in `kind`.
    pub fn encode<T: AsRef<str>>(&self, captions: &[T], kind: Kind) -> Tensor {
        self.encode_ids(&self.tokenizer.encode_batch(captions), kind)
    }

    /// Hidden states `[N, S, D]` of the token ids `[N, S]` of captions, in `kind`.
    pub fn encode_ids(&self, ids: &Tensor, kind: Kind) -> Tensor {
        let ids = ids.to_device(self.device);
        gradient_mode::off(|| self.tower.network.forward(&ids, kind))
    }

    /// Width D of the hidden states.
    pub fn features(&self) -> i64 {
        self.tower.network.config().hidden_size
    }
}

/// How pictures are sampled.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    pub steps: usize,
    pub guidance_scale: f64,
    #[serde(default)]
    pub sampler: SamplerName,
}

impl Sampling {
    /// Says which setting the process of `schedule` cannot be sampled with, and why.
    ///
    /// A sampler's timesteps have to be the network's, and each smaller than the one before. At a scale of 1 guidance is off;
    /// below, diffusers does not guide, and the formula would lead away from the caption.
    pub fn check(&self, schedule: &NoiseSchedule) -> Result<(), (&'static str, String)> {
        let num_train_timesteps = schedule.alphas_cumprod().len();
        let Sampling { steps, guidance_scale: scale, sampler } = *self;
        if !scale.is_finite() || scale < 1.0 {
            let message = format!(
                "found {scale}; it has to be a finite number of at least 1, at which guidance is off"
            );
            return Err(("guidance_scale", message));
        }
        if !(1..=num_train_timesteps).contains(&steps) {
            let right =
                format!("the model's schedule has {num_train_timesteps} timesteps, which is the most");
            return Err(("steps", format!("found {steps}; it has to be at least 1, and {right}")));
        }
        if sampler == SamplerName::Pndm && schedule.ends_in_noise() {
            let message = "found pndm, which divides by what is left of the picture, and at this model's last timestep nothing is: take ddim or dpm_solver";
            return Err(("sampler", message.to_owned()));
        }
        let (name, timesteps, end) = match sampler {
            SamplerName::Ddim => ("DDIM", Ddim::timesteps(schedule, steps), None),
            // It asks at the second of them twice.
            SamplerName::Pndm => ("PNDM", Ddim::timesteps(schedule, steps), None),
            // It ends at timestep 0, which therefore is no step's.
            SamplerName::DpmSolver => {
                ("DPM-Solver++", DpmSolverPlusPlus::timesteps(schedule, steps), Some(0))
            }
        };
        let last = num_train_timesteps - 1;
        if let Some(beyond) = timesteps.iter().find(|timestep| **timestep > last) {
            let right = format!("{name} would ask the model at timestep {beyond}, and its last is {last}");
            return Err(("steps", format!("found {steps}; {right}: take fewer")));
        }
        match timesteps.iter().copied().chain(end).is_sorted_by(|one, next| one > next) {
            true => Ok(()),
            false => Err(("steps", format!("found {steps}; {name}'s timesteps would not fall: take fewer"))),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SamplerName {
    /// DPM-Solver++(2M), ending at timestep 0.
    #[default]
    DpmSolver,
    /// DDIM with η = 0.
    Ddim,
    /// PNDM without Runge-Kutta steps, the pipeline's own; it asks the network once more than it has steps.
    Pndm,
}

/// What rows are sampled under.
#[derive(Debug, Clone, Copy)]
pub struct Conditions<'a> {
    /// `[N, S, D]`
    pub context: &'a Tensor,
    /// What guidance leads away from, `[1, S, D]`.
    pub unconditional: &'a Tensor,
    /// Added behind the denoiser's first layer, `[N, C, h, w]`; the unconditional branch gets it too.
    pub control: Option<&'a Tensor>,
}

/// A frozen text-to-image model.
#[derive(Debug)]
pub struct StableDiffusion {
    pub unet: Loaded<UNet2DCondition>,
    pub vae: Loaded<AutoencoderKl>,
    pub captions: CaptionEncoder,
    pub schedule: NoiseSchedule,
    pub device: Device,
}

impl StableDiffusion {
    /// Loads a checkpoint in Stable Diffusion's layout: a folder with `unet/`, `vae/`, `text_encoder/`, `tokenizer/` and
    /// `scheduler/`, or a single file in the original naming in such a folder, of which it takes the weights.
    pub fn load(checkpoint: &Path, device: Device) -> Result<StableDiffusion, DiffusionError> {
        let CheckpointConfigs { schedule, .. } = CheckpointConfigs::read(checkpoint)?;
        Ok(StableDiffusion {
            unet: load_unet(checkpoint, device)?,
            vae: load_vae(checkpoint, device)?,
            captions: CaptionEncoder::load(checkpoint, device)?,
            schedule: NoiseSchedule::new(&schedule),
            device,
        })
    }

    /// Shape `[channels, height, width]` of one latent.
    pub fn latent_shape(&self) -> [i64; 3] {
        let config = self.unet.network.config();
        [config.in_channels, config.sample_size, config.sample_size]
    }

    /// Samples latents from `noise` `[N, C, h, w]`. The denoiser computes in the kind of the context, guidance and sampler in
    /// that of the noise. The rows keep their order and do not see one another.
    pub fn sample(
        &self,
        noise: &Tensor,
        conditions: Conditions,
        sampling: Sampling,
        hook: &dyn Hook,
    ) -> Tensor {
        let mut sampler: Box<dyn Sampler> = match sampling.sampler {
            SamplerName::DpmSolver => {
                Box::new(DpmSolverPlusPlus::new(&self.schedule, sampling.steps, FinalStep::SigmaMin))
            }
            SamplerName::Ddim => Box::new(Ddim::new(&self.schedule, sampling.steps)),
            SamplerName::Pndm => Box::new(Pndm::new(&self.schedule, sampling.steps)),
        };
        let Conditions { context, unconditional, control } = conditions;
        let (rows, length, features) = context.size3().expect("contexts are [N, S, D]");
        // Each row beside its unconditional twin, so that rows of one trial stay together.
        let both = Tensor::stack(&[unconditional.expand_as(context), context.shallow_clone()], 1);
        let both = both.view([2 * rows, length, features]);
        let control = control.map(|control| control.repeat_interleave_self_int(2, 0, 2 * rows));
        let mut sample = noise.shallow_clone();
        gradient_mode::off(|| {
            for (index, timestep) in sampler.timesteps().to_vec().into_iter().enumerate() {
                let timesteps = Tensor::full([2 * rows], timestep as i64, (Kind::Int64, self.device));
                let twins = sample.to_kind(context.kind()).repeat_interleave_self_int(2, 0, 2 * rows);
                let unet = &self.unet.network;
                let predicted = unet.forward_controlled(&twins, &timesteps, &both, control.as_ref(), hook);
                let mut shape = sample.size();
                shape.insert(1, 2);
                let predicted = predicted.to_kind(noise.kind()).contiguous().view(shape.as_slice());
                let (away, towards) = (predicted.select(1, 0), predicted.select(1, 1));
                let guided = &away + (towards - &away) * sampling.guidance_scale;
                sample = sampler.step(index, &sample, &guided);
            }
        });
        sample
    }

    /// Pictures `[N, 3, H, W]`, about in [-1, 1], of scaled `latents`.
    pub fn decode(&self, latents: &Tensor) -> Tensor {
        let vae = &self.vae.network;
        let latents = latents / vae.config().scaling_factor;
        let scaling = 1 << (vae.config().block_out_channels.len() - 1);
        gradient_mode::off(|| {
            let parts: Vec<_> = slices(&latents, scaling).iter().map(|part| vae.decode(part)).collect();
            Tensor::cat(&parts, 0)
        })
    }

    /// Mean and standard deviation `[N, C, h, w]` of the scaled latents of `pictures` `[N, 3, H, W]`.
    pub fn encode(&self, pictures: &Tensor) -> (Tensor, Tensor) {
        let vae = &self.vae.network;
        let (means, log_variances): (Vec<_>, Vec<_>) =
            gradient_mode::off(|| slices(pictures, 1).iter().map(|part| vae.encode(part)).unzip());
        let (mean, log_variance) = (Tensor::cat(&means, 0), Tensor::cat(&log_variances, 0));
        let scale = vae.config().scaling_factor;
        (mean * scale, (log_variance * 0.5).exp() * scale)
    }
}

/// Rows of `input` `[N, C, h, w]` that the VAE takes at once, where a picture's sides are `scaling` times h and w.
fn slices(input: &Tensor, scaling: i64) -> Vec<Tensor> {
    let (_, _, height, width) = input.size4().expect("pictures and latents are [N, C, H, W]");
    let pixels = (height * width * scaling * scaling).max(1);
    input.split((VAE_PIXELS / pixels).max(1), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vae_takes_a_few_large_pictures_or_many_small_ones_at_once() {
        let rows = |shape: [i64; 4], scaling| -> Vec<i64> {
            let input = Tensor::zeros(shape, (Kind::Float, Device::Cpu));
            slices(&input, scaling).iter().map(|part| part.size()[0]).collect()
        };
        assert_eq!(rows([10, 4, 64, 64], 8), [4, 4, 2]);
        assert_eq!(rows([300, 3, 64, 64], 1), [256, 44]);
        assert_eq!(rows([2, 1, 2048, 2048], 1), [1, 1]);
        assert_eq!(rows([0, 3, 64, 64], 1), [0]);
    }
}
