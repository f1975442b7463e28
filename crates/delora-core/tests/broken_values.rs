//! Values that are NaN or infinite pass through no file of weights or adapters, whoever wrote it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use delora_core::{AdapterFile, Bank, Role, Site, TrialConfig, copy_with, from_peft, to_diffusers, to_peft};
use serde_json::json;
use tch::{Device, Kind, Tensor};

const NAME: &str = "only.B";

fn sites() -> Vec<Site> {
    let weight = Tensor::arange(12, (Kind::Float, Device::Cpu)).view([4, 3]) / 10.0;
    vec![Site::linear("only", Role::Key, &weight, None)]
}

/// A LoRA whose B has three such values.
fn broken() -> AdapterFile {
    let trial: TrialConfig = serde_json::from_value(json!({
        "method": {"name": "lora", "rank": 2, "alpha": 3.0}, "learning_rate": {"angles": 0.1}, "seed": 1,
    }))
    .unwrap();
    let mut adapter = Bank::new(&sites(), &[trial], Device::Cpu).unwrap().adapter(0).unwrap();
    spoil(adapter.tensors.get_mut(NAME).unwrap());
    adapter
}

fn spoil(value: &mut Tensor) {
    *value = value.copy();
    for (row, number) in [(0, f64::NAN), (1, f64::INFINITY), (3, f64::NEG_INFINITY)] {
        _ = value.get(row).get(1).fill_(number);
    }
}

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("broken-values").join(name)
}

/// An empty folder, whatever an earlier run has left there.
fn folder(name: &str) -> PathBuf {
    drop(std::fs::remove_dir_all(place(name)));
    std::fs::create_dir_all(place(name)).unwrap();
    place(name)
}

fn is_named(message: &str, file: &str, tensor: &str) {
    for part in [file, tensor, "has 3 values that are NaN or infinite"] {
        assert!(message.contains(part), "`{part}` is missing in {message}");
    }
}

#[test]
fn an_adapter_with_values_that_are_no_numbers_is_neither_written_nor_read() {
    let path = folder("own").join("a.safetensors");
    let adapter = broken();
    is_named(&adapter.save(&path).unwrap_err().to_string(), "a.safetensors", NAME);
    assert!(!path.exists());
    let peft = to_peft(&adapter, &sites()).unwrap();
    let message = peft.save(&folder("peft")).unwrap_err().to_string();
    is_named(&message, "adapter_model.safetensors", "only.lora_B.weight");
    let diffusers = to_diffusers(&adapter, &sites(), "unet").unwrap();
    let message = diffusers.save(&folder("diffusers")).unwrap_err().to_string();
    is_named(&message, "pytorch_lora_weights.safetensors", "unet.only.lora_B.weight");

    // Files that another program wrote.
    let mut whole = broken();
    whole.tensors.insert(NAME.to_owned(), Tensor::ones([4, 2], (Kind::Float, Device::Cpu)));
    whole.save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let mut values = bytes.clone();
    let first = values.windows(4).position(|part| part == 1f32.to_le_bytes()).unwrap();
    for (index, number) in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY].into_iter().enumerate() {
        values[first + 4 * index..first + 4 * index + 4].copy_from_slice(&number.to_le_bytes());
    }
    std::fs::write(&path, values).unwrap();
    is_named(&AdapterFile::load(&path).unwrap_err().to_string(), "a.safetensors", NAME);
    to_peft(&whole, &sites()).unwrap().save(&folder("peft")).unwrap();
    let file = place("peft").join("adapter_model.safetensors");
    for kind in [Kind::Float, Kind::Half, Kind::BFloat16] {
        let mut stored = Tensor::read_safetensors(&file).unwrap();
        for (name, value) in &mut stored {
            *value = value.to_kind(kind);
            if name.ends_with("lora_B.weight") {
                spoil(value);
            }
        }
        let other = folder(&format!("peft-{kind:?}"));
        std::fs::copy(place("peft").join("adapter_config.json"), other.join("adapter_config.json")).unwrap();
        Tensor::write_safetensors(&stored, other.join("adapter_model.safetensors")).unwrap();
        let message = from_peft(&other, &sites()).unwrap_err().to_string();
        is_named(&message, "adapter_model.safetensors", "only.lora_B.weight");
    }
}

#[test]
fn merged_weights_with_values_that_are_no_numbers_are_not_written() {
    let folder = folder("merged");
    let (original, copy) = (folder.join("original.safetensors"), folder.join("copy.safetensors"));
    let weight = Tensor::ones([4, 2], (Kind::Float, Device::Cpu));
    Tensor::write_safetensors(&[("a", weight.copy()), ("b", weight.copy())], &original).unwrap();
    let mut changed = BTreeMap::from([("a".to_owned(), weight.copy())]);
    copy_with(&original, &changed, &copy).unwrap();
    std::fs::remove_file(&copy).unwrap();
    spoil(changed.get_mut("a").unwrap());
    is_named(&copy_with(&original, &changed, &copy).unwrap_err().to_string(), "copy.safetensors", "`a`");
    changed.insert("a".to_owned(), weight.copy());
    let mut other = weight.copy();
    spoil(&mut other);
    Tensor::write_safetensors(&[("a", weight), ("b", other)], &original).unwrap();
    is_named(&copy_with(&original, &changed, &copy).unwrap_err().to_string(), "original.safetensors", "`b`");
    assert!(!copy.exists());
}

#[test]
fn an_adapter_that_is_no_safetensors_file_is_called_what_it_is() {
    let file = folder("foreign").join("a.safetensors");
    let message = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        AdapterFile::load(&file).unwrap_err().to_string()
    };
    let pointer = message(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n");
    assert!(pointer.contains("a.safetensors") && pointer.contains("a pointer of Git LFS"), "{pointer}");
    let page = message(b"<!doctype html><html></html>");
    assert!(page.contains("an HTML page"), "{page}");
    let header = br#"{"__metadata__":{"step":3}}"#;
    let number = message(&[&(header.len() as u64).to_le_bytes()[..], header].concat());
    assert!(number.contains("`__metadata__` has 3 under `step`"), "{number}");
    let eight = Tensor::zeros([2], (Kind::Uint8, Device::Cpu));
    Tensor::write_safetensors(&[("only.A", eight)], &file).unwrap();
    let quantized = AdapterFile::load(&file).unwrap_err().to_string();
    assert!(
        quantized.contains("tensor `only.A` is stored as U8") && quantized.contains("quantized"),
        "{quantized}"
    );
}
