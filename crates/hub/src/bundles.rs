//! What a bundle of files on the hub is, and which of its files are needed.

use crate::error::{HubError, Result};

/// Revision of every bundle of the table.
pub const MAIN: &str = "main";

/// Files of one repository, under a name.
#[derive(Debug)]
pub struct Bundle {
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    pub kind: Kind,
    /// `owner/name` on the hub.
    pub repo: &'static str,
    /// Branch, tag or commit.
    pub revision: &'static str,
    pub files: &'static [Files],
    /// Files that can be chosen by name; all of them when none is.
    pub parts: &'static [Part],
    /// Bundles of the checkpoints that its experiment trains.
    pub models: &'static [&'static str],
    /// Key of an experiment's `--set` that names the folder; none where it depends on the experiment.
    pub setting: Option<&'static str>,
    /// Where experiment files have it.
    pub place: &'static str,
    /// Folder in the repository that the setting names; empty for the repository itself.
    pub inside: &'static str,
    /// The setting names the cache, below which the experiment finds several data sets by their names.
    pub in_cache: bool,
    pub licence: &'static str,
    /// The licence must be accepted on the hub before anything can be downloaded.
    pub gated: bool,
    /// Size of all files, for lists that are made without asking the hub.
    pub about_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Model,
    Dataset,
}

/// Files that are needed together. In names, `*` stands for anything but `/`.
#[derive(Debug)]
pub enum Files {
    /// All files of this name, at least one.
    Each(&'static str),
    /// The first of these sets that the repository has whole.
    FirstOf(&'static [&'static [&'static str]]),
    /// All files of this name, at least one, where `*` stands for any text, as in `huggingface_hub`'s patterns.
    Matching(&'static str),
}

#[derive(Debug)]
pub struct Part {
    pub name: &'static str,
    pub files: &'static [Files],
}

impl Bundle {
    /// What is needed when the parts of these names are chosen.
    pub(crate) fn wanted(&self, parts: &[String]) -> Result<Vec<&'static Files>> {
        for name in parts {
            if !self.parts.iter().any(|part| part.name == name) {
                let known: Vec<&str> = self.parts.iter().map(|part| part.name).collect();
                return Err(HubError::UnknownPart {
                    bundle: self.name,
                    name: name.clone(),
                    known: known.join(", "),
                });
            }
        }
        let chosen =
            self.parts.iter().filter(|part| parts.is_empty() || parts.iter().any(|name| name == part.name));
        Ok(self.files.iter().chain(chosen.flat_map(|part| part.files)).collect())
    }
}

impl Kind {
    /// The word in addresses and in the cache's folder names.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Kind::Model => "models",
            Kind::Dataset => "datasets",
        }
    }

    /// In front of a repository's name in the addresses of its page and files.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Kind::Model => "",
            Kind::Dataset => "datasets/",
        }
    }
}
