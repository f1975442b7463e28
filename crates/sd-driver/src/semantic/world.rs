//! The networks of a run, loaded once.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use models::checkpoint::Checkpoint;
use models::control::{ConditionEncoder, ConditionEncoderConfig};
use models::diffusion::StableDiffusion;
use tch::{Device, Tensor};

use super::evaluators::{FeatureNet, Segmenter};
use super::settings::{SemanticSettings, Settings};

/// A generator, what shows it label maps, and what scores its pictures.
pub struct World {
    pub diffusion: StableDiffusion,
    pub encoder: ConditionEncoder,
    /// The encoder's pretrained parameters, on the device.
    pub pretrained: Option<Vec<Tensor>>,
    pub segmenter: Segmenter,
    pub features: FeatureNet,
    pub device: Device,
}

impl World {
    pub fn load(settings: &Settings) -> Result<World> {
        let device = device::here();
        let diffusion = StableDiffusion::load(&settings.model, device)?;
        if settings.channels_last {
            diffusion.unet.put_channels_last();
        }
        let unet = diffusion.unet.network.config();
        let widths = &settings.condition_encoder.channels;
        let encoder = ConditionEncoderConfig::of_pictures(widths, &unet.block_out_channels);
        let encoder = ConditionEncoder::new(&encoder).context("condition_encoder.channels")?;
        let side = i64::from(settings.resolution);
        if side != unet.sample_size * encoder.downscaling() {
            bail!(
                "the condition encoder scales {side} pixels down by {}, and the model's latents have a side of {}; \
                 `condition_encoder.channels` lists one width more than there are halvings",
                encoder.downscaling(),
                unet.sample_size
            );
        }
        let on_device =
            |values: Vec<Tensor>| values.into_iter().map(|value| value.to_device(device)).collect();
        let pretrained =
            settings.condition_encoder.pretrained.as_ref().map(|path| encoder.load(path)).transpose()?;
        Ok(World {
            segmenter: Segmenter::load(&settings.evaluators.segmenter, device)?,
            features: FeatureNet::load(&settings.evaluators.features, device)?,
            pretrained: pretrained.map(on_device),
            diffusion,
            encoder,
            device,
        })
    }
}

/// Files that [`World::load`] reads.
pub fn files(settings: &Settings) -> Result<Vec<PathBuf>> {
    let SemanticSettings { model, evaluators, condition_encoder, .. } = &**settings;
    let mut files = Checkpoint::at(model).files()?;
    files.extend(models::network_files(&evaluators.segmenter)?);
    files.extend(FeatureNet::files(&evaluators.features)?);
    if let Some(path) = &condition_encoder.pretrained {
        files.extend(if path.is_dir() { models::weight_files(path)? } else { vec![path.clone()] });
    }
    Ok(files)
}
