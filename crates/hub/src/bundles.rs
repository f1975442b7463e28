//! What can be fetched by name. A new bundle is an entry of [`BUNDLES`].

use crate::error::{HubError, Result};

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
    /// Key of an experiment's `--set` that names the folder.
    pub setting: &'static str,
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

use Files::{Each, FirstOf};

pub const BUNDLES: &[Bundle] = &[
    Bundle {
        name: "glue",
        about: "nine tasks of GLUE, training and validation sets",
        kind: Kind::Dataset,
        repo: "nyu-mll/glue",
        files: &[],
        parts: &[
            part("mnli", &[Each("mnli/train-*.parquet"), Each("mnli/validation_matched-*.parquet")]),
            part("sst2", &[Each("sst2/train-*.parquet"), Each("sst2/validation-*.parquet")]),
            part("mrpc", &[Each("mrpc/train-*.parquet"), Each("mrpc/validation-*.parquet")]),
            part("cola", &[Each("cola/train-*.parquet"), Each("cola/validation-*.parquet")]),
            part("qnli", &[Each("qnli/train-*.parquet"), Each("qnli/validation-*.parquet")]),
            part("qqp", &[Each("qqp/train-*.parquet"), Each("qqp/validation-*.parquet")]),
            part("rte", &[Each("rte/train-*.parquet"), Each("rte/validation-*.parquet")]),
            part("stsb", &[Each("stsb/train-*.parquet"), Each("stsb/validation-*.parquet")]),
            part("wnli", &[Each("wnli/train-*.parquet"), Each("wnli/validation-*.parquet")]),
        ],
        models: &["roberta-base"],
        setting: "data",
        in_cache: false,
        licence: "each task's own, see the data set's page",
        gated: false,
        about_bytes: 120_000_000,
    },
    Bundle {
        name: "roberta-base",
        about: "encoder of 125 million parameters",
        kind: Kind::Model,
        repo: "FacebookAI/roberta-base",
        files: &[
            Each("config.json"),
            Each("model.safetensors"),
            FirstOf(&[&["tokenizer.json"], &["vocab.json", "merges.txt"]]),
        ],
        parts: &[],
        models: &[],
        setting: "model",
        in_cache: false,
        licence: "MIT",
        gated: false,
        about_bytes: 500_000_000,
    },
    Bundle {
        name: "alpaca",
        about: "52,002 instructions; the paper's experiment took a cleaned version of them, see experiments/instruct/scales.toml",
        kind: Kind::Dataset,
        repo: "tatsu-lab/alpaca",
        files: &[Each("data/train-*.parquet")],
        parts: &[],
        models: &["llama2-7b"],
        setting: "instructions",
        in_cache: false,
        licence: "CC BY-NC 4.0",
        gated: false,
        about_bytes: 25_000_000,
    },
    Bundle {
        files: &[Each("all/test-*.parquet")],
        licence: "MIT",
        about_bytes: 4_000_000,
        ..exam("mmlu", "cais/mmlu", "MMLU's 14,042 test questions")
    },
    Bundle {
        files: &[Each("ARC-Challenge/test-*.parquet")],
        licence: "CC BY-SA 4.0",
        about_bytes: 1_000_000,
        ..exam("arc", "allenai/ai2_arc", "ARC-Challenge's 1,172 test questions")
    },
    Bundle {
        files: &[Each("multiple_choice/validation-*.parquet")],
        licence: "Apache-2.0",
        about_bytes: 1_000_000,
        ..exam("truthfulqa", "truthfulqa/truthful_qa", "TruthfulQA's 817 questions with choices")
    },
    Bundle {
        name: "llama2-7b",
        about: "decoder of 6.7 billion parameters",
        kind: Kind::Model,
        repo: "meta-llama/Llama-2-7b-hf",
        files: &[
            Each("config.json"),
            Each("tokenizer.json"),
            FirstOf(&[&["model.safetensors"], &["model.safetensors.index.json", "model-*.safetensors"]]),
        ],
        parts: &[],
        models: &[],
        setting: "model",
        in_cache: false,
        licence: "Llama 2 Community License",
        gated: true,
        about_bytes: 13_500_000_000,
    },
];

/// Questions of one of several data sets that are asked together.
const fn exam(name: &'static str, repo: &'static str, about: &'static str) -> Bundle {
    Bundle {
        name,
        about,
        kind: Kind::Dataset,
        repo,
        files: &[],
        parts: &[],
        models: &[],
        setting: "evaluation.data",
        in_cache: true,
        licence: "",
        gated: false,
        about_bytes: 0,
    }
}

const fn part(name: &'static str, files: &'static [Files]) -> Part {
    Part { name, files }
}

/// The bundle of this name.
pub fn find(name: &str) -> Result<&'static Bundle> {
    BUNDLES.iter().find(|bundle| bundle.name == name).ok_or_else(|| HubError::UnknownBundle {
        name: name.to_string(),
        known: BUNDLES.iter().map(|bundle| bundle.name).collect::<Vec<_>>().join(", "),
    })
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
        let names: BTreeSet<&str> = BUNDLES.iter().map(|bundle| bundle.name).collect();
        assert_eq!(names.len(), BUNDLES.len());
        for bundle in BUNDLES {
            assert!(!bundle.wanted(&[]).unwrap().is_empty(), "{} is of no files", bundle.name);
            for model in bundle.models {
                assert_eq!(find(model).unwrap().kind, Kind::Model, "{model}");
            }
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_that_lists_the_known_ones() {
        let error = find("glu").unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no bundle `glu`; there are glue, roberta-base, alpaca, mmlu, arc, truthfulqa, llama2-7b"
        );
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
