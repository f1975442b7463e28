//! Decoders against transformers, and what its files may be like.

use std::fs;
use std::path::Path;

use delora_core::{PartShape, SiteShape};
use models::Loaded;
use models::decoder::{Cache, Decoder, DecoderError, load_decoder};
use models::shapes::Shapes;
use models::{Adaptable, Frozen, WeightsError};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use crate::{NETWORK_TOLERANCE, assert_close, folder, tensors};

const CASES: [&str; 6] = ["llama", "llama_tied", "llama3", "mistral", "qwen2", "qwen3"];
const INDEX: &str = "model.safetensors.index.json";

fn load(folder: &Path) -> Result<Loaded<Decoder>, DecoderError> {
    load_decoder(folder, Kind::Float, Device::Cpu)
}

#[test]
fn decoders_match_transformers() {
    for case in CASES {
        let io = tensors(case);
        let llama = load(&folder(case)).unwrap();
        let query = Adaptable::linears(&llama.network)[0].0.weight.set_requires_grad(true);
        let (ids, mask) = (&io["ids"], &io["mask"]);
        let hidden = llama.network.forward(ids, Kind::Float, &Frozen);
        let logits = llama.network.logits(&hidden, &Frozen);
        let seen = &logits * mask.unsqueeze(-1);
        assert_close(&format!("{case} logits"), &seen, &io["logits"], NETWORK_TOLERANCE);
        let length = ids.size()[1] - 1;
        let targets = ids.masked_fill(&mask.eq(0), -100).narrow(1, 1, length).flatten(0, 1);
        let loss = logits.narrow(1, 0, length).flatten(0, 1).cross_entropy_for_logits(&targets);
        assert_close(&format!("{case} loss"), &loss, &io["loss"], NETWORK_TOLERANCE);
        let gradient = &Tensor::run_backward(&[loss], &[query], false, false)[0];
        assert_close(&format!("{case} gradient"), gradient, &io["gradient"], NETWORK_TOLERANCE);
    }
}

#[test]
fn a_cache_gives_what_a_whole_pass_gives_whatever_the_parts() {
    for case in CASES {
        let io = tensors(case);
        let llama = load(&folder(case)).unwrap().network;
        let (ids, mask) = (&io["ids"], &io["mask"]);
        let (rows, length) = ids.size2().unwrap();
        for parts in [vec![length], vec![4, 1, length - 5], vec![1; length as usize]] {
            let mut cache = Cache::new(rows, llama.num_layers(), Device::Cpu);
            let (ids, masks) = (ids.split_with_sizes(&parts, 1), mask.split_with_sizes(&parts, 1));
            let hidden: Vec<Tensor> = ids
                .iter()
                .zip(&masks)
                .map(|(ids, mask)| {
                    gradient_mode::off(|| llama.extend(ids, mask, &mut cache, Kind::Float, &Frozen))
                })
                .collect();
            let logits =
                gradient_mode::off(|| llama.logits(&Tensor::cat(&hidden, 1), &Frozen)) * mask.unsqueeze(-1);
            assert_close(&format!("{case} in {parts:?}"), &logits, &io["logits"], NETWORK_TOLERANCE);
        }
        // The prompt is read once, as the second of two rows.
        let (prompt, greedy) = (&io["prompt"], &io["greedy"]);
        let mut cache = Cache::new(2, llama.num_layers(), Device::Cpu);
        let both = Tensor::cat(&[&prompt.ones_like(), prompt], 0);
        let hidden =
            gradient_mode::off(|| llama.extend(&both, &both.ones_like(), &mut cache, Kind::Float, &Frozen));
        let last = hidden.narrow(0, 1, 1).narrow(1, prompt.size()[1] - 1, 1);
        let mut next = gradient_mode::off(|| llama.logits(&last, &Frozen)).argmax(-1, false);
        assert_eq!(next, greedy.narrow(1, 0, 1), "{case}: first token");
        let mut cache = cache.select(&Tensor::from_slice(&[1i64]));
        for step in 1..greedy.size()[1] {
            let seen = next.ones_like();
            let hidden = gradient_mode::off(|| llama.extend(&next, &seen, &mut cache, Kind::Float, &Frozen));
            next = gradient_mode::off(|| llama.logits(&hidden, &Frozen)).argmax(-1, false);
            assert_eq!(next, greedy.narrow(1, step, 1), "{case}: token {step}");
        }
    }
}

