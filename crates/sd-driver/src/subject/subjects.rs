//! Subjects on disk: DreamBooth's layout, or any folder of pictures.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Context, Result, bail};
use delora_core::stream;
use image::RgbImage;
use models::images::{picture_files, read_rgb, resize_and_crop, resize_and_crop_at};
use rand::RngExt;
use serde::Deserialize;

use crate::subject::settings::{Settings, SubjectSettings};

/// The file in a data folder that says what each subject is.
pub const CLASSES_FILE: &str = "prompts_and_classes.txt";

/// Subjects of the data folder that have pictures there, in the file's order.
pub fn list(data: &Path) -> Result<Vec<SubjectSettings>> {
    let mut subjects = listed(data)?;
    subjects.retain(|subject| data.join(&subject.name).is_dir());
    if subjects.is_empty() {
        let path = data.join(CLASSES_FILE);
        bail!("{}: no line below `subject_name,class` names a folder beside it", path.display());
    }
    Ok(subjects)
}

/// All subjects that the data folder's file names, whether their pictures are there or not.
pub fn listed(data: &Path) -> Result<Vec<SubjectSettings>> {
    let path = data.join(CLASSES_FILE);
    let text = models::inputs::read_to_string(&path).with_context(|| {
        format!("{}: cannot be read; `data` is a folder in DreamBooth's layout", path.display())
    })?;
    let lines = text.lines().skip_while(|line| line.trim() != "subject_name,class").skip(1);
    let subjects = lines.map_while(|line| line.split_once(',')).map(|(name, class)| SubjectSettings {
        name: name.trim().to_owned(),
        class: class.trim().to_owned(),
        folder: None,
        live: None,
    });
    Ok(subjects.collect())
}

/// Folders beside the data folder's file that it does not name, hidden ones aside.
pub fn unlisted(data: &Path) -> Result<Vec<String>> {
    let listed = listed(data)?;
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(data).with_context(|| format!("{}: cannot be read", data.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_known = listed.iter().any(|subject| subject.name == name);
        if path.is_dir() && !name.starts_with('.') && !is_known {
            folders.push(name);
        }
    }
    folders.sort();
    Ok(folders)
}

/// Folder of the subject's pictures.
pub fn folder(settings: &Settings) -> PathBuf {
    let subject = &settings.subject;
    subject.folder.clone().unwrap_or_else(|| settings.data.join(&subject.name))
}

/// Picture files of a folder, see [`picture_files`].
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let files = picture_files(folder)?;
    if files.len() < 2 {
        bail!(
            "{}: found {} pictures (JPEG, PNG, WebP); at least 2 are needed",
            folder.display(),
            files.len()
        );
    }
    Ok(files)
}

/// The pictures of a folder as they are on disk, in any sizes: what scores compare with.
pub fn originals(folder: &Path) -> Result<Vec<RgbImage>> {
    Ok(files(folder)?.iter().map(|path| read_rgb(path)).collect::<Result<_, _>>()?)
}

/// The squares that are learned from: of each picture, shorter side scaled to the resolution, the centre, or
/// `random_crops` at random places. Where every picture is a square all places are one.
pub fn training_pictures(originals: &[RgbImage], settings: &Settings) -> Vec<RgbImage> {
    let size = settings.resolution;
    let are_squares = originals.iter().all(|picture| picture.width() == picture.height());
    let Some(count) = settings.random_crops.filter(|_| !are_squares) else {
        return originals.iter().map(|picture| resize_and_crop(picture, size)).collect();
    };
    let mut stream = stream(0, &format!("crops of subject {}", settings.subject.name));
    let pictures = originals.iter().flat_map(|picture| std::iter::repeat_n(picture, count));
    pictures
        .map(|picture| resize_and_crop_at(picture, size, |slack| stream.random_range(0..=slack)))
        .collect()
}

/// DreamBooth's 25 prompts for the subject's class, under `identifier`, or plain where it is empty.
pub fn prompts(settings: &Settings, identifier: &str) -> Vec<String> {
    let SubjectSettings { class, live, .. } = &settings.subject;
    let live = live.unwrap_or_else(|| matches!(class.as_str(), "cat" | "dog"));
    let mut prompts = protocol_prompts(class, identifier, live);
    prompts.truncate(settings.first_prompts.unwrap_or(prompts.len()));
    prompts
}

/// What DreamBooth's prompts say of the subject, from `prompts.json`.
#[derive(Deserialize)]
struct Phrases {
    /// Behind subjects of any kind.
    #[serde(borrow)]
    shared: [&'static str; 10],
    objects: [&'static str; 10],
    live: [&'static str; 10],
    /// In front of the subject.
    adjectives: [&'static str; 5],
}

static PHRASES: LazyLock<Phrases> =
    LazyLock::new(|| serde_json::from_str(include_str!("prompts.json")).expect("the file holds phrases"));

/// DreamBooth's 25 prompts (google/dreambooth, `prompts_and_classes.txt`).
pub fn protocol_prompts(class: &str, identifier: &str, live: bool) -> Vec<String> {
    let subject = if identifier.is_empty() { class.to_owned() } else { format!("{identifier} {class}") };
    let Phrases { shared, objects, live: of_live, adjectives } = &*PHRASES;
    let places = shared.iter().chain(if live { of_live } else { objects });
    let placed = places.map(|place| format!("a {subject} {place}"));
    placed.chain(adjectives.iter().map(|adjective| format!("a {adjective} {subject}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_25_prompts_and_living_things_their_own() {
        let object = protocol_prompts("can", "qwe", false);
        let live = protocol_prompts("cat", "", true);
        assert_eq!((object.len(), live.len()), (25, 25));
        assert_eq!(object[10], "a qwe can with a wheat field in the background");
        assert_eq!(live[10], "a cat wearing a red hat");
        assert_eq!(object[24], "a cube shaped qwe can");
        let distinct: std::collections::BTreeSet<_> = object.iter().collect();
        assert_eq!(distinct.len(), 25);
    }
}
