//! The frozen networks of a run, loaded once.

use std::path::{Path, PathBuf};

use anyhow::Result;
use delora_core::Site;
use image::RgbImage;
use models::clip::{Clip, ClipConfig};
use models::diffusion::{Loaded, StableDiffusion, load_network};
use models::images::Preprocessor;
use models::read_config;
use models::text::CaptionTokenizer;
use models::unet::{UNet2DCondition, UNetConfig};
use models::vit::{Vit, VitConfig};
use tch::{Device, Kind, Tensor, no_grad};

use crate::settings::{DinoPreprocessing, Settings};

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
        let device = Device::cuda_if_available();
        let evaluators = &settings.evaluators;
        let clip_b32 = evaluators.clip_b32.as_ref().map(|folder| ClipScorer::load(folder, device));
        Ok(World {
            diffusion: StableDiffusion::load(&settings.model, device)?,
            dino: Dino::load(&evaluators.dino, evaluators.dino_preprocessing, device)?,
            clip: ClipScorer::load(&evaluators.clip, device)?,
            clip_b32: clip_b32.transpose()?,
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

/// Pictures that a vision tower sees at once.
const PICTURES_AT_ONCE: usize = 64;

/// Unit features `[N, D]` of `pictures`, a few at a time.
fn features_of(
    pictures: &[RgbImage],
    preprocessor: &Preprocessor,
    device: Device,
    tower: impl Fn(&Tensor) -> Tensor,
) -> Tensor {
    let parts = pictures.chunks(PICTURES_AT_ONCE).map(|part| {
        let values = preprocessor.apply(part).to_device(device);
        normalised(no_grad(|| tower(&values)))
    });
    Tensor::cat(&parts.collect::<Vec<_>>(), 0)
}

/// DINO's ViT: what a subject looks like.
pub struct Dino {
    network: Loaded<Vit>,
    preprocessor: Preprocessor,
    device: Device,
}

impl Dino {
    fn load(folder: &Path, preprocessing: DinoPreprocessing, device: Device) -> Result<Dino> {
        let network = load_network(folder, "model.safetensors", device, |path, config: &VitConfig| {
            Vit::new(path, config)
        })?;
        let size = network.network.config().image_size as u32;
        let preprocessor = match preprocessing {
            DinoPreprocessing::Config => Preprocessor::read(folder, size)?,
            DinoPreprocessing::Squash => Preprocessor::squashed(size),
            DinoPreprocessing::Crop => Preprocessor::cropped(size),
        };
        Ok(Dino { network, preprocessor, device })
    }

    /// Unit features `[N, D]` of pictures of any sizes.
    pub fn features(&self, pictures: &[RgbImage]) -> Tensor {
        let tower = |values: &Tensor| self.network.network.forward(values);
        features_of(pictures, &self.preprocessor, self.device, tower)
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
        let text = &config.text_config;
        let pad = if text.eos_token_id == 2 { text.vocab_size - 1 } else { text.eos_token_id };
        let tokenizer = CaptionTokenizer::from_file(
            &folder.join("tokenizer.json"),
            text.max_position_embeddings as usize,
            pad,
        )?;
        let network = load_network(folder, "model.safetensors", device, |path, config: &ClipConfig| {
            Clip::new(path, config)
        })?;
        Ok(ClipScorer {
            network,
            tokenizer,
            preprocessor: Preprocessor::read(folder, config.vision_config.image_size as u32)?,
            device,
        })
    }

    /// Unit features `[N, D]` of pictures of any sizes.
    pub fn picture_features(&self, pictures: &[RgbImage]) -> Tensor {
        let tower = |values: &Tensor| self.network.network.vision.forward(values);
        features_of(pictures, &self.preprocessor, self.device, tower)
    }

    /// Unit features `[N, D]` of captions.
    pub fn text_features(&self, captions: &[String]) -> Tensor {
        let ids = self.tokenizer.encode_batch(captions).to_device(self.device);
        normalised(no_grad(|| self.network.network.text_features(&ids, Kind::Float)))
    }
}

/// The denoiser's weights in a checkpoint folder.
pub const UNET_FILE: &str = "unet/diffusion_pytorch_model.safetensors";

/// What of the denoiser of a checkpoint folder in Stable Diffusion's layout can be adapted, on the CPU.
pub fn sites(checkpoint: &Path) -> Result<Vec<Site>> {
    let file = "diffusion_pytorch_model.safetensors";
    let build = |path: &tch::nn::Path, config: &UNetConfig| UNet2DCondition::new(path, config);
    let unet = load_network(&checkpoint.join("unet"), file, Device::Cpu, build)?;
    Ok(harness::sites(&unet))
}

/// Files of the networks that a trial's result depends on.
pub fn weight_files(settings: &Settings) -> Vec<PathBuf> {
    let Settings { model, evaluators, .. } = settings;
    let mut files = vec![
        model.join(UNET_FILE),
        model.join("vae/diffusion_pytorch_model.safetensors"),
        model.join("text_encoder/model.safetensors"),
        model.join("tokenizer/tokenizer.json"),
        evaluators.dino.join("model.safetensors"),
        evaluators.clip.join("model.safetensors"),
    ];
    files.extend(evaluators.clip_b32.iter().map(|folder| folder.join("model.safetensors")));
    files
}
