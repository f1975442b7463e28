//! Exams with prompts read once, beside the same with each choice read behind its prompt by itself.
//!
//! `just bench-instruct`: a random decoder, and prompts in the shape of MMLU's (four choices of one token) and of
//! TruthfulQA's (long prompts, eight choices of several tokens). Both ways get the same tokens in a pass. Medians, in one run.

use delora_core::{Bank, MethodConfig, Schedule, Site, TrialConfig};
use finetune::seconds_of;
use finetune::testing::median;
use llama_it::requests::Prompt;
use llama_it::scoring::Scorer;
use models::Loaded;
use models::decoder::{Decoder, DecoderConfig, LLAMA2_7B};
use serde_json::json;
use tch::{Device, Kind, nn};

const ROUNDS: usize = 5;
const VOCABULARY: i64 = 2048;

fn main() {
    let device = device::here();
    let store = nn::VarStore::new(device);
    let config = DecoderConfig {
        vocab_size: VOCABULARY,
        hidden_size: 256,
        intermediate_size: 688,
        num_hidden_layers: 6,
        num_attention_heads: 8,
        num_key_value_heads: Some(8),
        ..LLAMA2_7B
    };
    let llama = Decoder::new(&store.root(), &config).expect("the sizes go together");
    let llama = Loaded::built(llama, store);
    let sites = finetune::sites(&llama);
    println!("{}", tch::get_num_threads());
    println!("shape        trials  each choice  shared  ratio");
    for (name, length, choices, tokens, count) in [("MMLU", 110, 4, 1, 32), ("TruthfulQA", 220, 8, 12, 8)] {
        for trials in [1, 4] {
            let bank = bank(&sites, trials, device);
            let shared = prompts(length, choices, tokens, count);
            let apart: Vec<Prompt> = shared.iter().flat_map(split).collect();
            let scorer = Scorer {
                llama: &llama.network,
                bank: &bank,
                kind: Kind::Float,
                device,
                tokens_per_pass: 8192,
            };
            let seconds = |prompts: &[Prompt]| {
                median((0..ROUNDS).map(|_| seconds_of(|| drop(scorer.score(prompts)))).collect())
            };
            let (each, once) = (seconds(&apart), seconds(&shared));
            println!("{name:<12} {trials:>6} {each:>11.2}s {once:>6.2}s {:>6.2}", each / once);
        }
    }
}

fn bank(sites: &[Site], trials: u64, device: Device) -> Bank {
    let trial = |seed| TrialConfig {
        method: MethodConfig {
            name: "lora".to_owned(),
            settings: json!({"rank": 8, "alpha": 8.0}).as_object().expect("a table").clone(),
        },
        learning_rate: [(delora_core::Group::Angles, 1e-4)].into(),
        optimizer: Default::default(),
        schedule: Schedule::default(),
        targets: None,
        seed,
    };
    let trials: Vec<TrialConfig> = (0..trials).map(trial).collect();
    Bank::new(sites, &trials, device).expect("trials of known settings")
}

/// Prompts of about `length` tokens, no two alike, each with `choices` continuations of `tokens` tokens.
fn prompts(length: i64, choices: i64, tokens: i64, count: i64) -> Vec<Prompt> {
    let token = |place: i64| (place * 7919) % VOCABULARY;
    let prompt = |index: i64| Prompt {
        context: (0..length + index % 16).map(|place| token(place + index * 131)).collect(),
        continuations: (0..choices)
            .map(|choice| (0..tokens).map(|place| token(place + choice * 17 + index)).collect())
            .collect(),
    };
    (0..count).map(prompt).collect()
}

/// The prompt again for each of its continuations, as one sequence and its last token: what there is to compute is the
/// same as when prompt and choice pass as one.
fn split(prompt: &Prompt) -> Vec<Prompt> {
    let one = |continuation: &Vec<i64>| {
        let (last, rest) = continuation.split_last().expect("a choice has tokens");
        Prompt { context: [&prompt.context[..], rest].concat(), continuations: vec![vec![*last]] }
    };
    prompt.continuations.iter().map(one).collect()
}
