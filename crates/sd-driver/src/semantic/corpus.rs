//! The pairs of a run, and what is computed of them once.

use anyhow::Result;
use models::frechet;
use models::images::to_tensor;
use models::inputs::Recording;
use rayon::prelude::*;
use tch::Tensor;

use super::pairs::{self, Pair};
use super::settings::Settings;
use super::world::World;
use crate::moments::Moments;

/// Pictures that are read and encoded together.
const CHUNK: usize = 32;

/// Training pairs with their latents, validation pairs with the features of their pictures.
pub struct Corpus {
    pub training: Vec<Pair>,
    pub moments: Moments,
    pub validation: Vec<Pair>,
    /// Features of the validation pictures.
    pub real: frechet::Moments,
    side: u32,
    classes: usize,
}

impl Corpus {
    /// Lists the pairs that the settings name; encodes the training pictures where `learns`.
    pub fn load(world: &World, settings: &Settings, learns: bool) -> Result<Corpus> {
        let side = settings.resolution;
        let training = pairs::list(&settings.data, "training", settings.train_limit)?;
        let validation = pairs::list(&settings.data, "validation", settings.validation_limit)?;
        let moments = if learns {
            latents(world, &training, side)?
        } else {
            Moments { mean: vec![], deviation: vec![], count: 0 }
        };
        let real = frechet::Moments::of(&features(world, &validation, side)?)?;
        Ok(Corpus { training, moments, validation, real, side, classes: world.segmenter.classes() })
    }

    /// Label maps `[pairs, side, side]`, u8, on the CPU.
    pub fn labels<'a>(&self, pairs: impl IntoIterator<Item = &'a Pair>) -> Result<Tensor> {
        let pairs: Vec<&Pair> = pairs.into_iter().collect();
        let (side, classes) = (self.side, self.classes);
        let recording = Recording::current();
        let read = |pair: &&Pair| recording.within(|| pair.labels(side, classes));
        let labels: Vec<Vec<u8>> = pairs.par_iter().map(read).collect::<Result<_>>()?;
        let side = i64::from(side);
        Ok(Tensor::from_slice(&labels.concat()).view([pairs.len() as i64, side, side]))
    }
}

/// Pictures `[pairs, 3, side, side]` in [-1, 1], on the device.
pub fn pictures(world: &World, pairs: &[Pair], side: u32) -> Result<Tensor> {
    let recording = Recording::current();
    let read = |pair: &Pair| recording.within(|| pair.picture(side));
    let pictures = pairs.par_iter().map(read).collect::<Result<Vec<_>>>()?;
    Ok(to_tensor(&pictures).to_device(world.device))
}

/// Features `[pairs, D]` of the pairs' pictures.
fn features(world: &World, pairs: &[Pair], side: u32) -> Result<Tensor> {
    let parts = pairs.chunks(CHUNK).map(|pairs| Ok(world.features.of(&pictures(world, pairs, side)?)));
    Ok(Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0))
}

fn latents(world: &World, pairs: &[Pair], side: u32) -> Result<Moments> {
    let mut all = Moments { mean: Vec::new(), deviation: Vec::new(), count: 0 };
    for pairs in pairs.chunks(CHUNK) {
        let part = Moments::of(&world.diffusion, &pictures(world, pairs, side)?)?;
        all.mean.extend(part.mean);
        all.deviation.extend(part.deviation);
        all.count += part.count;
    }
    Ok(all)
}
