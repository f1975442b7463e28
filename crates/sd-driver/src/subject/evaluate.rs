//! Scores: DINO and CLIP-I against the subject's pictures, CLIP-T against the prompts, diversity.

use std::collections::BTreeMap;

use image::RgbImage;
use models::images::from_tensor;
use tch::{Kind, Tensor};

use crate::subject::world::{ClipScorer, World};

/// The subject's own pictures, as features.
pub struct Reference {
    dino: Tensor,
    /// By the end of the metric's name, of each CLIP.
    clip: Vec<(&'static str, Tensor)>,
}

/// Every CLIP and what its metrics' names end in.
fn clips(world: &World) -> impl Iterator<Item = (&'static str, &ClipScorer)> {
    std::iter::once(("", &world.clip)).chain(world.clip_b32.iter().map(|clip| ("_b32", clip)))
}

impl Reference {
    /// `pictures` as they are on disk: each evaluator has its own way to make them small.
    pub fn of(world: &World, pictures: &[RgbImage]) -> Reference {
        let clip = clips(world).map(|(end, clip)| (end, clip.picture_features(pictures))).collect();
        Reference { dino: world.dino.features(pictures), clip }
    }

    /// The `Real Images` row: mean cosine over ordered pairs of two different pictures of the subject.
    pub fn scores_of_itself(&self) -> BTreeMap<String, f64> {
        let dino = mean_off_diagonal(&self.dino);
        let count = self.dino.size()[0];
        let mut scores = BTreeMap::from([
            ("dino".to_owned(), dino),
            ("diversity".to_owned(), 1.0 - dino),
            ("pairs".to_owned(), (count * (count - 1)) as f64),
        ]);
        let clip = self.clip.iter().map(|(end, own)| (format!("clip_i{end}"), mean_off_diagonal(own)));
        scores.extend(clip);
        scores
    }
}

/// Scores of `drawn` `[prompts * pictures_per_prompt, 3, H, W]` in [-1, 1], prompt by prompt, once they are bytes as in a
/// PNG file.
///
/// - `dino`, `clip_i`: mean cosine over all pairs of a drawn and a real picture, of which there are `pairs`;
/// - `clip_t`: mean cosine of a drawn picture and its prompt without the identifier, `captions`;
/// - `dino_x_clip_t`: their product, a negative factor counting as 0: how well the subject is drawn as the prompt asks;
/// - `clip_i_b32`, `clip_t_b32`: the same of the second CLIP, where there is one;
/// - `diversity`: one minus the mean DINO cosine over pairs of two drawn pictures.
///
/// Black pictures (a safety checker's) and those with values that are no numbers are left out; without any other picture
/// there are no scores.
pub fn score(
    world: &World,
    drawn: &Tensor,
    captions: &[String],
    pictures_per_prompt: usize,
    reference: &Reference,
) -> BTreeMap<String, f64> {
    let numbers = drawn.isfinite().flatten(1, 3).all_dim(1, false);
    let numbers = Vec::<bool>::try_from(numbers).expect("a truth value per picture");
    let (rows, drawn): (Vec<i64>, Vec<RgbImage>) = (0i64..)
        .zip(from_tensor(drawn))
        .zip(numbers)
        .filter(|((_, picture), is_number)| *is_number && picture.iter().any(|byte| *byte > 0))
        .map(|(kept, _)| kept)
        .unzip();
    if drawn.is_empty() {
        return BTreeMap::new();
    }
    let mean = |tensor: Tensor| f64::try_from(tensor.mean(Kind::Double)).expect("a mean is a number");
    let dino = world.dino.features(&drawn);
    let cosines = dino.matmul(&reference.dino.tr()); // [drawn, real]
    let pairs = cosines.numel() as f64;
    let likeness = mean(cosines);
    let mut scores = BTreeMap::from([("dino".to_owned(), likeness), ("pairs".to_owned(), pairs)]);
    if drawn.len() > 1 {
        scores.insert("diversity".to_owned(), 1.0 - mean_off_diagonal(&dino));
    }
    let rows = Tensor::from_slice(&rows).to_device(world.device);
    for ((end, clip), (_, real)) in clips(world).zip(&reference.clip) {
        let own = clip.picture_features(&drawn);
        let text = clip.text_features(captions);
        let text =
            text.repeat_interleave_self_int(pictures_per_prompt as i64, 0, None).index_select(0, &rows);
        scores.insert(format!("clip_i{end}"), mean(own.matmul(&real.tr())));
        let cosines = mean((own * text).sum_dim_intlist([-1i64].as_slice(), false, Kind::Float));
        scores.insert(format!("clip_t{end}"), cosines);
        if end.is_empty() {
            scores.insert("dino_x_clip_t".to_owned(), likeness.max(0.0) * cosines.max(0.0));
        }
    }
    scores
}

/// Mean of `features · featuresᵀ` without the diagonal.
fn mean_off_diagonal(features: &Tensor) -> f64 {
    let count = features.size()[0] as f64;
    let cosines = features.matmul(&features.tr());
    let difference = cosines.sum(Kind::Double) - cosines.trace();
    f64::try_from(difference).expect("a sum is a number") / (count * (count - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn self_pairs_do_not_count_among_real_pictures() {
        let features = Tensor::from_slice(&[1.0f32, 0.0, 0.6, 0.8, 0.0, 1.0]).view([3, 2]);
        // Ordered pairs: 0.6, 0.0 and 0.8, each twice.
        assert!((mean_off_diagonal(&features) - (0.6 + 0.0 + 0.8) / 3.0).abs() < 1e-6);
    }
}
