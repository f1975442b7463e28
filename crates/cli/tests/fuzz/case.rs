//! One input: a folder with one thing wrong in it, and what became of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::damage::{Damaged, damaged};
use crate::random::Random;
use crate::worker::Shared;

/// What the program made of an input.
pub enum Verdict {
    /// Taken, with finite numbers only.
    Taken,
    /// Refused with this message.
    Refused(String),
    /// Taken although it should not have been, or otherwise wrong.
    Wrong(String),
}

/// A kind of inputs.
pub struct Kind {
    pub name: &'static str,
    pub share: usize,
    pub attempt: fn(&mut Case, &mut Shared) -> Verdict,
}

pub struct Case {
    pub random: Random,
    /// The input's own folder, empty at first.
    pub folder: PathBuf,
    /// What was done to it, for people.
    pub what: Vec<String>,
    /// Names of which a refusal has to contain one.
    pub blamed: Vec<String>,
}

impl Case {
    /// A copy of a folder or file whose files are links to the originals.
    pub fn linked(&self, original: &Path, name: &str) -> PathBuf {
        let copy = self.folder.join(name);
        link(&original.canonicalize().expect("the corpus is there"), &copy);
        copy
    }

    /// Mutates a file of the case's folder, or what a link there leads to; a refusal has to name it.
    pub fn damage(&mut self, path: &Path) {
        let original = fs::read(path).expect("the corpus can be read");
        self.damage_from(path, &original);
    }

    /// Mutates a file, as [`Case::damage`] does, from the bytes that it had before.
    pub fn damage_from(&mut self, path: &Path, original: &[u8]) {
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        let (damage, what) = damaged(path, original, &mut self.random);
        self.what.push(format!("{name}: {what}"));
        self.blamed.push(name);
        let _ = fs::remove_file(path);
        match damage {
            Damaged::Bytes(bytes) => fs::write(path, bytes).expect("the case's folder can be written"),
            Damaged::Folder => fs::create_dir(path).expect("the case's folder can be written"),
            Damaged::Absent => {}
        }
    }

    /// One of the files below a folder of the case, those that `takes` takes.
    pub fn any_file(&mut self, folder: &Path, takes: impl Fn(&Path) -> bool) -> PathBuf {
        let mut found = Vec::new();
        files_below(folder, &mut found);
        found.retain(|path| takes(path));
        found.sort();
        self.random.pick(&found).clone()
    }
}

fn link(original: &Path, copy: &Path) {
    if !original.is_dir() {
        fs::create_dir_all(copy.parent().expect("a file is in a folder")).expect("folders can be made");
        return symlink(original, copy).expect("links can be made");
    }
    fs::create_dir_all(copy).expect("folders can be made");
    for entry in fs::read_dir(original).expect("the corpus can be read") {
        let path = entry.expect("the corpus can be read").path();
        link(&path, &copy.join(path.file_name().expect("an entry has a name")));
    }
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the case's folder can be read") {
        let path = entry.expect("the case's folder can be read").path();
        if path.is_dir() { files_below(&path, found) } else { found.push(path) }
    }
}
