//! Draws sheets of scenes and subjects into a folder, and prints how fast scenes are drawn.
//!
//! `cargo run --release -p miniworld --example contact_sheet -- FOLDER`

use std::path::Path;
use std::time::Instant;

use image::{RgbImage, imageops};
use miniworld::{SIZE, Scene, subjects};
use rayon::prelude::*;

fn sheet(rows: &[Vec<Scene>], path: &Path) -> anyhow::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(1);
    let mut sheet = RgbImage::new((columns * SIZE) as u32, (rows.len() * SIZE) as u32);
    for (row, scenes) in rows.iter().enumerate() {
        for (column, scene) in scenes.iter().enumerate() {
            let tile =
                RgbImage::from_raw(SIZE as u32, SIZE as u32, scene.render().rgb).expect("a whole picture");
            imageops::replace(&mut sheet, &tile, (column * SIZE) as i64, (row * SIZE) as i64);
        }
    }
    let sheet =
        imageops::resize(&sheet, sheet.width() * 2, sheet.height() * 2, imageops::FilterType::Nearest);
    Ok(sheet.save(path)?)
}

fn main() -> anyhow::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "runs/sheets".to_owned());
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let scenes: Vec<Vec<Scene>> =
        (0..8).map(|row| (0..12).map(|column| Scene::sample(row * 12 + column)).collect()).collect();
    scenes
        .iter()
        .flatten()
        .enumerate()
        .take(24)
        .for_each(|(seed, scene)| println!("{}", scene.caption(seed as u64)));
    sheet(&scenes, &folder.join("scenes.png"))?;
    let prompts: Vec<Vec<Scene>> = [5, 8, 9, 12]
        .into_iter()
        .flat_map(|class| {
            [0..13, 13..25].map(|range| range.map(|prompt| Scene::from_prompt(class, prompt, 3)).collect())
        })
        .collect();
    sheet(&prompts, &folder.join("prompts.png"))?;
    let pictures: Vec<Vec<Scene>> = subjects().iter().map(|subject| subject.pictures()).collect();
    sheet(&pictures, &folder.join("subjects.png"))?;
    let started = Instant::now();
    let bytes: usize = (0..4000u64).into_par_iter().map(|seed| Scene::sample(seed).render().rgb.len()).sum();
    println!("{:.0} pictures/s ({bytes} bytes)", 4000.0 / started.elapsed().as_secs_f64());
    Ok(())
}
