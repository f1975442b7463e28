//! A training step of a decoder of LLaMA-2-7B's exact sizes with random weights, by method, and what it takes.
//!
//! `just bench-instruct`: forward, loss over all tokens, backward and AdamW on a batch of `ROWS` rows of `LENGTH` tokens. On a
//! GPU all 32 layers run in bf16; on a CPU one layer and three do in f32, and the rest follows: each layer costs the same.
//! The share of the peak takes 4 operations per weight and token (forward, and the gradient of the input); the peak is that
//! of a large matrix product in the same process. Memory is the plan's formula: weights, adapters with AdamW's moments, and
//! what a pass keeps, with and without recomputation.

use delora_core::{Bank, MethodConfig, Role, Schedule, TrialConfig};
use finetune::testing::peak;
use finetune::{BankHook, seconds_of};
use llama_it::training::{Batch, accumulate_recomputed, losses};
use llama_it::{Example, bytes_per_token};
use models::Loaded;
use models::decoder::{Decoder, DecoderConfig, LLAMA2_7B};
use models::shapes::ARCHITECTURES;
use serde_json::{Value, json};
use tch::{Device, Kind, nn};

const ROWS: usize = 2;
const LENGTH: usize = 128;
const STEPS: usize = 3;
/// Bytes of a trained f32 parameter: itself, its gradient, and AdamW's two moments.
const BYTES_PER_PARAMETER: f64 = 16.0;
/// Layers of the whole model.
const ALL_LAYERS: i64 = LLAMA2_7B.num_hidden_layers;

/// The paper's methods, with their settings for LLaMA-2-7B.
fn methods() -> [(&'static str, Value, &'static [&'static str]); 5] {
    [
        ("ether", json!({"blocks": 32}), &["angles"]),
        ("ether_plus", json!({"blocks": 32}), &["angles"]),
        ("lora", json!({"rank": 8, "alpha": 8.0}), &["angles"]),
        ("dora", json!({"rank": 8, "alpha": 8.0}), &["angles", "magnitude"]),
        ("delora", json!({"rank": 8, "lambda": 8.0}), &["angles", "strength"]),
    ]
}

fn trial(name: &str, settings: &Value, groups: &[&str]) -> TrialConfig {
    let rates: serde_json::Map<String, Value> =
        groups.iter().map(|&group| (group.to_owned(), json!(1e-4))).collect();
    TrialConfig {
        method: MethodConfig {
            name: name.to_owned(),
            settings: settings.as_object().expect("a table").clone(),
        },
        learning_rate: serde_json::from_value(Value::Object(rates)).expect("groups by name"),
        optimizer: Default::default(),
        schedule: Schedule::default(),
        targets: Some(delora_core::Target::roles(&[Role::Query, Role::Value])),
        seed: 0,
    }
}

fn network(layers: i64, kind: Kind, device: Device) -> Loaded<Decoder> {
    let mut store = nn::VarStore::new(device);
    store.set_kind(kind);
    let config = DecoderConfig { num_hidden_layers: layers, ..LLAMA2_7B };
    let llama = Decoder::new(&store.root(), &config).expect("the sizes go together");
    Loaded::built(llama, store)
}

/// Seconds of the fastest step of each method, which other work on the machine disturbs least, without and with recomputation.
fn measure(llama: &Loaded<Decoder>, kind: Kind, device: Device) -> Vec<[f64; 2]> {
    let sites = finetune::sites(llama);
    let tokens = |row: usize| (0..=LENGTH).map(|place| ((row * 131 + place * 7919) % 32000) as i64).collect();
    let examples: Vec<Example> = (0..ROWS).map(|row| Example::of_all(tokens(row))).collect();
    let weight = 1.0 / (ROWS * LENGTH) as f32;
    let rows: Vec<(&Example, f32)> = examples.iter().map(|example| (example, weight)).collect();
    let batch = Batch::new(&rows, device);
    let of_method = |(name, settings, groups): (&str, Value, &[&str])| {
        let mut bank =
            Bank::new(&sites, &[trial(name, &settings, groups)], device).expect("a trial of known settings");
        [false, true].map(|recomputed| {
            let mut step = || {
                if recomputed {
                    let _ = accumulate_recomputed(&mut bank, &llama.network, &batch, kind);
                } else {
                    let losses = losses(&llama.network, &batch, 1, kind, &BankHook::new(&bank));
                    bank.accumulate(&losses);
                }
                bank.finish_step();
                let _ = bank.health(); // waits for the device
            };
            step();
            (0..STEPS).map(|_| seconds_of(&mut step)).fold(f64::INFINITY, f64::min)
        })
    };
    methods().into_iter().map(of_method).collect()
}

fn main() {
    let device = device::here();
    let is_whole = device != Device::Cpu;
    let kind = if is_whole { Kind::BFloat16 } else { Kind::Float };
    let peak = peak(kind, device);
    println!("{device:?}, {} threads, peak {:.1} GFLOP/s in {kind:?}", tch::get_num_threads(), peak / 1e9);
    let whole = ARCHITECTURES.iter().find(|known| known.name == "llama2-7b").expect("it is listed").shapes();
    let (weights, tokens) = (whole.num_parameters() as f64, (ROWS * LENGTH) as f64);
    let seconds: Vec<[f64; 2]> = if is_whole {
        measure(&network(ALL_LAYERS, kind, device), kind, device)
    } else {
        let [one, three] = [1, 3].map(|layers| measure(&network(layers, kind, device), kind, device));
        println!("measured with 1 and 3 layers; the whole is 1 layer + 31 / 2 times the difference");
        let rest = (ALL_LAYERS - 1) as f64 / 2.0;
        let whole = |(one, three): ([f64; 2], [f64; 2])| {
            [0, 1].map(|way| {
                println!(
                    "  1 layer {:.2} s, 3 layers {:.2} s{}",
                    one[way],
                    three[way],
                    [", kept", ", recomputed"][way]
                );
                one[way] + rest * (three[way] - one[way])
            })
        };
        one.into_iter().zip(three).map(whole).collect()
    };
    println!(
        "{} rows of {LENGTH} tokens; weights in {kind:?} {:.1} GB",
        ROWS,
        weights * kind.elt_size_in_bytes() as f64 / 1e9
    );
    for ((name, settings, groups), seconds) in methods().into_iter().zip(seconds) {
        let config = trial(name, &settings, groups);
        let method = delora_core::find_method(name).expect("it is listed");
        let count = |site: &delora_core::SiteShape| {
            let variant = method.variant(&config.method.settings, site, config.targets.as_deref());
            variant.ok().flatten().and_then(|_| method.num_parameters(&config.method.settings, site).ok())
        };
        let trained = whole.sites.iter().filter_map(count).sum::<i64>() as f64;
        for (seconds, recomputed) in seconds.into_iter().zip([false, true]) {
            let kept = bytes_per_token(&LLAMA2_7B, Kind::BFloat16, recomputed) as f64 * tokens;
            println!(
                "{name:<11}{:>12} {seconds:8.2} s per step, {:7.1} tokens/s, {:3.0} % of the peak; in bf16 {:.1} GB + {:.2} GB trained + {:.2} GB kept",
                if recomputed { "recomputed" } else { "" },
                tokens / seconds,
                100.0 * 4.0 * weights * tokens / seconds / peak,
                weights * 2.0 / 1e9,
                trained * BYTES_PER_PARAMETER / 1e9,
                kept / 1e9,
            );
        }
    }
}
