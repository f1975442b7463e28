//! The 30 held-out subjects, as DreamBooth's data set has them: a few pictures each, in a folder each.

use std::path::Path;

use anyhow::{Context as _, Result};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::SIZE;
use crate::contexts::{NUM_CONTEXTS, SPOKEN};
use crate::instance::{Instance, held_out_instance, looks};
use crate::objects::{CLASSES, is_live};
use crate::scene::Scene;

/// One held-out object.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Folder name, e.g. `cat_teal_striped`.
    pub name: String,
    /// The class in the words of captions.
    pub class: &'static str,
    pub live: bool,
    instance: Instance,
    seed: u64,
}

/// All 30, sorted by name: two of every class, and one more cat and dog.
pub fn subjects() -> Vec<Subject> {
    let classes =
        (0..CLASSES.len()).chain(0..CLASSES.len()).chain((0..CLASSES.len()).filter(|&class| is_live(class)));
    let mut subjects: Vec<Subject> = classes
        .enumerate()
        .map(|(index, class)| {
            let seed = 1_000 + index as u64;
            let instance = held_out_instance(class, seed);
            let (color, pattern) = looks(&instance);
            let name = format!("{}_{color}_{pattern}", CLASSES[class].replace(' ', "_"));
            Subject { name, class: CLASSES[class], live: is_live(class), instance, seed }
        })
        .collect();
    subjects.sort_by(|a, b| a.name.cmp(&b.name));
    subjects
}

impl Subject {
    /// Four to six pictures, in different places.
    pub fn pictures(&self) -> Vec<Scene> {
        let mut stream = ChaCha8Rng::seed_from_u64(self.seed);
        let count = stream.random_range(4..=6usize);
        let first = stream.random_range(0..NUM_CONTEXTS);
        (0..count)
            .map(|index| {
                let mut scene = Scene::of(self.instance, &mut stream);
                // Half in front of something plain, half anywhere; never twice in one place.
                scene.context.index =
                    if index % 2 == 0 { SPOKEN + index / 2 } else { (first + 7 * index) % SPOKEN };
                scene
            })
            .collect()
    }
}

/// Writes the subjects into `folder` in DreamBooth's layout: `dataset/<subject>/00.png`, … and
/// `dataset/prompts_and_classes.txt`.
pub fn write_subjects(folder: &Path) -> Result<()> {
    let dataset = folder.join("dataset");
    let mut classes = String::from("Classes\n\nsubject_name,class\n");
    for subject in subjects() {
        let folder = dataset.join(&subject.name);
        std::fs::create_dir_all(&folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
        for (index, scene) in subject.pictures().iter().enumerate() {
            let path = folder.join(format!("{index:02}.png"));
            image::save_buffer(&path, &scene.render().rgb, SIZE as u32, SIZE as u32, image::ColorType::Rgb8)
                .with_context(|| format!("{}: cannot be written", path.display()))?;
        }
        classes += &format!("{},{}\n", subject.name, subject.class);
    }
    let path = dataset.join("prompts_and_classes.txt");
    std::fs::write(&path, classes).with_context(|| format!("{}: cannot be written", path.display()))
}
