//! The bundles: which repositories, and which of their files. A new bundle is an entry of [`BUNDLES`].
//!
//! Sizes are rounded and only for lists that are made without asking the hub; a plan has the hub's own.

use crate::bundles::Files::{Each, FirstOf};
use crate::bundles::{Bundle, Files, Kind, MAIN, Part};
use crate::by_hand::BY_HAND;
use crate::error::{HubError, Result};

pub const BUNDLES: &[Bundle] = &[
    Bundle {
        files: &[
            Each("model_index.json"),
            Each("scheduler/scheduler_config.json"),
            Each("tokenizer/vocab.json"),
            Each("tokenizer/merges.txt"),
            Each("tokenizer/*.json"),
            Each("text_encoder/config.json"),
            Each("text_encoder/model.safetensors"),
            Each("unet/config.json"),
            Each("unet/diffusion_pytorch_model.safetensors"),
            Each("vae/config.json"),
            Each("vae/diffusion_pytorch_model.safetensors"),
        ],
        place: "models/stable-diffusion-v1-5",
        licence: "CreativeML OpenRAIL-M",
        about_bytes: 4_270_000_000,
        // The mirror of runwayml/stable-diffusion-v1-5, which is gone. No safety checker: the pictures are scored, not shown.
        ..model(
            "sd15",
            "stable-diffusion-v1-5/stable-diffusion-v1-5",
            "Stable Diffusion 1.5 in float32, without its safety checker",
        )
    },
    Bundle {
        files: &[
            Each("config.json"),
            Each("preprocessor_config.json"),
            // The repository had the second alone when this was written.
            FirstOf(&[&["model.safetensors"], &["pytorch_model.bin"]]),
        ],
        setting: Some("evaluators.dino"),
        place: "models/dino-vits16",
        licence: "Apache-2.0",
        about_bytes: 87_000_000,
        ..model("dino-vits16", "facebook/dino-vits16", "DINO ViT-S/16, which scores subjects")
    },
    Bundle {
        files: CLIP_FILES,
        place: "models/clip-vit-large-patch14",
        about_bytes: 1_720_000_000,
        ..clip(
            "clip-vit-large-patch14",
            "openai/clip-vit-large-patch14",
            "CLIP ViT-L/14, which scores subjects and prompts",
        )
    },
    Bundle {
        files: CLIP_FILES,
        place: "models/clip-vit-base-patch32",
        about_bytes: 610_000_000,
        ..clip(
            "clip-vit-base-patch32",
            "openai/clip-vit-base-patch32",
            "CLIP ViT-B/32, the other reading of CLIP-I; `--set evaluators.clip` takes it",
        )
    },
    Bundle {
        files: &[
            Each("dataset/prompts_and_classes.txt"),
            Each("dataset/references_and_licenses.txt"),
            Each("dataset/*/*.jpg"),
        ],
        place: "data/dreambooth/dataset",
        inside: "dataset",
        licence: "CC BY 4.0; each picture's own in dataset/references_and_licenses.txt",
        about_bytes: 112_000_000,
        ..dataset("dreambooth", "google/dreambooth", "158 photographs of DreamBooth's 30 subjects")
    },
    Bundle {
        files: &[
            Each("config.json"),
            FirstOf(&[&["diffusion_pytorch_model.safetensors"], &["diffusion_pytorch_model.bin"]]),
        ],
        setting: None,
        place: "models/control_v11p_sd15_seg",
        licence: "CreativeML OpenRAIL-M",
        about_bytes: 1_450_000_000,
        ..model(
            "controlnet-seg",
            "lllyasviel/control_v11p_sd15_seg",
            "ControlNet for segmentation maps: its condition encoder is used, but comes in one file with the rest",
        )
    },
    Bundle {
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
        place: "data/glue",
        licence: "each task's own, see the data set's page",
        about_bytes: 120_000_000,
        ..dataset("glue", "nyu-mll/glue", "nine tasks of GLUE, training and validation sets")
    },
    Bundle {
        files: &[
            Each("config.json"),
            Each("model.safetensors"),
            FirstOf(&[&["tokenizer.json"], &["vocab.json", "merges.txt"]]),
        ],
        place: "models/roberta-base",
        licence: "MIT",
        about_bytes: 500_000_000,
        ..model("roberta-base", "FacebookAI/roberta-base", "encoder of 125 million parameters")
    },
    Bundle {
        files: &[Each("config.json"), Each("preprocessor_config.json"), Each("model.safetensors")],
        place: "models/vit-base-patch16-224-in21k",
        licence: "Apache-2.0",
        about_bytes: 346_000_000,
        ..model("vit-base", "google/vit-base-patch16-224-in21k", "ViT-B/16 of ImageNet-21k")
    },
    Bundle {
        files: &[Each("data/train-*.parquet"), Each("data/test-*.parquet")],
        models: &["vit-base"],
        place: "data/oxford-iiit-pet",
        licence: "CC BY-SA 4.0",
        about_bytes: 790_000_000,
        ..dataset("oxford-iiit-pet", "timm/oxford-iiit-pet", "pictures of 37 breeds of cats and dogs")
    },
    Bundle {
        files: &[Each("data/train-*.parquet")],
        models: &["llama2-7b"],
        setting: Some("instructions"),
        place: "data/alpaca",
        licence: "CC BY-NC 4.0",
        about_bytes: 25_000_000,
        ..dataset(
            "alpaca",
            "tatsu-lab/alpaca",
            "52,002 instructions; the paper's experiment took a cleaned version of them, `alpaca-cleaned`",
        )
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
        files: &[
            Each("config.json"),
            Each("tokenizer.json"),
            FirstOf(&[&["model.safetensors"], &["model.safetensors.index.json", "model-*.safetensors"]]),
        ],
        place: "models/Llama-2-7b-hf",
        licence: "Llama 2 Community License",
        gated: true,
        about_bytes: 13_500_000_000,
        ..model("llama2-7b", "meta-llama/Llama-2-7b-hf", "decoder of 6.7 billion parameters")
    },
];

