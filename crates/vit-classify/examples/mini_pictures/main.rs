//! Draws the mini world's labelled pictures: objects that pretraining has never seen, by what was done to them.
//!
//! ```text
//! cargo run --release -p vit-classify --example mini_pictures -- assets/mini/pictures
//! ```
//!
//! `data/train-00000-of-00001.parquet` and `data/test-00000-of-00001.parquet` of the folder are written in hub layout,
//! with JPEG files. Object, place, light and pose say nothing of the label.

mod hub_layout;

use std::path::Path;

use anyhow::{Context, Result};
use hub_layout::Row;
use miniworld::SIZE;
use miniworld::contexts::CONTEXTS;
use miniworld::instance::Attribute;
use miniworld::objects::CLASSES;
use miniworld::scene::Scene;

/// What was done to the object, sorted by name as picture folders are.
const LABELS: [(&str, Option<Attribute>); 4] = [
    ("as it is", None),
    ("cube shaped", Some(Attribute::CubeShaped)),
    ("shiny", Some(Attribute::Shiny)),
    ("wet", Some(Attribute::Wet)),
];
/// Name, pictures, and the seed of the first.
const SPLITS: [(&str, usize, u64); 2] = [("train", 560, 5_000_000), ("test", 280, 6_000_000)];
const QUALITY: u8 = 85;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).context("give the folder to write")?;
    for (split, count, seed) in SPLITS {
        let path = Path::new(&folder).join(format!("data/{split}-00000-of-00001.parquet"));
        let rows = (0..count).map(|index| row(index, seed)).collect::<Result<Vec<_>>>()?;
        hub_layout::write(&path, Some(&LABELS.map(|(name, _)| name)), &rows)?;
    }
    Ok(())
}

fn row(index: usize, first_seed: u64) -> Result<Row> {
    let (label, class) = (index % LABELS.len(), index / LABELS.len() % CLASSES.len());
    let mut scene = Scene::from_prompt(class, 0, first_seed + index as u64);
    scene.attribute = LABELS[label].1;
    // Every object stands in as many places with each label.
    scene.context.index = (index / LABELS.len() * 5 + class) % CONTEXTS.len();
    let mut bytes = Vec::new();
    let size = SIZE as u32;
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode(
        &scene.render().rgb,
        size,
        size,
        image::ExtendedColorType::Rgb8,
    )?;
    Ok((format!("{index:04}.jpg"), bytes, label as i64))
}
