//! The condition encoder of semantic map to image, which learns, as ControlNet's does, beside a copy of the denoiser: what
//! it adds behind the first layer has to be something that the layers behind it can make use of.
//!
//! The copy trains the layers that the task adapts, attention's four and the feed-forward input, and is thrown away.
//! Where things are is settled while there is more noise than picture, so errors count as those of the clean picture
//! do.

use std::collections::HashMap;

use anyhow::{Context, Result};
use models::control::{ConditionEncoder, ConditionEncoderConfig};
use models::diffusion::{CaptionEncoder, load_vae};
use models::palette::colored;
use models::scheduler::{NoiseSchedule, ScheduleConfig};
use models::unet::{UNet2DCondition, UNetConfig};
use models::{Frozen, find_weights, read_config};
use rand::RngExt;
use rayon::prelude::*;
use tch::{Kind, Tensor, nn};

use super::data::batch_stream;
use super::shipping::{Options, ship_tensors};
use super::trainer::{Replicas, Schedule, Trainer, device, named, replicas};
use super::unet::latent_moments;
use crate::scene::Rendered;
use crate::{SIZE, pairs};

const SCHEDULE: Schedule =
    Schedule { steps: 1500, learning_rate: 1e-3, warmup_steps: 50, weight_decay: 0.01, ema: 0.98 };
const BATCH: usize = 32;
const SCENES: usize = 4_000;
const CAPTION_DROPOUT: f64 = 0.1;
/// Most that a squared error of the noise counts.
const MOST: f64 = 50.0;
const WIDTHS: [i64; 3] = [16, 32, 64];
/// Where both lie in the store; the first is diffusers' name.
const ENCODER: &str = "controlnet_cond_embedding";
const COPY: &str = "unet";
/// Maps over which a fresh encoder's layers are standardized.
const STANDARDIZED_OVER: usize = 64;

/// The encoder in front of a copy of the denoiser.
struct Controlled {
    encoder: ConditionEncoder,
    parameters: Vec<Tensor>,
    unet: UNet2DCondition,
}

pub fn run(options: &Options) -> Result<()> {
    let unet_config: UNetConfig = read_config(&options.diffusion().join("unet/config.json"))?;
    let config = ConditionEncoderConfig::of_pictures(&WIDTHS, &unet_config.block_out_channels);
    let seed = options.seed.wrapping_add(6);
    let (first, _) = scenes(seed, STANDARDIZED_OVER);
    let fresh = fresh(&ConditionEncoder::new(&config)?, &label_maps(&first), seed);
    let build = |path: &nn::Path| {
        let encoder = ConditionEncoder::new(&config).expect("it was built before");
        let parameters = variables(&encoder, path, &fresh);
        Controlled { encoder, parameters, unet: UNet2DCondition::new(&(path / COPY), &unet_config) }
    };
    let store = nn::VarStore::new(device());
    build(&store.root());
    copy_denoiser(&store, options)?;
    let schedule = Schedule { steps: options.steps.unwrap_or(SCHEDULE.steps), ..SCHEDULE };
    let mut trainer = Trainer::new(&store, schedule, &options.work.join("condition"))?;
    if !trainer.is_done() {
        let lessons = Lessons::build(options, seed)?;
        let mut replicas = Replicas::new(&store, replicas(), build);
        while !trainer.is_done() {
            let inputs = lessons.batch(&mut batch_stream(seed, trainer.step()));
            let (loss, gradients) = replicas.gradients_of_rows(inputs, weighted_error);
            trainer.descend(&loss, &gradients, BATCH)?;
        }
    }
    trainer.use_average();
    let mut encoder = named(&store);
    encoder.retain(|(name, _)| name.starts_with(ENCODER));
    let folder = options.out.join("condition");
    ship_tensors(&encoder, &config, "ControlNetModel", &folder, "diffusion_pytorch_model.safetensors")
}

/// Fresh parameters of the encoder, standardized over `maps` `[N, SIZE, SIZE]`.
fn fresh(encoder: &ConditionEncoder, maps: &Tensor, seed: u64) -> Vec<Tensor> {
    let mut streams = 0..;
    let fresh = encoder.initial(|_| batch_stream(seed ^ 1, streams.next().expect("endless")));
    encoder.standardized(fresh, &colored(maps, Kind::Float))
}

/// The encoder's parameters as variables under diffusers' names.
fn variables(encoder: &ConditionEncoder, path: &nn::Path, values: &[Tensor]) -> Vec<Tensor> {
    let names = encoder.parameters().into_iter().map(|parameter| parameter.name);
    let variable = |(name, value): (String, &Tensor)| {
        let (layers, name) = name.rsplit_once('.').expect("a layer and what of it");
        let layer = layers.split('.').fold(path / ENCODER, |path, part| path / part);
        layer.var_copy(name, value)
    };
    names.zip(values).map(variable).collect()
}

