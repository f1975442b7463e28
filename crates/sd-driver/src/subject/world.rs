//! The frozen networks of a run, loaded once.

use std::path::{Path, PathBuf};

use anyhow::Result;
use delora_core::Site;
use image::RgbImage;
use models::Loaded;
use models::checkpoint::Checkpoint;
use models::clip::{Clip, ClipConfig};
use models::diffusion::{StableDiffusion, load_clip, load_unet};
use models::images::Preprocessor;
use models::text::{CaptionTokenizer, tokenizer_files};
use models::{network_files, read_config};
use tch::{Device, Kind, Tensor};

use crate::dino::{Dino, features_of, normalised};
use crate::subject::settings::{Settings, SubjectDrivenSettings};

/// A generator, and the evaluators that score it.
pub struct World {
    pub diffusion: StableDiffusion,
    pub dino: Dino,
    pub clip: ClipScorer,
    /// The other CLIP, where one is set.
    pub clip_b32: Option<ClipScorer>,
    pub device: Device,
}

impl World {
    pub fn load(settings: &Settings) -> Result<World> {
        let device = device::here();
        let evaluators = &settings.evaluators;
        let clip_b32 = evaluators.clip_b32.as_ref().map(|folder| ClipScorer::load(folder, device));
        let diffusion = StableDiffusion::load(&settings.model, device)?;
        if settings.channels_last {
            diffusion.unet.put_channels_last();
        }
        Ok(World {
            diffusion,
            dino: Dino::load(&evaluators.dino, evaluators.dino_preprocessing, device)?,
            clip: ClipScorer::load(&evaluators.clip, device)?,
            clip_b32: clip_b32.transpose()?,
            device,
        })
    }

    /// What of the denoiser can be adapted.
    pub fn sites(&self) -> Vec<Site> {
        finetune::sites(&self.diffusion.unet)
    }
}

/// CLIP: what a picture shows, in words.
pub struct ClipScorer {
    network: Loaded<Clip>,
    tokenizer: CaptionTokenizer,
    preprocessor: Preprocessor,
    device: Device,
}

impl ClipScorer {
    fn load(folder: &Path, device: Device) -> Result<ClipScorer> {
        let config: ClipConfig = read_config(&folder.join("config.json"))?;
        let tokenizer = CaptionTokenizer::open(folder, &config.text_config)?;
        let network = load_clip(folder, device)?;
        Ok(ClipScorer {
            network,
            tokenizer,
            preprocessor: Preprocessor::read(folder, config.vision_config.image_size as u32)?,
            device,
        })
    }

    /// Files that [`ClipScorer::load`] reads.
    fn files(folder: &Path) -> Result<Vec<PathBuf>> {
        let config: ClipConfig = read_config(&folder.join("config.json"))?;
        let mut files = network_files(folder)?;
        files.extend(tokenizer_files(folder, &config.text_config));
        files.push(Preprocessor::file(folder));
        Ok(files)
    }

    /// Unit features `[N, D]` of pictures of any sizes.
    pub fn picture_features(&self, pictures: &[RgbImage]) -> Tensor {
        let tower = |values: &Tensor| self.network.network.vision.forward(values);
        normalised(features_of(pictures, &self.preprocessor, self.device, tower))
    }

    /// Unit features `[N, D]` of captions.
    pub fn text_features(&self, captions: &[String]) -> Tensor {
        let ids = self.tokenizer.encode_batch(captions).to_device(self.device);
        normalised(gradient_mode::off(|| self.network.network.text_features(&ids, Kind::Float)))
    }
}

/// What of the denoiser of a checkpoint in Stable Diffusion's layout can be adapted, on the CPU.
pub fn sites(checkpoint: &Path) -> Result<Vec<Site>> {
    Ok(finetune::sites(&load_unet(checkpoint, Device::Cpu)?))
}

/// Files that [`World::load`] reads.
pub fn files(settings: &Settings) -> Result<Vec<PathBuf>> {
    let SubjectDrivenSettings { model, evaluators, .. } = &**settings;
    let mut files = Checkpoint::at(model).files()?;
    files.extend(Dino::files(&evaluators.dino, evaluators.dino_preprocessing)?);
    for folder in [&evaluators.clip].into_iter().chain(&evaluators.clip_b32) {
        files.extend(ClipScorer::files(folder)?);
    }
    Ok(files)
}
