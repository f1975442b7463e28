//! The frozen networks of a run, loaded once.

use std::path::{Path, PathBuf};

use anyhow::Result;
use delora_core::Site;
use models::clip::{Clip, ClipConfig};
use models::diffusion::{Loaded, StableDiffusion, load_clip, load_unet, load_vit};
use models::images::Preprocessor;
use models::read_config;
use models::text::CaptionTokenizer;
use models::vit::Vit;
use tch::{Device, Kind, Tensor, no_grad};

use crate::settings::Settings;

/// A generator, and the evaluators that score it.
pub struct World {
    pub diffusion: StableDiffusion,
    pub dino: Dino,
    pub clip: ClipScorer,
    pub device: Device,
}

impl World {
    pub fn load(settings: &Settings) -> Result<World> {
        let device = Device::cuda_if_available();
        Ok(World {
            diffusion: StableDiffusion::load(&settings.model, device)?,
            dino: Dino::load(&settings.evaluators.dino, device)?,
            clip: ClipScorer::load(&settings.evaluators.clip, device)?,
            device,
        })
    }

    /// What of the denoiser can be adapted.
    pub fn sites(&self) -> Vec<Site> {
        harness::sites(&self.diffusion.unet)
    }
}

/// Features per picture, of length one.
fn normalised(features: Tensor) -> Tensor {
    let features = features.to_kind(Kind::Float);
    &features / features.norm_scalaropt_dim(2.0, [-1i64].as_slice(), true)
}

/// DINO's ViT: what a subject looks like.
pub struct Dino {
    network: Loaded<Vit>,
    preprocessor: Preprocessor,
}

impl Dino {
    pub fn load(folder: &Path, device: Device) -> Result<Dino> {
        let network = load_vit(folder, device)?;
        Ok(Dino { network, preprocessor: read_config(&folder.join("preprocessor_config.json"))? })
    }

    /// Unit features `[N, D]` of `pictures` `[N, 3, H, W]` in [-1, 1].
    pub fn features(&self, pictures: &Tensor) -> Tensor {
        let size = self.network.network.config().image_size;
        let pictures = self.preprocessor.apply(pictures, size);
        normalised(no_grad(|| self.network.network.forward(&pictures)))
    }
}

/// CLIP: what a picture shows, in words.
pub struct ClipScorer {
    network: Loaded<Clip>,
    image_size: i64,
    tokenizer: CaptionTokenizer,
    preprocessor: Preprocessor,
    device: Device,
}

impl ClipScorer {
    fn load(folder: &Path, device: Device) -> Result<ClipScorer> {
        let config: ClipConfig = read_config(&folder.join("config.json"))?;
        let text = &config.text_config;
        let pad = if text.eos_token_id == 2 { text.vocab_size - 1 } else { text.eos_token_id };
        let tokenizer = CaptionTokenizer::from_file(
            &folder.join("tokenizer.json"),
            text.max_position_embeddings as usize,
            pad,
        )?;
        let network = load_clip(folder, device)?;
        Ok(ClipScorer {
            network,
            image_size: config.vision_config.image_size,
            tokenizer,
            preprocessor: read_config(&folder.join("preprocessor_config.json"))?,
            device,
        })
    }

    /// Unit features `[N, D]` of `pictures` `[N, 3, H, W]` in [-1, 1].
    pub fn picture_features(&self, pictures: &Tensor) -> Tensor {
        let pictures = self.preprocessor.apply(pictures, self.image_size);
        normalised(no_grad(|| self.network.network.vision.forward(&pictures)))
    }

    /// Unit features `[N, D]` of captions.
    pub fn text_features(&self, captions: &[String]) -> Tensor {
        let ids = self.tokenizer.encode_batch(captions).to_device(self.device);
        normalised(no_grad(|| self.network.network.text_features(&ids, Kind::Float)))
    }
}

/// What of the denoiser of a checkpoint folder in Stable Diffusion's layout can be adapted, on the CPU.
pub fn sites(checkpoint: &Path) -> Result<Vec<Site>> {
    Ok(harness::sites(&load_unet(checkpoint, Device::Cpu)?))
}

/// Files of the networks that a trial's result depends on.
pub fn weight_files(settings: &Settings) -> Result<Vec<PathBuf>> {
    let Settings { model, evaluators, .. } = settings;
    let of = |folder: &Path| models::weight_files(folder);
    let mut files =
        [of(&model.join("unet"))?, of(&model.join("vae"))?, of(&model.join("text_encoder"))?].concat();
    files.push(model.join("tokenizer/tokenizer.json"));
    files.extend([of(&evaluators.dino)?, of(&evaluators.clip)?].concat());
    Ok(files)
}