/// Gives the copy the shipped denoiser's weights, and leaves to training what the task adapts.
fn copy_denoiser(store: &nn::VarStore, options: &Options) -> Result<()> {
    let file = find_weights(&options.diffusion().join("unet"))?;
    let stored = Tensor::read_safetensors(&file);
    let stored: HashMap<String, Tensor> =
        stored.with_context(|| format!("{}: cannot be read", file.display()))?.into_iter().collect();
    for (name, mut value) in named(store) {
        let Some(name) = name.strip_prefix(COPY).and_then(|name| name.strip_prefix('.')) else { continue };
        let stored = stored.get(name).with_context(|| format!("{}: `{name}` is missing", file.display()))?;
        gradient_mode::off(|| value.copy_(stored));
        let adapted = [".to_q.", ".to_k.", ".to_v.", ".to_out.", ".ff.net.0."];
        let _ = value.requires_grad_(adapted.iter().any(|part| name.contains(part)));
    }
    Ok(())
}

/// The first `count` pictures with their maps, and their captions.
fn scenes(seed: u64, count: usize) -> (Vec<Rendered>, Vec<String>) {
    let mut seeds = batch_stream(seed, u64::MAX);
    let seeds: Vec<u64> = (0..count).map(|_| seeds.random()).collect();
    let pairs = seeds.par_iter().map(|&seed| pairs::pair(false, seed));
    pairs.map(|(scene, text)| (scene.render(), text)).unzip()
}

/// `[N, SIZE, SIZE]`
fn label_maps(rendered: &[Rendered]) -> Tensor {
    let labels: Vec<u8> = rendered.iter().flat_map(|rendered| rendered.mask.iter().copied()).collect();
    Tensor::from_slice(&labels).view([-1, SIZE as i64, SIZE as i64])
}

/// Pairs to learn from, and what makes batches of them.
struct Lessons {
    /// `[scenes, 2 * latent_channels, h, w]`
    moments: Tensor,
    /// `[scenes, SIZE, SIZE]`
    maps: Tensor,
    texts: Vec<String>,
    captions: CaptionEncoder,
    schedule: NoiseSchedule,
    kind: Kind,
}

impl Lessons {
    fn build(options: &Options, seed: u64) -> Result<Lessons> {
        let vae = load_vae(&options.diffusion(), device())?.network;
        let (rendered, texts) = scenes(seed, SCENES);
        let moments = rendered.chunks(250).map(|part| {
            let rgb = part.iter().flat_map(|rendered| rendered.rgb.iter().copied()).collect();
            latent_moments(&vae, rgb, options.kind())
        });
        let moments = Tensor::cat(&moments.collect::<Vec<_>>(), 0);
        let maps = label_maps(&rendered);
        let captions = CaptionEncoder::load(&options.diffusion(), device())?;
        let schedule = NoiseSchedule::new(&ScheduleConfig::default());
        Ok(Lessons { moments, maps, texts, captions, schedule, kind: options.kind() })
    }

    /// Noisy latents, timesteps, contexts, noise, weights of the rows' errors, and coloured maps.
    fn batch(&self, stream: &mut impl rand::Rng) -> [Tensor; 6] {
        let mut rows = Vec::new();
        let mut texts = Vec::new();
        for _ in 0..BATCH {
            let row = stream.random_range(0..self.texts.len());
            rows.push(row as i64);
            texts.push(if stream.random_bool(CAPTION_DROPOUT) { "" } else { self.texts[row].as_str() });
        }
        let rows = Tensor::from_slice(&rows);
        let maps = self.maps.index_select(0, &rows).to_device(device());
        let rows = rows.to_device(self.moments.device());
        let moments = self.moments.index_select(0, &rows).to_kind(Kind::Float).chunk(2, 1);
        let latents = &moments[0] + &moments[1] * moments[1].randn_like();
        let noise = latents.randn_like();
        let last = self.schedule.alphas_cumprod().len() as i64;
        let timesteps = Tensor::randint(last, [BATCH as i64], (Kind::Int64, latents.device()));
        let weights = (self.schedule.at(&timesteps).reciprocal() - 1.0).clamp_max(MOST);
        let noisy = self.schedule.add_noise(&latents, &noise, &timesteps).to_kind(self.kind);
        let contexts = self.captions.encode(&texts, self.kind);
        [noisy, timesteps, contexts, noise, weights, colored(&maps, self.kind)]
    }
}

/// Mean over the rows of weight · mean squared error of the predicted noise.
fn weighted_error(network: &Controlled, inputs: [Tensor; 6]) -> Tensor {
    let [noisy, timesteps, contexts, noise, weights, maps] = inputs;
    let control = network.encoder.forward(&network.parameters, &maps);
    let predicted = network.unet.forward_controlled(&noisy, &timesteps, &contexts, Some(&control), &Frozen);
    let error = (predicted.to_kind(Kind::Float) - noise).square();
    let error = error.mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float);
    (error * weights).mean(Kind::Float)
}
