//! Single-file checkpoints in the original naming, of 1.x and 2.x, against what diffusers computes with the same weights.

use std::fs;
use std::path::{Path, PathBuf};

use models::checkpoint::{Checkpoint, CheckpointConfigs};
use models::diffusion::{CaptionEncoder, StableDiffusion, load_unet, load_vae};
use models::{Frozen, inputs};
use tch::{Device, Kind, Tensor};

use crate::{NETWORK_TOLERANCE, assert_close, folder, tensors};

const CPU: Device = Device::Cpu;
const CASES: [&str; 2] = ["single_file_1", "single_file_2"];

/// A copy of a case with the mini model's tokenizer, and the path of its file.
fn copied(case: &str) -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini/sd");
    for part in ["unet", "vae", "text_encoder", "scheduler", "tokenizer"] {
        fs::create_dir(root.path().join(part)).unwrap();
        let from = if part == "tokenizer" { mini.join(part) } else { folder(case).join(part) };
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            fs::copy(entry.path(), root.path().join(part).join(entry.file_name())).unwrap();
        }
    }
    let file = root.path().join("finetune.safetensors");
    fs::copy(folder(case).join("model.safetensors"), &file).unwrap();
    (root, file)
}

#[test]
fn single_files_give_what_diffusers_computes() {
    for case in CASES {
        let (_root, file) = copied(case);
        let io = tensors(case);
        let _guard = tch::no_grad_guard();
        let captions = CaptionEncoder::load(&file, CPU).unwrap();
        let context = captions.encode_ids(&io["ids"], Kind::Float);
        assert_close(&format!("{case} context"), &context, &io["context"], NETWORK_TOLERANCE);
        let unet = load_unet(&file, CPU).unwrap();
        let output = unet.network.forward(&io["sample"], &io["timesteps"], &context, &Frozen);
        assert_close(&format!("{case} output"), &output, &io["output"], NETWORK_TOLERANCE);
        let decoded = load_vae(&file, CPU).unwrap().network.decode(&io["sample"]);
        assert_close(&format!("{case} decoded"), &decoded, &io["decoded"], NETWORK_TOLERANCE);
    }
}

#[test]
fn all_files_of_a_single_file_checkpoint_are_known() {
    for case in CASES {
        let (root, file) = copied(case);
        let (loaded, opened) = inputs::recorded(|| StableDiffusion::load(&file, CPU));
        loaded.unwrap();
        let files: std::collections::BTreeSet<_> =
            Checkpoint::at(&file).files().unwrap().into_iter().collect();
        assert_eq!(opened, files);
        assert_eq!(files.len(), if case == "single_file_1" { 6 } else { 7 }, "{}", root.path().display());
    }
}

/// What is said of a file with these tensors in place of a checkpoint's.
fn refusal(names: &[&str]) -> String {
    let (_root, file) = copied("single_file_1");
    let one = Tensor::zeros([1], (Kind::Float, CPU));
    let tensors: Vec<_> = names.iter().map(|name| (*name, one.shallow_clone())).collect();
    Tensor::write_safetensors(&tensors, &file).unwrap();
    load_unet(&file, CPU).unwrap_err().to_string()
}

#[test]
fn files_of_other_kinds_are_refused_by_name() {
    for (name, said) in [
        (
            "conditioner.embedders.0.transformer.text_model.embeddings.position_embedding.weight",
            "is of Stable Diffusion XL",
        ),
        ("model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight", "is of Stable Diffusion 3"),
        ("double_blocks.0.img_attn.qkv.weight", "is of FLUX"),
        ("lora_unet_down_blocks_0_attentions_0.alpha", "is of a LoRA"),
        ("something.else", "has no tensor whose name begins with `model.diffusion_model.`"),
    ] {
        let message = refusal(&[name]);
        let right = "supported are single files of whole checkpoints of Stable Diffusion 1.x and 2.x";
        assert!(message.contains("finetune.safetensors: ") && message.contains(said), "{message}");
        assert!(message.ends_with(right), "{message}");
    }
}

#[test]
fn a_file_without_configs_or_of_another_version_says_what_is_missing() {
    let (root, file) = copied("single_file_2");
    let alone = tempfile::tempdir().unwrap();
    let moved = alone.path().join("finetune.safetensors");
    fs::copy(&file, &moved).unwrap();
    let message = CheckpointConfigs::read(&moved).unwrap_err().to_string();
    assert!(message.contains("is a single file, which has weights alone"), "{message}");
    assert!(
        message.contains("unet/config.json is not there; put it into the folder of the model"),
        "{message}"
    );
    // The weights of 1.x among the configs of 2.x, of fewer layers here.
    fs::copy(folder("single_file_1").join("model.safetensors"), &file).unwrap();
    let message = load_unet(&file, CPU).unwrap_err().to_string();
    assert!(message.contains("finetune.safetensors: tensor `down_blocks.0."), "{message}");
    let missing = root.path().join("none.safetensors");
    let message = load_unet(&missing, CPU).unwrap_err().to_string();
    assert!(message.contains("none.safetensors"), "{message}");
    let message = load_unet(&root.path().join("old.ckpt"), CPU).unwrap_err().to_string();
    assert!(message.contains("old.ckpt: is no safetensors file"), "{message}");
}

#[test]
fn folders_of_other_pipelines_are_refused_by_their_class() {
    let (root, _) = copied("single_file_1");
    fs::remove_dir_all(root.path().join("unet")).unwrap();
    for class in ["FluxPipeline", "StableDiffusionXLPipeline", "StableDiffusion3Pipeline"] {
        fs::write(root.path().join("model_index.json"), format!(r#"{{"_class_name": "{class}"}}"#)).unwrap();
        let message = CheckpointConfigs::read(root.path()).unwrap_err().to_string();
        let said = format!(
            "model_index.json: is of the class `{class}`, which is not supported; `StableDiffusionPipeline`"
        );
        assert!(message.contains(&said), "{message}");
    }
}
