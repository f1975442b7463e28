//! The denoiser: noise prediction on cached latents, min-SNR weighting (γ = 5), captions dropped one time in ten.

use std::sync::Arc;

use anyhow::Result;
use models::Frozen;
use models::diffusion::{CaptionEncoder, load_vae};
use models::scheduler::{NoiseSchedule, ScheduleConfig};
use models::unet::{Heads, UNet2DCondition, UNetConfig};
use models::vae::AutoencoderKl;
use rand::{Rng, RngExt};
use rayon::prelude::*;
use serde_json::json;
use tch::{Kind, Tensor, nn};

use super::data::{batch_stream, prefetch};
use super::shipping::{Options, ship, write_json};
use super::trainer::{Replicas, Schedule, Trainer, device, replicas};
use crate::photos::Photo;
use crate::{SIZE, Scene};

const SCHEDULE: Schedule =
    Schedule { steps: 5400, learning_rate: 1e-3, warmup_steps: 200, weight_decay: 0.01, ema: 0.999 };
const BATCH: usize = 32;
/// Pictures whose latents are cached; each is seen several times, with other words and other noise.
const SCENES: usize = 48_000;
const PHOTOS: usize = 4_000;
const CAPTION_DROPOUT: f64 = 0.1;
const MIN_SNR_GAMMA: f64 = 5.0;

fn config(latent_channels: i64, context_features: i64) -> UNetConfig {
    let types = |name: &str| vec![name.to_owned(); 3];
    UNetConfig {
        sample_size: SIZE as i64 / 4,
        in_channels: latent_channels,
        out_channels: latent_channels,
        down_block_types: types("CrossAttnDownBlock2D"),
        up_block_types: types("CrossAttnUpBlock2D"),
        block_out_channels: vec![64, 96, 128],
        layers_per_block: 1,
        cross_attention_dim: context_features,
        attention_head_dim: Heads::Same(4),
        use_linear_projection: false,
        norm_num_groups: 16,
        norm_eps: 1e-5,
    }
}

/// Latents of the training pictures, and where their captions come from.
struct Cache {
    /// `[pictures, 2 * latent_channels, h, w]` in bf16: means and standard deviations, scaled.
    moments: Tensor,
    seeds: Vec<u64>,
    photos: Arc<Vec<Photo>>,
}

impl Cache {
    /// Scene `index` is seeded by its index; photographs follow the scenes.
    fn build(options: &Options, vae: &AutoencoderKl, steps: u64) -> Result<Cache> {
        let photos = options.photos("train")?;
        let mut stream = batch_stream(options.seed, u64::MAX);
        let scenes = SCENES.min(steps as usize * BATCH); // a short run needs few
        let seeds: Vec<u64> = (0..scenes).map(|_| stream.random()).collect();
        let mut moments = Vec::new();
        let mut encode = |rgb: Vec<u8>| moments.push(latent_moments(vae, rgb, options.kind()));
        for (part, seeds) in seeds.chunks(256).enumerate() {
            encode(seeds.par_iter().flat_map_iter(|&seed| Scene::sample(seed).render().rgb).collect());
            if part % 50 == 0 {
                terminal::notice(format_args!("latents: {} of {scenes} scenes", part * 256));
            }
        }
        for photos in photos[..PHOTOS.min(photos.len())].chunks(256) {
            encode(photos.iter().flat_map(|photo| photo.rgb.iter().copied()).collect());
        }
        Ok(Cache { moments: Tensor::cat(&moments, 0), seeds, photos })
    }

    fn len(&self) -> usize {
        self.moments.size()[0] as usize
    }
}

/// Means and standard deviations of the scaled latents of pictures, `[N, 2 * latent_channels, h, w]` in bf16.
pub fn latent_moments(vae: &AutoencoderKl, rgb: Vec<u8>, kind: Kind) -> Tensor {
    let count = rgb.len() / (SIZE * SIZE * 3);
    let pictures = models::images::from_bytes(&rgb, count, SIZE, SIZE);
    let (mean, log_variance) = gradient_mode::off(|| vae.encode(&pictures.to_device(device()).to_kind(kind)));
    let deviation = (log_variance.to_kind(Kind::Float) * 0.5).exp();
    let both = Tensor::cat(&[mean.to_kind(Kind::Float), deviation], 1) * vae.config().scaling_factor;
    both.to_kind(Kind::BFloat16).contiguous()
}

/// Which pictures a batch has, and their captions.
struct Draw {
    rows: Vec<i64>,
    captions: Vec<String>,
}

