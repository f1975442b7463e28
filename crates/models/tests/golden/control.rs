//! The condition encoder of a ControlNet, on the file made by `tools/goldens/control.py`; and how it is read.

use std::path::PathBuf;

use models::control::{ConditionEncoder, ConditionEncoderConfig, ConditionParameter};
use models::read_config;
use tch::{Device, Kind, Tensor};

use super::{DIFFUSERS, NETWORK_TOLERANCE, assert_close, folder, tensors};

#[test]
fn condition_encoder_matches_diffusers() {
    let folder = folder("condition_encoder");
    let config: ConditionEncoderConfig = read_config(&folder.join("config.json")).unwrap();
    let encoder = ConditionEncoder::new(&config).unwrap();
    let io = tensors("condition_encoder");
    let features = encoder.forward(&encoder.load(&folder).unwrap(), &io["maps"]);
    assert_close("condition encoder", &features, &io["features"], NETWORK_TOLERANCE);
}

fn encoder(widths: &[i64], outputs: i64) -> ConditionEncoder {
    ConditionEncoder::new(&ConditionEncoderConfig::of_pictures(widths, &[outputs])).unwrap()
}

/// Every parameter random, the last ones too.
fn random(encoder: &ConditionEncoder) -> Vec<Tensor> {
    let draw = |parameter: ConditionParameter| Tensor::randn(parameter.shape, (Kind::Float, Device::Cpu));
    encoder.parameters().into_iter().map(draw).collect()
}

fn written(name: &str, tensors: Vec<(String, Tensor)>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    Tensor::write_safetensors(&tensors, &path).unwrap();
    (folder, path)
}

#[test]
fn parameters_are_read_from_either_layout_among_other_tensors() {
    let encoder = encoder(&[4, 6], 5);
    let parameters = random(&encoder);
    let other = ("time_embed.0.weight".to_string(), Tensor::ones([2], (Kind::Float, Device::Cpu)));
    let layer = |index: usize| ["weight", "bias"][index % 2];
    let ldm = |index: usize| format!("input_hint_block.{}.{}", 2 * (index / 2), layer(index));
    let names = encoder.parameters();
    let layouts: [&dyn Fn(usize) -> String; 4] = [
        &|index| format!("controlnet_cond_embedding.{}", names[index].name),
        &|index| names[index].name.clone(),
        &|index| format!("control_model.{}", ldm(index)),
        &ldm,
    ];
    for layout in layouts {
        let mut tensors = vec![(other.0.clone(), other.1.shallow_clone())];
        tensors.extend(parameters.iter().enumerate().map(|(index, one)| (layout(index), one.copy())));
        let (folder, path) = written(DIFFUSERS, tensors);
        for path in [path.as_path(), folder.path()] {
            assert_eq!(encoder.load(path).unwrap(), parameters, "{}", layout(0));
        }
    }
}

#[test]
fn a_missing_tensor_is_named_as_its_file_would_name_it() {
    let encoder = encoder(&[4, 6], 5);
    let names = encoder.parameters();
    let diffusers = |index: usize| format!("controlnet_cond_embedding.{}", names[index].name);
    let ldm = |index: usize| format!("control_model.input_hint_block.{}.weight", index);
    let layouts: [(&dyn Fn(usize) -> String, &str); 2] = [
        (&diffusers, "controlnet_cond_embedding.blocks.0.bias"),
        (&ldm, "control_model.input_hint_block.0.bias"),
    ];
    for (layout, missing) in layouts {
        // Weights alone: every second parameter.
        let weights = random(&encoder).into_iter().enumerate().step_by(2);
        let weights = weights.map(|(index, one)| (layout(index), one)).collect();
        let (_folder, path) = written("a.safetensors", weights);
        let message = encoder.load(&path).unwrap_err().to_string();
        assert!(message.contains(missing) && message.contains("3 more"), "{message}");
    }
}

#[test]
fn an_encoder_of_other_sizes_is_refused_with_both_shapes() {
    let small = encoder(&[4, 6], 5);
    let name = |parameter: &ConditionParameter| format!("controlnet_cond_embedding.{}", parameter.name);
    let tensors = random(&small).into_iter().zip(small.parameters());
    let (_folder, path) =
        written("c.safetensors", tensors.map(|(tensor, one)| (name(&one), tensor)).collect());
    let message = encoder(&[4, 6], 7).load(&path).unwrap_err().to_string();
    assert!(["conv_out", "[5", "[7"].iter().all(|part| message.contains(part)), "{message}");
}
