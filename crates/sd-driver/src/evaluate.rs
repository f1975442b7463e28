//! Scores: DINO and CLIP-I against the subject's pictures, CLIP-T against the prompts, diversity.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use crate::world::World;

/// The subject's own pictures, as features.
pub struct Reference {
    dino: Tensor,
    clip: Tensor,
}

impl Reference {
    /// `pictures` `[N, 3, H, W]` in [-1, 1].
    pub fn of(world: &World, pictures: &Tensor) -> Reference {
        Reference { dino: world.dino.features(pictures), clip: world.clip.picture_features(pictures) }
    }

    /// The `Real Images` row: mean cosine over ordered pairs of two different pictures of the subject.
    pub fn scores_of_itself(&self) -> BTreeMap<String, f64> {
        BTreeMap::from([
            ("dino".to_owned(), mean_off_diagonal(&self.dino)),
            ("clip_i".to_owned(), mean_off_diagonal(&self.clip)),
            ("diversity".to_owned(), 1.0 - mean_off_diagonal(&self.dino)),
        ])
    }
}

/// Scores of `drawn` `[prompts * pictures_per_prompt, 3, H, W]`, prompt by prompt.
///
/// - `dino`, `clip_i`: mean cosine over all pairs of a drawn and a real picture;
/// - `clip_t`: mean cosine of a drawn picture and its prompt without the identifier, `captions`;
/// - `diversity`: one minus the mean DINO cosine over pairs of two drawn pictures.
///
/// Black pictures (a safety checker's) are left out; without any other picture there are no scores.
pub fn score(
    world: &World,
    drawn: &Tensor,
    captions: &[String],
    pictures_per_prompt: usize,
    reference: &Reference,
) -> BTreeMap<String, f64> {
    let kept = drawn.flatten(1, 3).amax([-1i64].as_slice(), false).gt(-1.0).nonzero().view([-1]);
    if kept.size()[0] == 0 {
        return BTreeMap::new();
    }
    let drawn = drawn.index_select(0, &kept);
    let (dino, clip) = (world.dino.features(&drawn), world.clip.picture_features(&drawn));
    let text = world.clip.text_features(captions);
    let text = text.repeat_interleave_self_int(pictures_per_prompt as i64, 0, None).index_select(0, &kept);
    let mean = |tensor: Tensor| f64::try_from(tensor.mean(Kind::Double)).expect("a mean is a number");
    let mut scores = BTreeMap::from([
        ("dino".to_owned(), mean(dino.matmul(&reference.dino.tr()))),
        ("clip_i".to_owned(), mean(clip.matmul(&reference.clip.tr()))),
        ("clip_t".to_owned(), mean((clip * text).sum_dim_intlist([-1i64].as_slice(), false, Kind::Float))),
    ]);
    if kept.size()[0] > 1 {
        scores.insert("diversity".to_owned(), 1.0 - mean_off_diagonal(&dino));
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
