use std::fs;

use tch::{Kind, Tensor};

use super::*;

fn assets(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini").join(name)
}

fn layouts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tests/layouts")
}

/// A copy of the mini checkpoint.
fn copy() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    crate::folder::copy(&assets("sd"), &root.path().join("sd")).unwrap();
    root
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<(String, Tensor)>)) {
    let mut tensors = Tensor::read_safetensors(path).unwrap();
    change(&mut tensors);
    fs::remove_file(path).unwrap();
    Tensor::write_safetensors(&tensors, path).unwrap();
}

#[test]
fn listings_of_public_checkpoints_have_no_difference_and_are_named() {
    for (file, title) in [
        ("sd15-unet", "the UNet of Stable Diffusion 1.5"),
        ("sd15-vae-legacy", "the VAE of Stable Diffusion 1.5"),
        ("dino-vits16-facebook", "the DINO ViT-S/16"),
        ("llama2-7b", "the LLaMA-2-7B"),
    ] {
        let report = check(&layouts().join(file).with_extension("json"), true).unwrap();
        assert_eq!(report.problems, 0, "{}", report.text);
        assert!(report.text.contains(title) && report.text.ends_with("no difference\n"), "{}", report.text);
    }
}

#[test]
fn the_mini_models_have_no_difference() {
    for name in ["sd", "dino", "clip", "encoder", "decoder"] {
        let report = check(&assets(name), true).unwrap();
        assert_eq!(report.problems, 0, "{}", report.text);
    }
}

#[test]
fn every_kind_of_difference_is_counted_and_shown() {
    let root = copy();
    let sd = root.path().join("sd");
    edit(&sd.join("vae/diffusion_pytorch_model.safetensors"), |tensors| {
        tensors.retain(|(name, _)| !name.starts_with("decoder.mid_block.resnets"));
        for (name, value) in tensors {
            match name.as_str() {
                "encoder.conv_in.weight" => *value = value.narrow(0, 0, 3).contiguous(),
                "encoder.conv_in.bias" => *value = value.to_kind(Kind::Int64),
                "quant_conv.bias" => _ = value.fill_(f64::NAN),
                "post_quant_conv.bias" => *name = "post_quant.bias".to_owned(),
                _ => {}
            }
        }
    });
    let report = check(&sd, true).unwrap();
    for part in [
        "unet: UNet2DConditionModel",
        "missing: 17",
        "decoder.mid_block.resnets.{0-1}.conv1.weight",
        "(2 tensors)",
        "unexpected: 1\n    post_quant.bias",
        "misshapen: 1\n    encoder.conv_in.weight",
        "of another kind: 1\n    encoder.conv_in.bias  I64",
        "not finite: 1\n    quant_conv.bias",
        "values are NaN or infinite",
        "21 differences",
    ] {
        assert!(report.text.contains(part), "{part} is missing in\n{}", report.text);
    }
    assert_eq!(report.problems, 21);
    assert_eq!(check(&sd, false).unwrap().problems, 20, "values are read though only headers are asked for");
}

#[test]
fn folders_in_the_wrong_place_are_called_what_they_are() {
    let root = copy();
    let sd = root.path().join("sd");
    fs::remove_dir_all(sd.join("unet")).unwrap();
    crate::folder::copy(&sd.join("vae"), &sd.join("unet")).unwrap();
    fs::remove_file(sd.join("vae/config.json")).unwrap();
    fs::remove_file(sd.join("scheduler/scheduler_config.json")).unwrap();
    let text_encoder = sd.join("text_encoder/model.safetensors");
    let bytes = fs::read(&text_encoder).unwrap();
    fs::write(&text_encoder, &bytes[..bytes.len() / 2]).unwrap();
    let report = check(&sd, true).unwrap();
    for part in [
        "is of a `AutoencoderKL` where a `UNet2DConditionModel` is right",
        "vae/config.json is not there",
        "not a whole safetensors file",
        "scheduler_config.json",
    ] {
        assert!(report.text.contains(part), "{part} is missing in\n{}", report.text);
    }
    assert_eq!(report.problems, 4, "{}", report.text);
}

#[test]
fn another_networks_weights_are_recognised_and_other_paths_refused() {
    let root = tempfile::tempdir().unwrap();
    let read = |name: &str| -> Value { read_json(&layouts().join(name)).unwrap() };
    let mut listing = read("sd15-vae.json");
    listing["config"] = read("sd15-unet.json")["config"].clone();
    let path = root.path().join("listing.json");
    fs::write(&path, listing.to_string()).unwrap();
    let report = check(&path, true).unwrap();
    assert_eq!(report.problems, 686 + 248, "{}", report.text);
    assert!(
        report.text.contains("these are the tensors of the VAE of Stable Diffusion 1.5"),
        "{}",
        report.text
    );
    assert!(report.text.contains("more\n"), "{}", report.text);
    let refusal = |path: &Path| crate::exit::message(&check(path, true).err().unwrap());
    assert!(refusal(root.path()).contains("neither a Stable Diffusion checkpoint"));
    assert!(refusal(&root.path().join("none")).contains("no such file or folder"));
}

#[test]
fn keys_that_change_results_are_differences() {
    let root = copy();
    let sd = root.path().join("sd");
    let set = |file: &str, key: &str, value: Value| {
        let path = sd.join(file);
        let mut config: Value = read_json(&path).unwrap();
        config[key] = value;
        fs::write(&path, config.to_string()).unwrap();
    };
    set("unet/config.json", "flip_sin_to_cos", false.into());
    set("scheduler/scheduler_config.json", "prediction_type", "sample".into());
    let report = check(&sd, true).unwrap();
    for part in [
        "`flip_sin_to_cos` is false; supported is true",
        r#"`prediction_type` is "sample": unknown variant `sample`, expected `epsilon` or `v_prediction`"#,
    ] {
        assert!(report.text.contains(part), "{part} is missing in\n{}", report.text);
    }
    assert_eq!(report.problems, 2, "{}", report.text);
    set("unet/config.json", "flip_sin_to_cos", true.into());
    set("scheduler/scheduler_config.json", "prediction_type", "epsilon".into());
    assert_eq!(check(&sd, true).unwrap().problems, 0);
    set("unet/config.json", "cross_attention_dim", 64.into());
    let report = check(&sd, true).unwrap();
    assert!(report.text.contains("unet: `cross_attention_dim` is 64, text_encoder: `hidden_size` 128"));
}
