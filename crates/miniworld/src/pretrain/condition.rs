//! The condition encoder of semantic map to image. Given a label map it learns to say what the denoiser's first layer would
//! see of a clean picture: that is what its output is added to.
//!
//! ControlNet's encoders are pretrained beside a copy of the denoiser, which takes a hundred times as long; this one starts
//! training where pictures begin to follow the map.

use anyhow::{Context, Result};
use models::control::{ConditionEncoder, ConditionEncoderConfig};
use models::diffusion::load_vae;
use models::palette::colored;
use models::read_config;
use models::unet::UNetConfig;
use rand::RngExt;
use rayon::prelude::*;
use serde_json::json;
use tch::{Kind, Tensor, nn, no_grad};

use super::data::batch_stream;
use super::trainer::{Schedule, Trainer, device, named};
use super::unet::latent_moments;
use super::{Options, write_json};
use crate::{SIZE, pairs};

const SCHEDULE: Schedule =
    Schedule { steps: 400, learning_rate: 2e-3, warmup_steps: 50, weight_decay: 0.01, ema: 0.99 };
const BATCH: usize = 32;
const SCENES: usize = 4_000;
const WIDTHS: [i64; 3] = [16, 32, 64];
const PREFIX: &str = "controlnet_cond_embedding";
const FILE: &str = "diffusion_pytorch_model.safetensors";

pub fn run(options: &Options) -> Result<()> {
    let unet: UNetConfig = read_config(&options.diffusion().join("unet/config.json"))?;
    let config = ConditionEncoderConfig {
        conditioning_channels: 3,
        conditioning_embedding_out_channels: WIDTHS.to_vec(),
        block_out_channels: unet.block_out_channels,
    };
    let encoder = ConditionEncoder::new(&config)?;
    let store = nn::VarStore::new(device());
    let seed = options.seed.wrapping_add(6);
    let parameters = variables(&encoder, &store, seed);
    let schedule = Schedule { steps: options.steps.unwrap_or(SCHEDULE.steps), ..SCHEDULE };
    let mut trainer = Trainer::new(&store, schedule, &options.work.join("condition"))?;
    if !trainer.is_done() {
        let (maps, seen) = examples(options, seed)?;
        while !trainer.is_done() {
            let mut stream = batch_stream(seed, trainer.step());
            let rows: Vec<i64> = (0..BATCH).map(|_| stream.random_range(0..SCENES as i64)).collect();
            let rows = Tensor::from_slice(&rows).to_device(device());
            let colors = colored(&maps.index_select(0, &rows), Kind::Float);
            let error = encoder.forward(&parameters, &colors) - seen.index_select(0, &rows);
            trainer.update(&error.square().mean(Kind::Float), BATCH)?;
        }
    }
    trainer.use_average();
    let out = options.out.join("condition");
    std::fs::create_dir_all(&out).with_context(|| format!("{}: cannot be made", out.display()))?;
    let mut shipped = serde_json::to_value(&config)?;
    shipped["_class_name"] = json!("ControlNetModel");
    write_json(&out.join("config.json"), &shipped)?;
    Ok(models::save_weights(&named(&store), Kind::Half, &out.join(FILE))?)
}

/// The encoder's parameters as variables under diffusers' names, fresh.
fn variables(encoder: &ConditionEncoder, store: &nn::VarStore, seed: u64) -> Vec<Tensor> {
    let mut streams = 0..;
    let fresh = encoder.initial(|_| batch_stream(seed ^ 1, streams.next().expect("endless")));
    let variable = |(name, value): (String, Tensor)| {
        let (layers, name) = name.rsplit_once('.').expect("a layer and what of it");
        let layer = layers.split('.').fold(store.root() / PREFIX, |path, part| path / part);
        layer.var_copy(name, &value)
    };
    let names = encoder.parameters().into_iter().map(|parameter| parameter.name);
    names.zip(fresh).map(variable).collect()
}

/// Label maps `[SCENES, H, W]`, and what the denoiser's first layer sees of the pictures `[SCENES, C, h, w]`, less its bias.
fn examples(options: &Options, seed: u64) -> Result<(Tensor, Tensor)> {
    let vae = load_vae(&options.diffusion(), device())?;
    let path = options.diffusion().join("unet").join(FILE);
    let first = Tensor::read_safetensors(&path)?.into_iter().find(|(name, _)| name == "conv_in.weight");
    let first = first.with_context(|| format!("{}: `conv_in.weight` is missing", path.display()))?;
    let first = first.1.to_kind(Kind::Float).to_device(device());
    let mut stream = batch_stream(seed, u64::MAX);
    let seeds: Vec<u64> = (0..SCENES).map(|_| stream.random()).collect();
    let rendered: Vec<_> = seeds.par_iter().map(|&seed| pairs::pair(false, seed).0.render()).collect();
    let mut seen = Vec::new();
    for part in rendered.chunks(250) {
        let rgb = part.iter().flat_map(|rendered| rendered.rgb.iter().copied()).collect();
        let moments = latent_moments(&vae.network, rgb, options.kind()).to_kind(Kind::Float);
        let mean = &moments.chunk(2, 1)[0];
        seen.push(no_grad(|| mean.conv2d(&first, None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1)));
        eprintln!("latents: {} of {SCENES} scenes", 250 * seen.len());
    }
    let maps: Vec<u8> = rendered.iter().flat_map(|rendered| rendered.mask.iter().copied()).collect();
    let size = SIZE as i64;
    let maps = Tensor::from_slice(&maps).view([-1, size, size]).to_device(device());
    Ok((maps, Tensor::cat(&seen, 0)))
}