fn draw(seeds: &[u64], photos: &[Photo], pictures: usize, stream: &mut impl Rng) -> Draw {
    let mut draw = Draw { rows: Vec::new(), captions: Vec::new() };
    for _ in 0..BATCH {
        let row = stream.random_range(0..pictures);
        let caption = match seeds.get(row) {
            Some(&seed) => Scene::sample(seed).caption(stream.random()),
            None => photos[row - seeds.len()].caption(),
        };
        draw.rows.push(row as i64);
        draw.captions.push(if stream.random_bool(CAPTION_DROPOUT) { String::new() } else { caption });
    }
    draw
}

pub fn run(options: &Options) -> Result<()> {
    let folder = options.diffusion();
    let captions = CaptionEncoder::load(&folder, device())?;
    let vae = load_vae(&folder, device())?;
    let config = config(vae.network.config().latent_channels, captions.features());
    let store = nn::VarStore::new(device());
    let _network = UNet2DCondition::new(&store.root(), &config);
    let schedule = Schedule { steps: options.steps.unwrap_or(SCHEDULE.steps), ..SCHEDULE };
    let mut trainer = Trainer::new(&store, schedule, &options.work.join("unet"))?;
    if !trainer.is_done() {
        let cache = Cache::build(options, &vae.network, schedule.steps)?;
        let mut replicas = Replicas::new(&store, replicas(), |path| UNet2DCondition::new(path, &config));
        train(options, &mut replicas, &mut trainer, &captions, cache)?;
    }
    trainer.use_average();
    ship(
        &store,
        &config,
        "UNet2DConditionModel",
        &folder.join("unet"),
        "diffusion_pytorch_model.safetensors",
    )?;
    std::fs::create_dir_all(folder.join("scheduler"))?;
    let mut scheduler = serde_json::to_value(ScheduleConfig::default())?;
    // Beside what is read here, Stable Diffusion's settings of diffusers' scheduler.
    scheduler["_class_name"] = "DDIMScheduler".into();
    scheduler["clip_sample"] = false.into();
    scheduler["set_alpha_to_one"] = false.into();
    scheduler["steps_offset"] = 1.into();
    write_json(&folder.join("scheduler/scheduler_config.json"), &scheduler)?;
    write_json(
        &folder.join("model_index.json"),
        &json!({
            "_class_name": "StableDiffusionPipeline",
            "scheduler": ["diffusers", "DDIMScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        }),
    )
}

fn train(
    options: &Options,
    replicas: &mut Replicas<UNet2DCondition>,
    trainer: &mut Trainer,
    captions: &CaptionEncoder,
    cache: Cache,
) -> Result<()> {
    let schedule = NoiseSchedule::new(&ScheduleConfig::default());
    let (seed, pictures) = (options.seed.wrapping_add(3), cache.len());
    let Cache { moments, seeds, photos } = cache;
    let draws = prefetch(trainer.step(), move |index| {
        draw(&seeds, &photos, pictures, &mut batch_stream(seed, index))
    });
    while !trainer.is_done() {
        let draw = draws.recv()?;
        let rows = Tensor::from_slice(&draw.rows).to_device(moments.device());
        let moments = moments.index_select(0, &rows).to_kind(Kind::Float).chunk(2, 1);
        let latents = &moments[0] + &moments[1] * moments[1].randn_like();
        let noise = latents.randn_like();
        let timesteps = Tensor::randint(1000, [BATCH as i64], (Kind::Int64, latents.device()));
        let noisy = schedule.add_noise(&latents, &noise, &timesteps);
        let context = captions.encode(&draw.captions, options.kind());
        let alphas = schedule.at(&timesteps);
        let noise_share: Tensor = 1.0 - &alphas;
        let snr = alphas / noise_share;
        let weight = snr.clamp_max(MIN_SNR_GAMMA) / snr;
        let inputs = [noisy.to_kind(options.kind()), timesteps, context, noise, weight];
        let (loss, gradients) = replicas.gradients_of_rows(inputs, weighted_error);
        trainer.descend(&loss, &gradients, BATCH)?;
    }
    Ok(())
}

/// Mean over the rows of weight · mean squared error of the predicted noise.
fn weighted_error(unet: &UNet2DCondition, [noisy, timesteps, context, noise, weight]: [Tensor; 5]) -> Tensor {
    let predicted = unet.forward(&noisy, &timesteps, &context, &Frozen).to_kind(Kind::Float);
    let error = (predicted - noise).square().mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float);
    (error * weight).mean(Kind::Float)
}
