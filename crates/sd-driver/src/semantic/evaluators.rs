//! The networks that score pictures for label maps.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use models::Loaded;
use models::inception::{Inception, load_inception};
use models::upernet::{UPerNet, load_upernet};
use models::{images, network_files, read_json};
use serde::Deserialize;
use tch::{Device, Tensor};

use crate::dino::{Dino, DinoPreprocessing};

/// UPerNet, which says what is where in a picture.
pub struct Segmenter {
    network: Loaded<UPerNet>,
    device: Device,
}

impl Segmenter {
    pub fn load(folder: &Path, device: Device) -> Result<Segmenter> {
        Ok(Segmenter { network: load_upernet(folder, device)?, device })
    }

    pub fn classes(&self) -> usize {
        self.network.network.config().num_classes as usize
    }

    /// Labels `[N, H, W]` from 1 on, of `pictures` `[N, 3, H, W]` in [-1, 1].
    pub fn labels(&self, pictures: &Tensor) -> Tensor {
        let (_, _, height, width) = pictures.size4().expect("pictures are [N, 3, H, W]");
        gradient_mode::off(|| {
            self.network.network.segment([height, width], |[height, width]| {
                let scaled = images::scaled(pictures, [width as u32, height as u32]);
                (scaled.to_device(self.device) + 1.0) * 0.5
            })
        })
    }
}

/// What the Fréchet distance compares.
pub enum FeatureNet {
    /// FID as everyone reports it.
    Inception(Box<Loaded<Inception>>),
    /// The class token of a small ViT, for small pictures.
    Vit(Box<Dino>),
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "_class_name", default)]
    class_name: String,
}

impl FeatureNet {
    /// A folder whose `config.json` says `ViTModel` holds a ViT, any other Inception-v3.
    pub fn load(folder: &Path, device: Device) -> Result<FeatureNet> {
        if FeatureNet::is_vit(folder)? {
            let vit = Dino::load(folder, DinoPreprocessing::Config, device)?;
            return Ok(FeatureNet::Vit(Box::new(vit)));
        }
        let inception = load_inception(folder, device)
            .with_context(|| "`evaluators.features` has to hold Inception-v3 of pytorch-fid, or a ViT")?;
        Ok(FeatureNet::Inception(Box::new(inception)))
    }

    /// Files that [`FeatureNet::load`] reads.
    pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
        match FeatureNet::is_vit(folder)? {
            true => Dino::files(folder, DinoPreprocessing::Config),
            false => Ok(network_files(folder)?),
        }
    }

    fn is_vit(folder: &Path) -> Result<bool> {
        let config = folder.join("config.json");
        Ok(config.is_file() && read_json::<Kind>(&config)?.class_name == "ViTModel")
    }

    /// Features `[N, D]` of `pictures` `[N, 3, H, W]` in [-1, 1].
    pub fn of(&self, pictures: &Tensor) -> Tensor {
        match self {
            FeatureNet::Inception(network) => {
                gradient_mode::off(|| network.network.forward(&((pictures + 1.0) * 0.5)))
            }
            FeatureNet::Vit(vit) => vit.raw_features(&images::from_tensor(pictures)),
        }
    }
}
