//! Pairs of a scene and its label map, in the layout of ADE20K's scene parsing benchmark, for semantic map to image.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context as _, Result};
use image::ColorType;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::contexts::NUM_CONTEXTS;
use crate::objects::CLASSES;
use crate::{SIZE, Scene};

/// Labels of a map: the objects, then the places.
pub const LABELS: usize = CLASSES.len() + NUM_CONTEXTS;

const TRAINING: u64 = 1200;
const VALIDATION: u64 = 200;

/// Pairs of training show looks that the networks were pretrained on, those of validation looks they have never seen.
const SPLITS: [(&str, bool, u64, u64); 2] =
    [("training", false, TRAINING, 70_000_000), ("validation", true, VALIDATION, 71_000_000)];

/// A scene and a caption, of which half name the object and half the place: what else there is to know is in the label
/// map.
pub fn pair(held_out: bool, seed: u64) -> (Scene, String) {
    let scene = Scene::mapped(held_out, seed);
    let mut stream = ChaCha8Rng::seed_from_u64(seed);
    let mut caption = "a photo".to_owned();
    if stream.random_bool(0.5) {
        caption += &format!(" of a {}", CLASSES[scene.instance.class]);
    }
    if stream.random_bool(0.5) {
        caption += &format!(" {}", scene.place()); // which may be nothing
    }
    (scene, caption.trim_end().to_owned())
}

/// Writes both splits into `folder`: `images/<split>/`, `annotations/<split>/` and `<split>.jsonl`.
pub fn write(folder: &Path) -> Result<()> {
    for (split, held_out, count, first) in SPLITS {
        let mut lines = String::new();
        for part in ["images", "annotations"] {
            let folder = folder.join(part).join(split);
            std::fs::create_dir_all(&folder)
                .with_context(|| format!("{}: cannot be made", folder.display()))?;
        }
        for index in 0..count {
            let (scene, caption) = pair(held_out, first + index);
            let rendered = scene.render();
            let names = ["images", "annotations"].map(|part| format!("{part}/{split}/{index:05}.png"));
            save(&folder.join(&names[0]), &rendered.rgb, ColorType::Rgb8)?;
            save(&folder.join(&names[1]), &rendered.mask, ColorType::L8)?;
            let line = serde_json::json!({"image": names[0], "mask": names[1], "caption": caption});
            writeln!(lines, "{line}").expect("a string takes all");
        }
        let path = folder.join(format!("{split}.jsonl"));
        std::fs::write(&path, lines).with_context(|| format!("{}: cannot be written", path.display()))?;
    }
    Ok(())
}

fn save(path: &Path, bytes: &[u8], color: ColorType) -> Result<()> {
    image::save_buffer(path, bytes, SIZE as u32, SIZE as u32, color)
        .with_context(|| format!("{}: cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contexts::CONTEXTS;

    #[test]
    fn a_pair_is_the_same_at_every_call_and_its_labels_are_object_and_place() {
        let (scene, caption) = pair(true, 3);
        let (again, same) = pair(true, 3);
        let mask = scene.render().mask;
        assert_eq!((&mask, &caption), (&again.render().mask, &same));
        assert!(scene.instance.is_held_out());
        let labels: std::collections::BTreeSet<u8> = mask.into_iter().collect();
        let place = CONTEXTS.iter().position(|&place| place == scene.place()).unwrap();
        let expected = [1 + scene.instance.class, 1 + CLASSES.len() + place].map(|label| label as u8);
        assert_eq!(labels.into_iter().collect::<Vec<_>>(), expected);
        assert!(caption.starts_with("a photo"));
    }

    #[test]
    fn about_half_of_all_captions_name_the_object_and_half_the_place() {
        let pairs: Vec<_> = (0..400).map(|seed| pair(false, seed)).collect();
        let objects = pairs.iter().filter(|(scene, caption)| caption.contains(CLASSES[scene.instance.class]));
        let places = pairs.iter().filter(|(scene, caption)| caption.ends_with(scene.place()));
        for count in [objects.count(), places.count()] {
            assert!((150..250).contains(&count), "{count} of 400");
        }
    }
}
