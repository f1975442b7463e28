//! Fifty steps of LoRA and DeLoRA by PEFT.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use delora_core::{Bank, MethodConfig, OptimizerConfig, Role, Schedule, TrialConfig};
use finetune::BankHook;
use llama_it::Example;
use llama_it::training::{Batch, accumulate_recomputed, losses};
use models::decoder::load_decoder;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

const METHODS: [&str; 2] = ["lora", "delora"];
/// Rounding, over 50 steps of AdamW; the script's own in f64 are within 1e-5.
const LOSS_TOLERANCE: f64 = 2e-5;
const PARAMETER_TOLERANCE: f64 = 2e-4;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/training")
}

fn tensors(name: &str) -> HashMap<String, Tensor> {
    Tensor::read_safetensors(folder().join(name)).unwrap().into_iter().collect()
}

fn trial(method: &str) -> TrialConfig {
    let text = std::fs::read(folder().join(method).join("case.json")).unwrap();
    let case: Value = serde_json::from_slice(&text).unwrap();
    let read = |key: &str| case[key].clone();
    let method: MethodConfig = serde_json::from_value(read("method")).unwrap();
    let [warmup_steps, total_steps] = ["warmup_steps", "steps"].map(|key| case[key].as_u64().unwrap());
    TrialConfig {
        method,
        learning_rate: serde_json::from_value(read("learning_rate")).unwrap(),
        optimizer: OptimizerConfig {
            betas: serde_json::from_value(read("betas")).unwrap(),
            weight_decay: case["weight_decay"].as_f64().unwrap(),
            ..Default::default()
        },
        schedule: Schedule::Cosine { warmup_steps, total_steps },
        targets: Some(delora_core::Target::roles(&[Role::Query, Role::Value])),
        seed: 0,
    }
}

/// The batches as examples of which every token but the first is to be predicted.
fn batches() -> Vec<Vec<Example>> {
    let io = tensors("batches.safetensors");
    let ids = Vec::<Vec<i64>>::try_from(io["batches"].flatten(0, 1)).unwrap();
    let lengths = Vec::<Vec<i64>>::try_from(&io["lengths"]).unwrap();
    let mut ids = ids.into_iter();
    let row = |length: &i64| Example::of_all(ids.next().unwrap()[..*length as usize].to_vec());
    let rows: Vec<Example> = lengths.iter().flatten().map(row).collect();
    rows.chunks(lengths[0].len()).map(<[Example]>::to_vec).collect()
}

#[test]
fn fifty_steps_of_lora_and_delora_are_pefts_in_one_bank_with_and_without_recomputation() {
    let network = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tests/golden/llama");
    let llama = load_decoder(&network, Kind::Float, Device::Cpu).unwrap();
    let references = METHODS.map(|method| tensors(&format!("{method}/io.safetensors")));
    for recomputed in [false, true] {
        let mut bank = Bank::new(&finetune::sites(&llama), &METHODS.map(trial), Device::Cpu).unwrap();
        let slots: Vec<usize> = bank.order().to_vec();
        for (slot, &method) in slots.iter().enumerate() {
            for own in bank.parameter_names(slot).into_iter().filter(|own| own.trained) {
                let value = &references[method][&format!("initial.{}.{}", own.site, own.name)];
                bank.set_parameter(&own.site, slot, own.name, value).unwrap();
            }
        }
        let mut largest = [0f64; 2];
        for (step, examples) in batches().iter().enumerate() {
            let total: usize = examples.iter().map(Example::num_targets).sum();
            let weight = 1.0 / total as f32;
            let rows: Vec<(&Example, f32)> =
                (0..slots.len()).flat_map(|_| examples.iter().map(|example| (example, weight))).collect();
            let batch = Batch::new(&rows, Device::Cpu);
            let losses = if recomputed {
                accumulate_recomputed(&mut bank, &llama.network, &batch, Kind::Float)
            } else {
                let losses = losses(&llama.network, &batch, 2, Kind::Float, &BankHook::new(&bank));
                bank.accumulate(&losses);
                losses.detach()
            };
            bank.finish_step();
            for (slot, &method) in slots.iter().enumerate() {
                let ours = losses.double_value(&[slot as i64]);
                let gap = (ours - references[method]["losses"].double_value(&[step as i64])).abs();
                largest[method] = largest[method].max(gap);
                assert!(gap < LOSS_TOLERANCE, "{}, step {step}: losses differ by {gap:e}", METHODS[method]);
            }
        }
        println!("largest differences of losses, {METHODS:?}, recomputed {recomputed}: {largest:?}");
        for (slot, &method) in slots.iter().enumerate() {
            for own in bank.parameter_names(slot).into_iter().filter(|own| own.trained) {
                let ours = bank.parameter(&own.site, slot, own.name).unwrap();
                let reference = &references[method][&format!("stepped.{}.{}", own.site, own.name)];
                let gap = (ours - reference).abs().max().double_value(&[]);
                assert!(gap < PARAMETER_TOLERANCE, "{} of {}: differs by {gap:e}", own.name, own.site);
            }
        }
    }
}
