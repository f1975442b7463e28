//! Weights in PyTorch's own files, and names of older generations.

use std::path::{Path, PathBuf};

use models::diffusion::{load_clip, load_clip_vision, load_vae, load_vit};
use models::weights::Weights;
use models::{find_weights, weight_files};
use tch::{Device, Kind, Tensor};

fn golden(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(case)
}

/// A folder with a case's config, as `inner` of it.
fn scratch(case: &str, inner: &str) -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join(inner);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(golden(case).join("config.json"), folder.join("config.json")).unwrap();
    (root, folder)
}

fn stored(case: &str, file: &str) -> Vec<(String, Tensor)> {
    Tensor::read_safetensors(golden(case).join(file)).unwrap()
}

fn io(case: &str, name: &str) -> Tensor {
    let io = stored(case, "io.safetensors");
    io.into_iter().find(|(stored, _)| stored == name).unwrap().1
}

fn assert_equal(ours: &Tensor, reference: &Tensor) {
    let difference = (ours - reference).abs().max().double_value(&[]);
    assert!(difference <= 1e-4, "differs by {difference:e}");
}

fn assert_same_features(folder: &Path) {
    let vit = load_vit(folder, Device::Cpu).unwrap();
    let features = gradient_mode::off(|| vit.network.forward(&io("vit", "image")));
    assert_equal(&features, &io("vit", "hidden").select(1, 0));
}

#[test]
fn a_vit_is_read_from_a_file_that_pytorch_pickled() {
    let (_root, folder) = scratch("vit", "");
    std::fs::copy(golden("pickled/pytorch_model.bin"), folder.join("pytorch_model.bin")).unwrap();
    assert_eq!(weight_files(&folder).unwrap(), [folder.join("pytorch_model.bin")]);
    assert_same_features(&folder);
}

#[test]
fn a_vit_is_read_in_the_names_of_timm() {
    let (_root, folder) = scratch("vit", "");
    let hf = stored("vit", "model.safetensors");
    let of = |name: &str| hf.iter().find(|(stored, _)| stored == name).unwrap().1.shallow_clone();
    let mut tensors = vec![
        ("cls_token".to_owned(), of("embeddings.cls_token")),
        ("pos_embed".to_owned(), of("embeddings.position_embeddings")),
        ("head.last_layer.weight".to_owned(), Tensor::ones([3], (Kind::Float, Device::Cpu))),
    ];
    for end in ["weight", "bias"] {
        let mut add =
            |new: String, old: &str| tensors.push((format!("{new}.{end}"), of(&format!("{old}.{end}"))));
        add("patch_embed.proj".to_owned(), "embeddings.patch_embeddings.projection");
        add("norm".to_owned(), "layernorm");
        for layer in 0..2 {
            for (new, old) in [
                ("norm1", "layernorm_before"),
                ("attn.proj", "attention.output.dense"),
                ("norm2", "layernorm_after"),
                ("mlp.fc1", "intermediate.dense"),
                ("mlp.fc2", "output.dense"),
            ] {
                add(format!("blocks.{layer}.{new}"), &format!("encoder.layer.{layer}.{old}"));
            }
        }
        for layer in 0..2 {
            let part = |name: &str| of(&format!("encoder.layer.{layer}.attention.attention.{name}.{end}"));
            let fused = Tensor::cat(&["query", "key", "value"].map(part), 0);
            tensors.push((format!("blocks.{layer}.attn.qkv.{end}"), fused));
        }
    }
    let path = folder.join("model.safetensors");
    Tensor::write_safetensors(&tensors, &path).unwrap();
    assert_same_features(&folder);
    let fused = tensors.iter_mut().find(|(name, _)| name == "blocks.1.attn.qkv.weight").unwrap();
    fused.1 = fused.1.narrow(0, 0, 35).contiguous();
    Tensor::write_safetensors(&tensors, &path).unwrap();
    let message = load_vit(&folder, Device::Cpu).unwrap_err().to_string();
    assert!(message.contains("[35, 12]") && message.contains("[36, 12]"), "{message}");
}

#[test]
fn a_vit_under_a_head_is_read_without_it() {
    let (_root, folder) = scratch("vit", "");
    let mut tensors = stored("vit", "model.safetensors");
    tensors.iter_mut().for_each(|(name, _)| *name = format!("vit.{name}"));
    for name in ["vit.pooler.dense.bias", "classifier.weight"] {
        tensors.push((name.to_owned(), Tensor::ones([3], (Kind::Float, Device::Cpu))));
    }
    Tensor::write_safetensors(&tensors, folder.join("model.safetensors")).unwrap();
    assert_same_features(&folder);
}