/// A copy of a case whose files may be changed.
fn copy(case: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder(case)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

fn edit(path: &Path, change: impl Fn(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

#[test]
fn a_shard_that_is_missing_cut_short_or_without_its_tensor_is_named() {
    let message = |copy: &tempfile::TempDir| load(copy.path()).unwrap_err().to_string();
    let shards = copy("llama_tied");
    let last = fs::read_dir(shards.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = last.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.starts_with("model-"));
    names.sort();
    assert!(names.len() >= 3, "{names:?}");
    let shard = shards.path().join(&names[1]);
    let bytes = fs::read(&shard).unwrap();
    fs::remove_file(&shard).unwrap();
    let missing = message(&shards);
    for part in [INDEX, &names[1], "not beside it"] {
        assert!(missing.contains(part), "{missing}");
    }
    fs::write(&shard, &bytes[..bytes.len() / 2]).unwrap();
    let short = message(&shards);
    assert!(short.contains(&names[1]) && short.contains("not a whole safetensors file"), "{short}");
    fs::write(&shard, &bytes).unwrap();
    edit(&shards.path().join(INDEX), |index| {
        let map = index["weight_map"].as_object_mut().unwrap();
        map.retain(|_, file| *file != json!(names[1]));
    });
    let absent = load(shards.path()).unwrap_err();
    assert!(matches!(absent, DecoderError::Weights(WeightsError::Missing { .. })), "{absent}");
    assert!(absent.to_string().contains(INDEX), "{absent}");
}

#[test]
fn configurations_that_are_not_supported_are_named_by_their_key() {
    let message = |change: fn(&mut Value)| {
        let copy = copy("llama");
        edit(&copy.path().join("config.json"), change);
        load(copy.path()).unwrap_err().to_string()
    };
    let heads = message(|config| config["num_key_value_heads"] = json!(3));
    assert!(heads.contains("`num_attention_heads` 4 is no multiple of `num_key_value_heads` 3"), "{heads}");
    let scaling = message(|config| config["rope_scaling"] = json!({"rope_type": "llama3", "factor": 8.0}));
    assert!(scaling.contains("`rope_scaling`") && scaling.contains("llama3"), "{scaling}");
    let bias = message(|config| config["attention_bias"] = json!(true));
    assert!(bias.contains("`model.layers.0.self_attn.k_proj.bias` is missing"), "{bias}");
    let act = message(|config| config["hidden_act"] = json!("gelu"));
    assert!(act.contains("`hidden_act`") && act.contains("silu"), "{act}");
    let other = message(|config| config["model_type"] = json!("gpt2"));
    assert!(other.contains("config.json") && other.contains("gpt2"), "{other}");
}

#[test]
fn half_precision_is_read_into_the_kind_that_is_wanted() {
    let llama = load_decoder(&folder("llama"), Kind::BFloat16, Device::Cpu).unwrap();
    assert_eq!(llama.bytes() * 2, load(&folder("llama")).unwrap().bytes());
    let io = tensors("llama");
    let hidden = gradient_mode::off(|| llama.network.forward(&io["ids"], Kind::BFloat16, &Frozen));
    let logits = gradient_mode::off(|| llama.network.logits(&hidden, &Frozen)).to_kind(Kind::Float)
        * io["mask"].unsqueeze(-1);
    // bf16 has 8 bits; logits reach 10.
    assert_close("bf16", &logits, &io["logits"], 0.3);
}

#[test]
fn the_decoder_at_full_size_has_the_published_tensors() {
    let known = models::shapes::ARCHITECTURES.iter().find(|known| known.name == "llama2-7b").unwrap();
    let shapes = known.shapes();
    assert_eq!((shapes.num_parameters(), shapes.num_tensors()), (6_738_415_616, 291));
    let small = Shapes::of(&load(&folder("llama")).unwrap());
    let is_linear = |site: &&SiteShape| matches!(site.part, PartShape::Linear(_));
    assert_eq!(small.sites.iter().filter(is_linear).count(), 15);
}
