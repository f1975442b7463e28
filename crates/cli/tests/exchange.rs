//! Adapters of text encoders and decoders: read from PEFT's folders (`tools/goldens/exchange_networks.py`), and written in every
//! format, they give PEFT's logits.
//!
//! With `DELORA_EXCHANGE_DIR` set, what is written stays there, for the script to load with PEFT and transformers.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use models::Frozen;
use models::decoder::load_decoder;
use models::roberta::{Tokens, load_classifier};
use models::vit::load_image_classifier;
use tch::{Device, Kind, Tensor};

/// Case, network, and the formats that its method has.
const CASES: [(&str, &str, &[&str]); 6] = [
    ("roberta_lora", "roberta", &["peft", "lora", "merged"]),
    ("bert_dora", "bert", &["peft", "merged"]),
    ("llama_delora", "llama", &["peft", "lora", "merged"]),
    ("qwen2_lora", "qwen2", &["peft", "lora", "merged"]),
    ("mistral_ia3", "mistral", &["peft", "merged"]),
    ("vit_lora", "vit", &["peft", "lora", "merged"]),
];
/// The largest difference, in parts of the largest logit.
const TOLERANCE: f64 = 1e-5;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn case(name: &str) -> PathBuf {
    root().join("crates/cli/tests/exchange").join(name)
}

fn network(name: &str) -> PathBuf {
    root().join("crates/models/tests/golden").join(name)
}

fn delora<T: AsRef<OsStr> + Debug>(arguments: &[T]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_delora"));
    command.args(arguments).env("OMP_NUM_THREADS", "1").output().unwrap()
}

fn done<T: AsRef<OsStr> + Debug>(arguments: &[T]) -> String {
    let output = delora(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused<T: AsRef<OsStr> + Debug>(arguments: &[T]) -> String {
    let output = delora(arguments);
    assert!(!output.status.success(), "{arguments:?} went well");
    String::from_utf8(output.stderr).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// How far the logits of a merged checkpoint are from PEFT's, in parts of the largest.
fn distance(name: &str, merged: &Path) -> f64 {
    let io = Tensor::read_safetensors(case(name).join("io.safetensors")).unwrap();
    let of = |key: &str| &io.iter().find(|(name, _)| name == key).unwrap().1;
    let expected = of("logits");
    let labels = expected.size()[1];
    let found = gradient_mode::off(|| {
        if name.starts_with("vit") {
            let network = load_image_classifier(merged, labels, Device::Cpu).unwrap().network;
            return network.forward(of("image"), &Frozen);
        }
        let (ids, mask) = (of("ids"), of("mask"));
        if name.starts_with("roberta") || name.starts_with("bert") {
            let network = load_classifier(merged, labels, Device::Cpu).unwrap().network;
            network.forward(&Tokens { ids, mask, types: None }, Kind::Float, &Frozen)
        } else {
            let network = load_decoder(merged, Kind::Float, Device::Cpu).unwrap().network;
            network.logits(&network.forward(ids, Kind::Float, &Frozen), &Frozen) * mask.unsqueeze(-1)
        }
    });
    (found - expected).abs().max().double_value(&[]) / expected.abs().max().double_value(&[])
}

#[test]
fn what_peft_saved_comes_in_goes_out_in_every_format_and_gives_its_logits() {
    let folder = tempfile::tempdir().unwrap();
    let kept = std::env::var_os("DELORA_EXCHANGE_DIR").map(PathBuf::from);
    for (name, host, formats) in CASES {
        let model = network(host);
        let at = |part: &str| kept.as_deref().unwrap_or(folder.path()).join(name).join(part);
        fs::create_dir_all(at("")).unwrap();
        let export = |adapter: &Path, format: &str, out: &Path| -> [String; 8] {
            ["export", text(adapter), "--model", text(&model), "--format", format, "--out", text(out)]
                .map(str::to_owned)
        };
        let adapter = at("adapter.safetensors");
        done(&["import", text(&case(name)), "--model", text(&model), "--out", text(&adapter)]);
        for &format in formats {
            let out = at(format);
            done(&export(&adapter, format, &out));
            let merged = if format == "merged" {
                out
            } else {
                // In again, to be merged.
                let (again, merged) = (at(&format!("{format}.safetensors")), at(&format!("merged-{format}")));
                done(&["import", text(&out), "--model", text(&model), "--out", text(&again)]);
                done(&export(&again, "merged", &merged));
                merged
            };
            let distance = distance(name, &merged);
            assert!(distance <= TOLERANCE, "{name} as {format}: {distance:e}");
        }
        if !formats.contains(&"lora") {
            let out = at("lora");
            let said = refused(&export(&adapter, "lora", &out));
            assert!(said.contains("has no form that PEFT reads") && !out.exists(), "{said}");
        }
        let out = at("diffusers");
        let said = refused(&export(&adapter, "diffusers", &out));
        assert!(said.contains("for adapters of Stable Diffusion"), "{said}");
    }
}

#[test]
fn an_adapter_of_another_network_or_with_a_pattern_that_is_none_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("adapter");
    let import = |from: &Path, model: &str| {
        refused(&["import", text(from), "--model", text(&network(model)), "--out", text(&out)])
    };
    let other = import(&case("roberta_lora"), "bert");
    assert!(other.contains("tensor `base_model.model.classifier.dense.bias` is not known"), "{other}");
    let sizes = import(&case("llama_delora"), "llama_tied");
    assert!(sizes.contains("adapter_model.safetensors") || sizes.contains("llama_delora"), "{sizes}");
    let copy = folder.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::copy(case("roberta_lora").join(name), copy.join(name)).unwrap();
    }
    let path = copy.join("adapter_config.json");
    let config = fs::read_to_string(&path).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(config.contains(from));
        fs::write(&path, config.replace(from, to)).unwrap();
        import(&copy, "roberta")
    };
    let pattern = changed("layer.0.attention.self.query", "layer.(");
    assert!(
        pattern.contains("adapter_config.json") && pattern.contains("`rank_pattern`: `layer.(`"),
        "{pattern}"
    );
    let rank = changed("\"layer.0.attention.self.query\": 2", "\"layer.0.attention.self.query\": 3");
    assert!(rank.contains("its rank is 3 by adapter_config.json"), "{rank}");
    let two =
        changed("\"layer.0.attention.self.query\": 2", "\"layer.0.attention.self.query\": 2, \"query\": 3");
    assert!(two.contains("has several values for `roberta.encoder.layer.0.attention.self.query`"), "{two}");
    let other = folder.path().join("t5");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("config.json"), r#"{"model_type": "t5"}"#).unwrap();
    let t5 = refused(&["import", text(&copy), "--model", text(&other), "--out", text(&out)]);
    assert!(t5.contains("its `model_type` is \"t5\"; adapters of Stable Diffusion"), "{t5}");
    assert!(!out.exists());
}