/// Weights of `pytorch_model.bin` where a repository has no others, as that of ViT-B/32 may.
const CLIP_FILES: &[Files] = &[
    Each("config.json"),
    Each("preprocessor_config.json"),
    Each("tokenizer.json"),
    Each("vocab.json"),
    Each("merges.txt"),
    FirstOf(&[&["model.safetensors"], &["pytorch_model.bin"]]),
];

const fn model(name: &'static str, repo: &'static str, about: &'static str) -> Bundle {
    Bundle {
        name,
        about,
        kind: Kind::Model,
        repo,
        revision: MAIN,
        files: &[],
        parts: &[],
        models: &[],
        setting: Some("model"),
        place: "",
        inside: "",
        in_cache: false,
        licence: "",
        gated: false,
        about_bytes: 0,
    }
}

/// A model whose repository states no licence; its code has MIT.
const fn clip(name: &'static str, repo: &'static str, about: &'static str) -> Bundle {
    Bundle {
        setting: Some("evaluators.clip"),
        licence: "MIT, that of its code; its page states none",
        ..model(name, repo, about)
    }
}

const fn dataset(name: &'static str, repo: &'static str, about: &'static str) -> Bundle {
    Bundle { kind: Kind::Dataset, setting: Some("data"), ..model(name, repo, about) }
}

/// Questions of one of several data sets that are asked together.
const fn exam(name: &'static str, repo: &'static str, about: &'static str) -> Bundle {
    Bundle { setting: Some("evaluation.data"), place: "data", in_cache: true, ..dataset(name, repo, about) }
}

const fn part(name: &'static str, files: &'static [Files]) -> Part {
    Part { name, files }
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
            let is_told = !bundle.place.is_empty() && !bundle.licence.is_empty() && bundle.about_bytes > 0;
            assert!(is_told, "{}", bundle.name);
            for model in bundle.models {
                assert_eq!(find(model).unwrap().kind, Kind::Model, "{model}");
            }
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_that_lists_the_known_ones() {
        let error = find("glu").unwrap_err().to_string();
        let start = "there is no bundle `glu`; there are sd15, dino-vits16, clip-vit-";
        assert!(error.starts_with(start), "{error}");
        assert!(error.contains(", glue, roberta-base, ") && error.ends_with(", alpaca-cleaned"), "{error}");
        let error = find("glue").unwrap().wanted(&["cola".into(), "sst".into()]).unwrap_err().to_string();
        let parts = "mnli, sst2, mrpc, cola, qnli, qqp, rte, stsb, wnli";
        assert_eq!(error, format!("`glue` has no part `sst`; it has {parts}"));
    }

    #[test]
    fn chosen_parts_are_a_part_of_the_whole() {
        let glue = find("glue").unwrap();
        assert_eq!(glue.wanted(&[]).unwrap().len(), 18);
        assert_eq!(glue.wanted(&["cola".into(), "mnli".into()]).unwrap().len(), 4);
    }
}
