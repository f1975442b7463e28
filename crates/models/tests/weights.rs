//! What `load_weights` says of files that do not fit, and that it then changes nothing.

use std::path::{Path, PathBuf};

use models::vit::{Vit, VitConfig};
use models::{WeightsError, load_weights, read_config};
use tch::{Device, Kind, Tensor, nn};

const NAME: &str = "encoder.layer.1.attention.attention.key.weight";

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/vit").join(file)
}

fn network() -> nn::VarStore {
    let store = nn::VarStore::new(Device::Cpu);
    let config: VitConfig = read_config(&golden("config.json")).unwrap();
    Vit::new(&store.root(), &config);
    store
}

fn scratch(test: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.safetensors"))
}

fn stored() -> Vec<(String, Tensor)> {
    Tensor::read_safetensors(golden("model.safetensors")).unwrap()
}

/// Loads `tensors` written to a file of their own; gives the file's name and the error.
fn load_written(test: &str, tensors: &[(String, Tensor)]) -> (nn::VarStore, Result<(), WeightsError>) {
    let path = scratch(test);
    Tensor::write_safetensors(tensors, &path).unwrap();
    let store = network();
    let result = load_weights(&store, &path);
    (store, result)
}

/// The message of a load that must fail, after checking that it names the file and left every variable alone.
fn refusal(test: &str, tensors: &[(String, Tensor)]) -> String {
    let path = scratch(test);
    Tensor::write_safetensors(tensors, &path).unwrap();
    refusal_of_file(&path)
}

fn refusal_of_file(path: &Path) -> String {
    let store = network();
    let before: Vec<(String, Tensor)> =
        store.variables().into_iter().map(|(name, value)| (name, value.detach().copy())).collect();
    let message = load_weights(&store, path).unwrap_err().to_string();
    let after = store.variables();
    assert!(before.iter().all(|(name, value)| *value == after[name]), "a failed load changed a variable");
    assert!(message.contains(&*path.to_string_lossy()), "the file is not named in: {message}");
    message
}

#[test]
fn a_whole_file_fills_every_variable() {
    let (store, result) = load_written("whole", &stored());
    result.unwrap();
    let variables = store.variables();
    assert_eq!(variables.len(), stored().len());
    assert!(stored().iter().all(|(name, value)| *value == variables[name]));
}

#[test]
fn half_precision_files_are_read_into_f32_variables() {
    for kind in [Kind::Half, Kind::BFloat16, Kind::Double] {
        let cast: Vec<_> = stored().into_iter().map(|(name, value)| (name, value.to_kind(kind))).collect();
        let (store, result) = load_written(&format!("{kind:?}"), &cast);
        result.unwrap();
        let variables = store.variables();
        for (name, value) in cast {
            assert_eq!(variables[&name].kind(), Kind::Float);
            assert_eq!(variables[&name], value.to_kind(Kind::Float), "{name}");
        }
    }
}

#[test]
fn the_buffer_of_position_ids_is_ignored() {
    let mut tensors = stored();
    tensors.push(("embeddings.position_ids".into(), Tensor::arange(17, (Kind::Int64, Device::Cpu))));
    load_written("position_ids", &tensors).1.unwrap();
}

#[test]
fn a_missing_tensor_is_named() {
    let mut tensors = stored();
    tensors.retain(|(name, _)| name != NAME);
    let message = refusal("missing", &tensors);
    assert!(message.contains(NAME) && message.contains("missing"), "{message}");
}

#[test]
fn an_unexpected_tensor_is_named() {
    let mut tensors = stored();
    tensors.push(("pooler.dense.bias".into(), Tensor::ones([12], (Kind::Float, Device::Cpu))));
    let message = refusal("unexpected", &tensors);
    assert!(message.contains("pooler.dense.bias") && message.contains("not part of"), "{message}");
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both_shapes() {
    let mut tensors = stored();
    let (_, value) = tensors.iter_mut().find(|(name, _)| name == NAME).unwrap();
    *value = value.narrow(0, 0, 8).contiguous();
    let message = refusal("shape", &tensors);
    assert!([NAME, "[8, 12]", "[12, 12]"].iter().all(|part| message.contains(part)), "{message}");
}

#[test]
fn a_tensor_of_whole_numbers_is_named() {
    let mut tensors = stored();
    let (_, value) = tensors.iter_mut().find(|(name, _)| name == NAME).unwrap();
    *value = value.to_kind(Kind::Int64);
    let message = refusal("integers", &tensors);
    assert!(message.contains(NAME) && message.contains("I64"), "{message}");
}

#[test]
fn values_that_are_no_numbers_are_counted_in_every_kind() {
    for kind in [Kind::Float, Kind::Half, Kind::BFloat16, Kind::Double] {
        let mut tensors: Vec<_> =
            stored().into_iter().map(|(name, value)| (name, value.to_kind(kind).contiguous())).collect();
        let (_, value) = tensors.iter_mut().find(|(name, _)| name == NAME).unwrap();
        for (row, number) in [(0, f64::NAN), (3, f64::INFINITY), (11, f64::NEG_INFINITY)] {
            _ = value.get(row).get(row).fill_(number);
        }
        let test = format!("non_finite_{kind:?}");
        let message = load_written(&test, &tensors).1.unwrap_err().to_string();
        for part in [&*test, NAME, "has 3 values that are NaN or infinite"] {
            assert!(message.contains(part), "{message}");
        }
        // The largest number of a kind is one.
        let (_, value) = tensors.iter_mut().find(|(name, _)| name == NAME).unwrap();
        _ = value.fill_(if kind == Kind::Half { 65504.0 } else { 3e38 });
        load_written(&test, &tensors).1.unwrap();
    }
}

#[test]
fn a_config_of_another_network_is_named() {
    let path = golden("../vae_two_levels/config.json");
    let message = read_config::<VitConfig>(&path).unwrap_err().to_string();
    assert!(message.contains("network of the class `AutoencoderKL`"), "{message}");
}

#[test]
fn a_truncated_file_is_called_damaged_wherever_it_was_cut() {
    let bytes = std::fs::read(golden("model.safetensors")).unwrap();
    for length in [0, 4, 100, bytes.len() / 2, bytes.len() - 1] {
        let path = scratch("truncated");
        std::fs::write(&path, &bytes[..length]).unwrap();
        let message = refusal_of_file(&path);
        assert!(message.contains("not a whole safetensors file"), "cut at {length}: {message}");
    }
}

#[test]
fn an_absent_file_is_an_error_that_names_it() {
    let message = refusal_of_file(Path::new("no-such-folder/model.safetensors"));
    assert!(message.contains("cannot be read"), "{message}");
}
