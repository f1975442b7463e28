//! The picture codec: factor 4, eight latent channels (with four, linear coding of 4×4 patches bounds photographs to about 20 dB). L1 + MSE + a little KL, on scenes and photographs.

use anyhow::Result;
use models::vae::{AutoencoderKl, VaeConfig};
use serde_json::Value;
use tch::{Kind, Tensor, nn};

use super::data::{Source, prefetch};
use super::shipping::{Options, ship};
use super::trainer::{Schedule, Trainer, device};

const SCHEDULE: Schedule =
    Schedule { steps: 2800, learning_rate: 2e-3, warmup_steps: 100, weight_decay: 1e-4, ema: 0.997 };
const KL_WEIGHT: f64 = 3e-4;
const BATCH: usize = 16;

fn config() -> VaeConfig {
    VaeConfig {
        in_channels: 3,
        out_channels: 3,
        block_out_channels: vec![32, 48, 96],
        layers_per_block: 1,
        latent_channels: 8,
        norm_num_groups: 16,
        scaling_factor: 1.0, // replaced when training is over
    }
}

/// The config with what diffusers asks for beside it: the kind of block at each level.
fn shipped_config(config: &VaeConfig) -> Result<Value> {
    let levels = config.block_out_channels.len();
    let mut shipped = serde_json::to_value(config)?;
    shipped["down_block_types"] = vec!["DownEncoderBlock2D"; levels].into();
    shipped["up_block_types"] = vec!["UpDecoderBlock2D"; levels].into();
    Ok(shipped)
}

pub fn run(options: &Options) -> Result<()> {
    let mut config = config();
    let store = nn::VarStore::new(device());
    let vae = AutoencoderKl::new(&store.root(), &config);
    let schedule = Schedule { steps: options.steps.unwrap_or(SCHEDULE.steps), ..SCHEDULE };
    let mut trainer = Trainer::new(&store, schedule, &options.work.join("vae"))?;
    let source =
        Source { photos: options.photos("train")?, photo_share: 0.25, batch: BATCH, seed: options.seed };
    let batches = prefetch(trainer.step(), move |index| source.batch(index).pictures());
    while !trainer.is_done() {
        let pictures = batches.recv()?.to_device(device());
        let (mean, log_variance) = vae.encode(&pictures.to_kind(options.kind()));
        let (mean, log_variance) = (mean.to_kind(Kind::Float), log_variance.to_kind(Kind::Float));
        let latents = &mean + (&log_variance * 0.5).exp() * mean.randn_like();
        let decoded = vae.decode(&latents.to_kind(options.kind())).to_kind(Kind::Float);
        let error = decoded - &pictures;
        let divergence = (&mean * &mean + log_variance.exp() - 1.0 - &log_variance).mean(Kind::Float) * 0.5;
        let loss = error.abs().mean(Kind::Float)
            + (&error * &error).mean(Kind::Float) * 2.0
            + divergence * KL_WEIGHT;
        trainer.update(&loss, BATCH)?;
    }
    trainer.use_average();
    config.scaling_factor = scaling_factor(&vae, &batches.recv()?.to_device(device()));
    ship(
        &store,
        &shipped_config(&config)?,
        "AutoencoderKL",
        &options.diffusion().join("vae"),
        "diffusion_pytorch_model.safetensors",
    )
}

/// One over the standard deviation of the latents, which makes their variance one.
fn scaling_factor(vae: &AutoencoderKl, pictures: &Tensor) -> f64 {
    let mean = gradient_mode::off(|| vae.encode(pictures).0);
    1.0 / f64::try_from(mean.std(false)).expect("a standard deviation is a number")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::{config, shipped_config};
    use crate::pretrain::clip::tokenizer_config;

    fn shipped(file: &str) -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini/sd").join(file);
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn what_diffusers_reads_beside_us_is_shipped_as_the_recipes_write_it() {
        let (mut vae, mut recipe) = (shipped("vae/config.json"), shipped_config(&config()).unwrap());
        recipe["_class_name"] = "AutoencoderKL".into();
        for config in [&mut vae, &mut recipe] {
            config["scaling_factor"].take(); // measured in training
        }
        assert_eq!(vae, recipe);
        assert_eq!(shipped("tokenizer/tokenizer_config.json"), tokenizer_config());
    }
}