#[test]
fn the_vaes_older_names_and_kernels_are_read() {
    let case = "vae_two_levels";
    let file = "diffusion_pytorch_model.safetensors";
    let (root, folder) = scratch(case, "vae");
    let mut tensors = stored(case, file);
    for (name, value) in &mut tensors {
        for (new, old) in [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")] {
            *name = name.replace(&format!(".{new}."), &format!(".{old}."));
        }
        if name.contains("attentions") && value.dim() == 2 && name.starts_with("decoder") {
            *value = value.unsqueeze(-1).unsqueeze(-1);
        }
    }
    assert!(tensors.iter().any(|(name, _)| name.contains("proj_attn")));
    Tensor::write_safetensors(&tensors, folder.join(file)).unwrap();
    let vae = load_vae(root.path(), Device::Cpu).unwrap();
    let names = ["image", "mean", "logvar"].map(|name| io(case, name));
    let (mean, log_variance) = gradient_mode::off(|| vae.network.encode(&names[0]));
    assert_equal(&mean, &names[1]);
    assert_equal(&log_variance, &names[2]);
    let wrong = tensors.iter_mut().find(|(name, _)| name == "decoder.conv_in.weight").unwrap();
    wrong.1 = wrong.1.narrow(2, 0, 1).narrow(3, 0, 1).contiguous();
    Tensor::write_safetensors(&tensors, folder.join(file)).unwrap();
    let message = load_vae(root.path(), Device::Cpu).unwrap_err().to_string();
    assert!(message.contains("decoder.conv_in.weight"), "{message}");
}

#[test]
fn a_vision_tower_is_read_out_of_a_whole_clip() {
    let vision = load_clip_vision(&golden("clip"), Device::Cpu).unwrap();
    let both = load_clip(&golden("clip"), Device::Cpu).unwrap();
    let image = io("clip", "image");
    let features = gradient_mode::off(|| vision.network.forward(&image));
    assert_eq!(features, gradient_mode::off(|| both.network.vision.forward(&image)));
    assert_equal(&features, &io("clip", "image_embeds"));
}

#[test]
fn damaged_and_foreign_pickles_are_refused_by_what_they_are() {
    let (_root, folder) = scratch("vit", "");
    let path = folder.join("pytorch_model.bin");
    let bytes = std::fs::read(golden("pickled/pytorch_model.bin")).unwrap();
    let refusal = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let message = load_vit(&folder, Device::Cpu).unwrap_err().to_string();
        assert!(message.contains("pytorch_model.bin"), "{message}");
        message
    };
    for length in [0, 3, 100, bytes.len() / 2, bytes.len() - 1] {
        let message = refusal(&bytes[..length]);
        assert!(message.contains("fetch or copy it again"), "cut at {length}: {message}");
    }
    let legacy = [b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.".as_slice(), &bytes].concat();
    let message = refusal(&legacy);
    assert!(message.contains("before 1.6") && message.contains("python -c"), "{message}");
    // Bytes of the pickle replaced one by one: refused or read, and never a panic.
    let start = bytes.windows(8).position(|window| window == b"data.pkl").unwrap();
    for place in start..start + 1500 {
        let mut bytes = bytes.clone();
        bytes[place] ^= 0x5a;
        std::fs::write(&path, &bytes).unwrap();
        let _ = Weights::open(&path);
    }
}

#[test]
fn without_weights_the_folders_files_are_listed() {
    let (_root, folder) = scratch("vit", "");
    std::fs::write(folder.join("flax_model.msgpack"), "").unwrap();
    let message = find_weights(&folder).unwrap_err().to_string();
    for part in ["holds no weights", "pytorch_model.bin", "there are config.json, flax_model.msgpack"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn safetensors_are_preferred_and_shards_of_either_kind_are_found() {
    let (_root, folder) = scratch("vit", "");
    let touch = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    touch("pytorch_model.bin.index.json", r#"{"weight_map": {"a": "b.bin", "c": "b.bin"}}"#);
    let message = weight_files(&folder).unwrap_err().to_string();
    assert!(message.contains("lists the shard `b.bin`"), "{message}");
    touch("b.bin", "");
    assert_eq!(
        weight_files(&folder).unwrap(),
        ["pytorch_model.bin.index.json", "b.bin"].map(|name| folder.join(name))
    );
    touch("model.fp16.safetensors", "");
    assert_eq!(find_weights(&folder).unwrap(), folder.join("model.fp16.safetensors"));
    touch("model.safetensors", "");
    assert_eq!(find_weights(&folder).unwrap(), folder.join("model.safetensors"));
}
