//! Pairs of a picture and its label map, with captions, in the layout of ADE20K's scene parsing benchmark.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use finetune::enough;
use image::RgbImage;
use models::images::{Filter, picture_files, read_rgb, resize};
use serde::Deserialize;

use super::masks::Mask;
use super::settings::Settings;

/// Files of one pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    pub picture: PathBuf,
    pub mask: PathBuf,
    pub caption: String,
}

/// A line of `<split>.jsonl`. The other names are those of OFT's caption files.
#[derive(Deserialize)]
struct Line {
    #[serde(alias = "target")]
    image: PathBuf,
    #[serde(alias = "source")]
    mask: PathBuf,
    #[serde(alias = "prompt", default)]
    caption: String,
}

/// The pairs of a split, `training` or `validation`: those of `<split>.jsonl` in its order, a JSON object per line with
/// `image`, `mask` and `caption`, files relative to `folder`; without that file every `images/<split>/X.jpg` (or
/// `.png`) that has an `annotations/<split>/X.png`, by name and without captions. With `first` only so many of them.
pub fn list(folder: &Path, split: &str, first: Option<usize>) -> Result<Vec<Pair>> {
    let captions = folder.join(format!("{split}.jsonl"));
    let mut pairs =
        if captions.is_file() { of_lines(&captions, folder)? } else { of_folders(folder, split)? };
    if pairs.is_empty() {
        bail!(
            "{}: has no {split} pairs; needed are {split}.jsonl, or images/{split}/ and annotations/{split}/ (`delora world \
             --pairs` writes those of the mini world)",
            folder.display()
        );
    }
    let key = if split == "training" { "train_limit" } else { "validation_limit" };
    enough(key, first, pairs.len(), &format!("the {split} set in {}", folder.display()))?;
    pairs.truncate(first.unwrap_or(pairs.len()));
    Ok(pairs)
}

fn of_lines(path: &Path, folder: &Path) -> Result<Vec<Pair>> {
    let text = models::inputs::read_to_string(path)
        .with_context(|| format!("{}: cannot be read", path.display()))?;
    let numbered = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let pair = |(number, line): (usize, &str)| {
        let line: Line = serde_json::from_str(line).with_context(|| {
            format!("{}: line {}: is no pair of `image` and `mask`", path.display(), number + 1)
        })?;
        Ok(Pair { picture: folder.join(line.image), mask: folder.join(line.mask), caption: line.caption })
    };
    numbered.map(pair).collect()
}

fn of_folders(folder: &Path, split: &str) -> Result<Vec<Pair>> {
    let pictures = by_stem(&folder.join("images").join(split))?;
    let mut masks = by_stem(&folder.join("annotations").join(split))?;
    masks.retain(|_, mask| mask.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png")));
    let pair = |(stem, picture): (String, PathBuf)| {
        let mask = masks.remove(&stem).with_context(|| {
            format!("{}: has no label map {stem}.png in annotations/{split}/", picture.display())
        })?;
        Ok(Pair { picture, mask, caption: String::new() })
    };
    pictures.into_iter().map(pair).collect()
}

/// Pictures by name without extension; an absent folder has none.
fn by_stem(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    if !folder.exists() {
        return Ok(files);
    }
    for path in picture_files(folder)? {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(other) = files.insert(stem, path.clone()) {
            bail!("{}: {} has the same name; rename or move one away", path.display(), other.display());
        }
    }
    Ok(files)
}

impl Pair {
    /// The picture on `side` × `side` pixels, stretched where it is no square, as its label map is.
    pub fn picture(&self, side: u32) -> Result<RgbImage> {
        Ok(resize(&read_rgb(&self.picture)?, side, side, Filter::Bilinear))
    }

    /// The label map on `side` × `side` pixels.
    pub fn labels(&self, side: u32, classes: usize) -> Result<Vec<u8>> {
        Ok(Mask::read(&self.mask, classes)?.resized(side))
    }
}

/// Files that the training and validation pairs are read from.
pub fn files(settings: &Settings) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for (split, limit) in [("training", settings.train_limit), ("validation", settings.validation_limit)] {
        let pairs = list(&settings.data, split, limit)?;
        // Captions are part of the split's file, where they are given.
        let captions = settings.data.join(format!("{split}.jsonl"));
        files.extend(captions.is_file().then_some(captions));
        files.extend(pairs.into_iter().flat_map(|pair| [pair.picture, pair.mask]));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn pairs_are_those_of_the_caption_file_or_of_equal_names() {
        let lines = "{\"image\": \"a.jpg\", \"mask\": \"a.png\", \"caption\": \"a room\"}\n\n\
                     {\"target\": \"b.jpg\", \"source\": \"b.png\", \"prompt\": \"an office\"}\n";
        let captioned = folder(&[("training.jsonl", lines)]);
        let pairs = list(captioned.path(), "training", None).unwrap();
        let captions: Vec<&str> = pairs.iter().map(|pair| pair.caption.as_str()).collect();
        assert_eq!(captions, ["a room", "an office"]);
        assert_eq!(pairs[1].mask, captioned.path().join("b.png"));
        let named = folder(&[
            ("images/validation/2.jpg", ""),
            ("images/validation/1.jpg", ""),
            ("annotations/validation/1.png", ""),
            ("annotations/validation/2.png", ""),
            ("annotations/validation/3.png", ""),
        ]);
        let pairs = list(named.path(), "validation", Some(1)).unwrap();
        assert_eq!(pairs.len(), 1);
        assert_eq!(pairs[0].picture, named.path().join("images/validation/1.jpg"));
    }

    #[test]
    fn a_limit_beyond_the_pairs_two_pictures_of_a_name_and_unread_pictures_are_errors() {
        let files = |more: &str| {
            folder(&[("images/training/1.jpg", ""), ("annotations/training/1.png", ""), (more, "")])
        };
        let message = |folder: tempfile::TempDir, first| {
            format!("{:#}", list(folder.path(), "training", first).unwrap_err())
        };
        let few = message(files("images/training/._1.jpg"), Some(2));
        assert!(few.contains("train_limit: found 2") && few.contains("has 1"), "{few}");
        let two = message(files("images/training/1.png"), None);
        assert!(two.contains("1.png") && two.contains("1.jpg has the same name"), "{two}");
        let unread = message(files("images/training/2.tif"), None);
        assert!(unread.contains("2.tif: pictures of these kinds are not read"), "{unread}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let message =
            |folder: &tempfile::TempDir| format!("{:#}", list(folder.path(), "training", None).unwrap_err());
        assert!(message(&folder(&[])).contains("has no training pairs; needed are training.jsonl"));
        let alone = message(&folder(&[("images/training/7.jpg", "")]));
        assert!(alone.contains("7.jpg: has no label map 7.png in annotations/training/"), "{alone}");
        let broken =
            message(&folder(&[("training.jsonl", "{\"image\": \"a\", \"mask\": \"b\"}\n{\"image\": 3}\n")]));
        assert!(broken.contains("training.jsonl: line 2: is no pair"), "{broken}");
    }
}
