//! What all trials of a model and a data set share: the frozen transformer, and the pictures as tensors.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use delora_core::Site;
use models::diffusion::load_vit;
use models::images::Preprocessor;
use models::vit::{Vit, VitConfig};
use models::{Linear, Loaded};
use tch::{Device, Tensor, nn};

use crate::data::{self, DataError, Labelled, Listing};
use crate::settings::Settings;

/// A frozen vision transformer, and what its pictures go through first.
pub struct Network {
    pub vit: Loaded<Vit>,
    pub preprocessor: Preprocessor,
    pub device: Device,
}

impl Network {
    pub fn load(folder: &Path) -> Result<Network> {
        let device = device::here();
        let vit = load_vit(folder, device).with_context(|| {
            format!("{}: not a folder of a vision transformer in Hugging Face's layout", folder.display())
        })?;
        let preprocessor = Preprocessor::read(folder, vit.network.config().image_size as u32)?;
        Ok(Network { vit, preprocessor, device })
    }

    pub fn config(&self) -> &VitConfig {
        self.vit.network.config()
    }

    /// A head of so many classes, whose weights are the trials'.
    pub fn head(&self, num_classes: usize) -> Linear {
        Vit::classifier(&nn::VarStore::new(self.device).root(), self.config(), num_classes as i64)
    }

    /// What of the transformer can be adapted, and the head.
    pub fn sites(&self, head: &Linear) -> Vec<Site> {
        [finetune::sites(&self.vit), finetune::head_sites(&[head])].into_iter().flatten().collect()
    }
}

/// Pictures of one split.
pub struct Examples {
    /// As the transformer takes them, `[N, 3, image_size, image_size]`, f32, on the CPU.
    pixels: Tensor,
    pub labels: Vec<i64>,
}

impl Examples {
    fn read(labelled: &Labelled, limit: Option<usize>, preprocessor: &Preprocessor) -> Result<Examples> {
        let chosen = labelled.chosen(limit);
        Ok(Examples {
            labels: chosen.iter().map(|&row| labelled.labels[row] as i64).collect(),
            pixels: Tensor::cat(&labelled.decoded(&chosen, |pictures| preprocessor.apply(pictures))?, 0),
        })
    }

    /// Pictures `[N, 3, image_size, image_size]` of these indices.
    pub fn pixels(&self, rows: &[i64], device: Device) -> Tensor {
        self.pixels.index_select(0, &Tensor::from_slice(rows)).to_device(device)
    }
}

/// Where the pictures of both splits are.
pub struct Listings {
    train: Listing,
    test: Listing,
}

impl Listings {
    pub fn find(settings: &Settings) -> Result<Listings, DataError> {
        let list = |split: &str| data::list(&settings.data, split);
        Ok(Listings { train: list(&settings.train_split)?, test: list(&settings.test_split)? })
    }

    fn files(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.train.files().chain(self.test.files())
    }

    /// The pictures of both splits, which have the same classes, and how many these are.
    pub fn labelled(&self) -> Result<([Labelled; 2], usize), DataError> {
        let (train, test) = (self.train.read()?, self.test.read()?);
        let num_classes = data::num_classes(&train, &test)?;
        Ok(([train, test], num_classes))
    }
}

/// Training pictures, and those that give the score.
pub struct Corpus {
    pub train: Examples,
    pub test: Examples,
    pub num_classes: usize,
}

impl Corpus {
    /// Errors: see [`DataError`].
    pub fn read(settings: &Settings, listings: &Listings, preprocessor: &Preprocessor) -> Result<Corpus> {
        let ([train, test], num_classes) = listings.labelled()?;
        Ok(Corpus {
            train: Examples::read(&train, settings.train_limit, preprocessor)?,
            test: Examples::read(&test, settings.test_limit, preprocessor)?,
            num_classes,
        })
    }
}

/// Files that a trial's result depends on.
pub fn files(settings: &Settings) -> Result<Vec<PathBuf>> {
    let mut files = models::network_files(&settings.model)?;
    files.push(Preprocessor::file(&settings.model));
    files.extend(Listings::find(settings)?.files());
    Ok(files)
}
