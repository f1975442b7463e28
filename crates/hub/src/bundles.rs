//! What can be fetched by name: bundles of files on the hub. They are listed in `table.rs`.

use crate::by_hand::BY_HAND;
use crate::error::{HubError, Result};
use crate::table::BUNDLES;

/// Revision of every bundle.
pub(crate) const REVISION: &str = "main";

/// Files of one repository, under a name.
#[derive(Debug)]
pub struct Bundle {
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    pub kind: Kind,
    /// `owner/name` on the hub.
    pub repo: &'static str,
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
}

#[derive(Debug)]
pub struct Part {
    pub name: &'static str,
    pub files: &'static [Files],
}

/// The bundle of this name.
pub fn find(name: &str) -> Result<&'static Bundle> {
    BUNDLES.iter().find(|bundle| bundle.name == name).ok_or_else(|| HubError::UnknownBundle {
        name: name.to_string(),
        known: known().collect::<Vec<_>>().join(", "),
    })
}

/// All names, those of what is fetched by hand last.
fn known() -> impl Iterator<Item = &'static str> {
    BUNDLES.iter().map(|bundle| bundle.name).chain(BY_HAND.iter().map(|entry| entry.name))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_models_exist() {
        let names: BTreeSet<&str> = known().collect();
        assert_eq!(names.len(), BUNDLES.len() + BY_HAND.len());
        for bundle in BUNDLES {
            assert!(!bundle.wanted(&[]).unwrap().is_empty(), "{} is of no files", bundle.name);
            assert!(
                !bundle.place.is_empty() && !bundle.licence.is_empty() && bundle.about_bytes > 0,
                "{}",
                bundle.name
            );
            for model in bundle.models {
                assert_eq!(find(model).unwrap().kind, Kind::Model, "{model}");
            }
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_that_lists_the_known_ones() {
        let error = find("glu").unwrap_err().to_string();
        assert!(
            error.starts_with("there is no bundle `glu`; there are sd15, dino-vits16, clip-vit-"),
            "{error}"
        );
        assert!(error.contains(", glue, roberta-base, ") && error.ends_with(", alpaca-cleaned"), "{error}");
        let error = find("glue").unwrap().wanted(&["cola".into(), "sst".into()]).unwrap_err().to_string();
        assert_eq!(
            error,
            "`glue` has no part `sst`; it has mnli, sst2, mrpc, cola, qnli, qqp, rte, stsb, wnli"
        );
    }

    #[test]
    fn chosen_parts_are_a_part_of_the_whole() {
        let glue = find("glue").unwrap();
        assert_eq!(glue.wanted(&[]).unwrap().len(), 18);
        assert_eq!(glue.wanted(&["cola".into(), "mnli".into()]).unwrap().len(), 4);
    }
}
