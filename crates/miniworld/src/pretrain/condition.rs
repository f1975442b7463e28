//! The condition encoder of semantic map to image: given a label map it learns to help the denoiser, which is frozen, by what is
//! added behind its first layer.
//!
//! What a map decides, where things are, is settled while there is more noise than picture: only such timesteps are drawn, and
//! errors count as those of the clean picture do. ControlNet's encoders learn beside a copy of the denoiser instead, for much
//! longer.

use anyhow::{Context, Result};
use models::control::{ConditionEncoder, ConditionEncoderConfig};
use models::diffusion::{CaptionEncoder, Loaded, load_unet, load_vae};
use models::palette::colored;
use models::scheduler::{NoiseSchedule, ScheduleConfig};
use models::unet::{UNet2DCondition, UNetConfig};
use models::{Frozen, read_config};
use rand::RngExt;
use rayon::prelude::*;
use serde_json::json;
use tch::{Kind, Tensor, nn};

use super::data::batch_stream;
use super::trainer::{Replicas, Schedule, Trainer, device, named, replicas};
use super::unet::latent_moments;
use super::{Options, write_json};
use crate::{SIZE, pairs};

const SCHEDULE: Schedule =
    Schedule { steps: 500, learning_rate: 3e-3, warmup_steps: 30, weight_decay: 0.01, ema: 0.98 };
const BATCH: usize = 32;
const SCENES: usize = 3_000;
const CAPTION_DROPOUT: f64 = 0.3;
const FIRST_TIMESTEP: i64 = 300;
/// Most that an error counts.
const MOST: f64 = 20.0;
const WIDTHS: [i64; 3] = [16, 32, 64];
const PREFIX: &str = "controlnet_cond_embedding";

/// The encoder in front of the denoiser, one for each thread.
struct Controlled {
    encoder: ConditionEncoder,
    parameters: Vec<Tensor>,
    unet: Loaded<UNet2DCondition>,
}

pub fn run(options: &Options) -> Result<()> {
    let folder = options.diffusion();
    let unet: UNetConfig = read_config(&folder.join("unet/config.json"))?;
    let config = ConditionEncoderConfig {
        conditioning_channels: 3,
        conditioning_embedding_out_channels: WIDTHS.to_vec(),
        block_out_channels: unet.block_out_channels,
    };
    load_unet(&folder, device())?; // so that what is wrong with it is an error
    let build = |path: &nn::Path| {
        let encoder = ConditionEncoder::new(&config).expect("the sizes are positive");
        let parameters = variables(&encoder, path, options.seed.wrapping_add(6));
        Controlled { encoder, parameters, unet: load_unet(&folder, device()).expect("it was read before") }
    };
    let store = nn::VarStore::new(device());
    let _original = build(&store.root());
    let schedule = Schedule { steps: options.steps.unwrap_or(SCHEDULE.steps), ..SCHEDULE };
    let mut trainer = Trainer::new(&store, schedule, &options.work.join("condition"))?;
    if !trainer.is_done() {
        let replicas = Replicas::new(&store, replicas(), build);
        train(options, replicas, &mut trainer)?;
    }
    trainer.use_average();
    let out = options.out.join("condition");
    std::fs::create_dir_all(&out).with_context(|| format!("{}: cannot be made", out.display()))?;
    let mut shipped = serde_json::to_value(&config)?;
    shipped["_class_name"] = json!("ControlNetModel");
    write_json(&out.join("config.json"), &shipped)?;
    let file = out.join("diffusion_pytorch_model.safetensors");
    Ok(models::save_weights(&named(&store), Kind::Half, &file)?)
}

/// The encoder's parameters as variables under diffusers' names, fresh.
fn variables(encoder: &ConditionEncoder, path: &nn::Path, seed: u64) -> Vec<Tensor> {
    let mut streams = 0..;
    let fresh = encoder.initial(|_| batch_stream(seed ^ 1, streams.next().expect("endless")));
    let variable = |(name, value): (String, Tensor)| {
        let (layers, name) = name.rsplit_once('.').expect("a layer and what of it");
        let layer = layers.split('.').fold(path / PREFIX, |path, part| path / part);
        layer.var_copy(name, &value)
    };
    let names = encoder.parameters().into_iter().map(|parameter| parameter.name);
    names.zip(fresh).map(variable).collect()
}

