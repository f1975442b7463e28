//! DINO's ViT as an evaluator, and what evaluators have in common.

use std::path::{Path, PathBuf};

use anyhow::Result;
use image::RgbImage;
use models::Loaded;
use models::diffusion::load_vit;
use models::images::Preprocessor;
use models::network_files;
use models::vit::Vit;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// How DINO takes pictures: published scores do not say, and the two ways differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DinoPreprocessing {
    /// As the `preprocessor_config.json` beside its weights says.
    #[default]
    Config,
    /// [`Preprocessor::squashed`](models::images::Preprocessor::squashed).
    Squash,
    /// [`Preprocessor::cropped`](models::images::Preprocessor::cropped).
    Crop,
}

/// Whether a config leaves it out.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Features per picture, of length one.
pub fn normalised(features: Tensor) -> Tensor {
    let features = features.to_kind(Kind::Float);
    &features / features.norm_scalaropt_dim(2.0, [-1i64].as_slice(), true)
}

/// Pictures that a vision tower sees at once.
const PICTURES_AT_ONCE: usize = 64;

/// Features `[N, D]` in f32 of `pictures`, a few at a time.
pub fn features_of(
    pictures: &[RgbImage],
    preprocessor: &Preprocessor,
    device: Device,
    tower: impl Fn(&Tensor) -> Tensor,
) -> Tensor {
    let parts = pictures.chunks(PICTURES_AT_ONCE).map(|part| {
        let values = preprocessor.apply(part).to_device(device);
        gradient_mode::off(|| tower(&values)).to_kind(Kind::Float)
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
    pub fn load(folder: &Path, preprocessing: DinoPreprocessing, device: Device) -> Result<Dino> {
        let network = load_vit(folder, device)?;
        let size = network.network.config().image_size as u32;
        let preprocessor = match preprocessing {
            DinoPreprocessing::Config => Preprocessor::read(folder, size)?,
            DinoPreprocessing::Squash => Preprocessor::squashed(size),
            DinoPreprocessing::Crop => Preprocessor::cropped(size),
        };
        Ok(Dino { network, preprocessor, device })
    }

    /// Files that [`Dino::load`] reads.
    pub fn files(folder: &Path, preprocessing: DinoPreprocessing) -> Result<Vec<PathBuf>> {
        let mut files = network_files(folder)?;
        if preprocessing == DinoPreprocessing::Config {
            files.push(Preprocessor::file(folder));
        }
        Ok(files)
    }

    /// Unit features `[N, D]` of pictures of any sizes.
    pub fn features(&self, pictures: &[RgbImage]) -> Tensor {
        normalised(self.raw_features(pictures))
    }

    /// Features `[N, D]` as the network gives them.
    pub fn raw_features(&self, pictures: &[RgbImage]) -> Tensor {
        let tower = |values: &Tensor| self.network.network.forward(values);
        features_of(pictures, &self.preprocessor, self.device, tower)
    }
}
