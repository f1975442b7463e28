//! Pictures on disk: what a trial drew, the subject's own, and the prompts, for picture grids.

use std::path::Path;

use anyhow::{Context, Result};
use image::{RgbImage, imageops};
use models::images::from_tensor;
use tch::Tensor;

/// Tiles side by side in a sheet.
const COLUMNS: usize = 5;

/// Writes drawn pictures `[prompts * pictures_per_prompt, 3, H, W]` as pages of five columns: first every prompt's
/// first picture, below them every prompt's second, and so on.
pub fn write_sheet(drawn: &Tensor, pictures_per_prompt: usize, path: &Path) -> Result<()> {
    let tiles = from_tensor(drawn);
    let pages = (0..pictures_per_prompt).map(|page| tiles.iter().skip(page).step_by(pictures_per_prompt));
    let rows_per_page = (tiles.len() / pictures_per_prompt).div_ceil(COLUMNS);
    let (width, height) = tiles[0].dimensions();
    let rows = (rows_per_page * pictures_per_prompt) as u32;
    let mut sheet = RgbImage::new(width * COLUMNS as u32, height * rows);
    for (page, tiles) in pages.enumerate() {
        for (index, tile) in tiles.enumerate() {
            let row = page * rows_per_page + index / COLUMNS;
            let (left, top) = (index % COLUMNS * width as usize, row * height as usize);
            imageops::replace(&mut sheet, tile, left as i64, top as i64);
        }
    }
    write(&sheet, path)
}

/// Whether all values of pictures are numbers.
pub fn is_finite(pictures: &Tensor) -> bool {
    bool::try_from(pictures.isfinite().all()).expect("one truth value")
}

/// Writes pictures side by side.
pub fn write_strip(pictures: &[RgbImage], path: &Path) -> Result<()> {
    let (width, height) = pictures[0].dimensions();
    let mut strip = RgbImage::new(width * pictures.len() as u32, height);
    for (index, picture) in pictures.iter().enumerate() {
        imageops::replace(&mut strip, picture, i64::from(width) * index as i64, 0);
    }
    write(&strip, path)
}

/// A picture appears whole or not at all.
fn write(picture: &RgbImage, path: &Path) -> Result<()> {
    let mut bytes = Vec::new();
    picture.write_to(&mut std::io::Cursor::new(&mut bytes), image::ImageFormat::Png)?;
    runner::write_atomically(path, &bytes).with_context(|| format!("{}: cannot be written", path.display()))
}