fn train(options: &Options, mut replicas: Replicas<Controlled>, trainer: &mut Trainer) -> Result<()> {
    let seed = options.seed.wrapping_add(6);
    let captions = CaptionEncoder::load(&options.diffusion(), device())?;
    let vae = load_vae(&options.diffusion(), device())?;
    let mut seeds = batch_stream(seed, u64::MAX);
    let seeds: Vec<u64> = (0..SCENES).map(|_| seeds.random()).collect();
    let scenes: Vec<_> = seeds
        .par_iter()
        .map(|&seed| {
            let (scene, caption) = pairs::pair(false, seed);
            (scene.render(), caption)
        })
        .collect();
    let parts = scenes.chunks(250).map(|part| {
        let rgb = part.iter().flat_map(|(rendered, _)| rendered.rgb.iter().copied()).collect();
        latent_moments(&vae.network, rgb, options.kind())
    });
    let moments = Tensor::cat(&parts.collect::<Vec<_>>(), 0);
    let size = SIZE as i64;
    let maps: Vec<u8> = scenes.iter().flat_map(|(rendered, _)| rendered.mask.iter().copied()).collect();
    let maps = Tensor::from_slice(&maps).view([-1, size, size]);
    let schedule = NoiseSchedule::new(&ScheduleConfig::default());
    while !trainer.is_done() {
        let mut stream = batch_stream(seed, trainer.step());
        let mut rows = Vec::new();
        let mut texts = Vec::new();
        for _ in 0..BATCH {
            let row = stream.random_range(0..SCENES);
            rows.push(row as i64);
            texts.push(if stream.random_bool(CAPTION_DROPOUT) { "" } else { scenes[row].1.as_str() });
        }
        let rows = Tensor::from_slice(&rows);
        let moments = moments.index_select(0, &rows).to_kind(Kind::Float).chunk(2, 1);
        let latents = (&moments[0] + &moments[1] * moments[1].randn_like()).to_device(device());
        let noise = latents.randn_like();
        let last = schedule.alphas_cumprod().len() as i64;
        let timesteps =
            Tensor::randint_low(FIRST_TIMESTEP, last, [BATCH as i64], (Kind::Int64, latents.device()));
        let alphas = schedule.at(&timesteps);
        let weight = (alphas.reciprocal() - 1.0).clamp_max(MOST);
        let noisy = schedule.add_noise(&latents, &noise, &timesteps).to_kind(options.kind());
        let context = captions.encode(&texts, options.kind());
        let colors = colored(&maps.index_select(0, &rows).to_device(device()), options.kind());
        let inputs = [noisy, timesteps, context, noise, weight, colors];
        let part = BATCH as i64 / replicas.len() as i64;
        let mut columns = inputs.map(|input| input.split(part, 0).into_iter());
        let parts = (0..replicas.len()).map(|_| {
            columns.each_mut().map(|column| column.next().expect("the batch divides by the replicas"))
        });
        let (loss, gradients) = replicas.gradients(parts.collect(), weighted_error);
        trainer.descend(&loss, &gradients, BATCH)?;
    }
    Ok(())
}

/// Mean over the rows of weight · mean squared error of the predicted noise.
fn weighted_error(network: &Controlled, inputs: [Tensor; 6]) -> Tensor {
    let [noisy, timesteps, context, noise, weight, colors] = inputs;
    let control = network.encoder.forward(&network.parameters, &colors);
    let unet = &network.unet.network;
    let predicted = unet.forward_controlled(&noisy, &timesteps, &context, Some(&control), &Frozen);
    let error = (predicted.to_kind(Kind::Float) - noise).square();
    let error = error.mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float);
    (error * weight).mean(Kind::Float)
}
