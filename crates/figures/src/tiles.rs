//! Picture files of a results folder, and the single pictures in them.

use std::path::{Path, PathBuf};

use image::RgbImage;
use image::imageops::{self, FilterType};

use crate::error::{FiguresError, Result};

/// For a picture or a list of prompts that is not there.
const REMEDY: &str = "run the experiment here, it writes this file";
/// Tiles in a row of a trial's picture file.
const TILES_ACROSS: u32 = 5;

/// The folder of pictures of a results folder.
pub struct Pictures(PathBuf);

impl Pictures {
    pub fn of(results: &Path) -> Self {
        Self(results.join("pictures"))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The prompts of a subject, and the file they are from.
    pub fn prompts(&self, subject: &str) -> Result<(PathBuf, Vec<String>)> {
        let path = self.0.join(format!("prompts-{subject}.txt"));
        let text = results::read(&path, REMEDY)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let prompts = lines.map(str::to_owned).collect();
        Ok((path, prompts))
    }

    /// The real pictures of a subject.
    pub fn real(&self, subject: &str) -> Result<Vec<RgbImage>> {
        Ok(strip(&read_picture(&self.0.join(format!("subject-{subject}.png")))?))
    }

    /// What a trial drew at its end; `None` where it left no file.
    pub fn of_trial(&self, id: &str) -> Result<Option<RgbImage>> {
        self.file(&format!("{id}.png"))
    }

    /// What a trial drew at a step along the way; `None` where it left no file.
    pub fn of_step(&self, id: &str, step: u64) -> Result<Option<RgbImage>> {
        self.file(&format!("{id}-{step}.png"))
    }

    /// Steps at which a trial drew, in their order.
    pub fn steps(&self, id: &str) -> Vec<u64> {
        let step = |entry: std::io::Result<std::fs::DirEntry>| {
            let name = entry.ok()?.file_name();
            name.to_str()?.strip_prefix(id)?.strip_prefix('-')?.strip_suffix(".png")?.parse().ok()
        };
        let mut steps: Vec<u64> = std::fs::read_dir(&self.0).into_iter().flatten().filter_map(step).collect();
        steps.sort_unstable();
        steps
    }

    fn file(&self, name: &str) -> Result<Option<RgbImage>> {
        let path = self.0.join(name);
        path.exists().then(|| read_picture(&path)).transpose()
    }
}

fn read_picture(path: &Path) -> Result<RgbImage> {
    let bytes = results::read_bytes(path, REMEDY)?;
    let picture =
        image::load_from_memory(&bytes).map_err(|error| FiguresError::picture(path, error))?.to_rgb8();
    if picture.width() < TILES_ACROSS || picture.height() == 0 {
        return Err(FiguresError::picture(
            path,
            format!("it is {} × {} pixels", picture.width(), picture.height()),
        ));
    }
    Ok(picture)
}

/// The pictures of a horizontal strip of squares.
fn strip(picture: &RgbImage) -> Vec<RgbImage> {
    let side = picture.height().min(picture.width());
    (0..picture.width() / side)
        .map(|index| imageops::crop_imm(picture, index * side, 0, side, side).to_image())
        .collect()
}

/// The first picture of a prompt in a trial's file; `None` where the file is too short for it.
pub fn prompt_tile(tiles: &RgbImage, prompt: usize) -> Option<RgbImage> {
    let side = tiles.width() / TILES_ACROSS;
    let prompt = u32::try_from(prompt).ok()?;
    let (left, top) = (prompt % TILES_ACROSS * side, prompt / TILES_ACROSS * side);
    (top + side <= tiles.height()).then(|| imageops::crop_imm(tiles, left, top, side, side).to_image())
}

pub fn resized(picture: &RgbImage, side: u32) -> RgbImage {
    let filter = if picture.width() > side { FilterType::Lanczos3 } else { FilterType::CatmullRom };
    imageops::resize(picture, side, side, filter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn a_prompt_is_found_in_the_first_page_and_a_short_file_has_no_tile() {
        let side = 4;
        let tiles =
            RgbImage::from_fn(5 * side, 5 * side, |x, y| Rgb([(y / side * 5 + x / side) as u8, 0, 0]));
        for prompt in [0, 4, 6, 24] {
            let tile = prompt_tile(&tiles, prompt).unwrap();
            assert!(tile.pixels().all(|pixel| usize::from(pixel[0]) == prompt));
        }
        assert!(prompt_tile(&tiles, 25).is_none());
    }

    #[test]
    fn steps_are_those_of_the_trials_own_files_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = Pictures::of(folder.path());
        assert!(pictures.steps("ab").is_empty(), "no folder");
        std::fs::create_dir_all(pictures.path()).unwrap();
        for name in
            ["ab-50.png", "ab-0.png", "ab-400.png", "ab.png", "abc-7.png", "ab-x.png", "prompts-ab.txt"]
        {
            std::fs::write(pictures.path().join(name), "").unwrap();
        }
        assert_eq!(pictures.steps("ab"), [0, 50, 400]);
        assert!(pictures.of_step("ab", 9).unwrap().is_none());
        assert!(pictures.of_step("ab", 0).is_err(), "an empty file is no picture");
    }
}
