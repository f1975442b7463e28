//! Scores of pictures for label maps: mIoU and pixel accuracy of a segmenter, and the Fréchet distance.

use std::collections::BTreeMap;

use anyhow::Result;
use models::frechet::Moments;
use models::segmentation::Confusion;
use tch::{Kind, Tensor};

use super::world::World;

/// Takes pictures as they come.
pub struct Scorer<'a> {
    world: &'a World,
    confusion: Confusion,
    features: Vec<Tensor>,
}

impl<'a> Scorer<'a> {
    pub fn new(world: &'a World) -> Scorer<'a> {
        Scorer { world, confusion: Confusion::new(world.segmenter.classes()), features: Vec::new() }
    }

    /// Takes `pictures` `[N, 3, H, W]` in [-1, 1] for `labels` `[N, H, W]`.
    pub fn add(&mut self, pictures: &Tensor, labels: &Tensor) -> Result<()> {
        let pictures = quantised(pictures);
        self.describe(&pictures);
        self.segment(&pictures, labels)
    }

    /// Compares what the segmenter sees with `labels`.
    pub fn segment(&mut self, pictures: &Tensor, labels: &Tensor) -> Result<()> {
        let found = self.world.segmenter.labels(pictures);
        Ok(self.confusion.add(&found, &labels.to_device(found.device()))?)
    }

    /// Takes the pictures' features.
    pub fn describe(&mut self, pictures: &Tensor) {
        self.features.push(self.world.features.of(pictures));
    }

    /// `miou` and `accuracy` as fractions, and `fid` of the described pictures from the `real` ones.
    pub fn scores(&self, real: &Moments) -> Result<BTreeMap<String, f64>> {
        let fid = Moments::of(&Tensor::cat(&self.features, 0))?.distance(real)?;
        let found = self.confusion.scores()?;
        let scores = [("miou", found.mean_iou), ("accuracy", found.pixel_accuracy), ("fid", fid)];
        Ok(scores.map(|(name, value)| (name.to_owned(), value)).into())
    }
}

/// Pictures in [-1, 1] with the values that a PNG can hold.
fn quantised(pictures: &Tensor) -> Tensor {
    ((pictures.to_kind(Kind::Float) + 1.0) * 127.5).round().clamp(0.0, 255.0) / 127.5 - 1.0
}
