//! A training step of a classifier: a trial alone, and a bank of 8; beside tools/bench/peft_glue.py.
//!
//! `just bench-glue [MODEL]`: forward with dropout, cross entropy, backward and AdamW on random tokens; rows are
//! between half of `LENGTH` and all of it, evenly, and padded to it. Tokens per second count no padding. The share of
//! the peak takes 4 operations per weight of the encoder's linear layers and token, padding included: forward, and the
//! gradient of the layer's input. The peak is that of a large matrix product in f32, measured in the same process.

use std::path::{Path, PathBuf};

use delora_core::{Bank, Group, MethodConfig, Role, Schedule, Site, TrialConfig};
use finetune::testing::{median, peak};
use finetune::{BankHook, DropoutRates, StepDropout, seconds_of};
use models::Loaded;
use models::roberta::{ClassificationHead, Encoder, Tokens, load_encoder};
use serde_json::json;
use tch::{Device, Kind, Tensor};

const LENGTH: i64 = 64;
const STEPS: usize = 20;
const WARMUP_STEPS: usize = 3;
const DROPOUT: DropoutRates = DropoutRates { hidden: 0.1, attention: 0.1, head: 0.1, adapter: 0.0 };

fn trial(method: &str, seed: u64) -> TrialConfig {
    let (settings, group) = match method {
        "delora" => (json!({"rank": 8, "lambda": 4.0}), Some(Group::Strength)),
        "dora" => (json!({"rank": 8, "alpha": 16.0}), Some(Group::Magnitude)),
        _ => (json!({"rank": 8, "alpha": 16.0}), None),
    };
    let settings = settings.as_object().expect("a table").clone();
    let groups = [Group::Angles, Group::Head, Group::HeadBias].into_iter().chain(group);
    TrialConfig {
        method: MethodConfig { name: method.to_owned(), settings },
        learning_rate: groups.map(|group| (group, 1e-4)).collect(),
        optimizer: Default::default(),
        schedule: Schedule::default(),
        targets: Some(delora_core::Target::roles(&[Role::Query, Role::Value])),
        seed,
    }
}

struct Network {
    encoder: Loaded<Encoder>,
    head: ClassificationHead,
    sites: Vec<Site>,
    /// In the encoder's linear layers.
    weights: usize,
    device: Device,
}

impl Network {
    fn load(folder: &Path) -> Network {
        let device = device::here();
        let encoder = load_encoder(folder, device).unwrap_or_else(|error| panic!("{error}"));
        let head = ClassificationHead::alone(encoder.network.config(), 2, device);
        let sites = [finetune::sites(&encoder), finetune::head_sites(&head.linears())]
            .into_iter()
            .flatten()
            .collect();
        let weights = models::Adaptable::linears(&encoder.network);
        let weights = weights.iter().map(|(linear, _)| linear.weight.numel()).sum();
        Network { encoder, head, sites, weights, device }
    }

    /// Median seconds of a step of a bank of `methods`, and the tokens of one.
    fn step(&self, methods: &[&str], batch: i64) -> (f64, f64) {
        let trials: Vec<TrialConfig> =
            methods.iter().zip(0..).map(|(method, seed)| trial(method, seed)).collect();
        let mut bank = Bank::new(&self.sites, &trials, self.device).expect("the trials are well formed");
        let config = self.encoder.network.config();
        let rows = batch * trials.len() as i64;
        let ids = Tensor::randint_low(5, config.vocab_size, [rows, LENGTH], (Kind::Int64, self.device));
        let length = |row: i64| {
            (LENGTH as f64 * (0.5 + 0.5 * (row % batch) as f64 / (batch - 1).max(1) as f64)).round() as i64
        };
        let lengths: Vec<i64> = (0..rows).map(length).collect();
        let positions = Tensor::arange(LENGTH, (Kind::Int64, self.device));
        let mask = positions.lt_tensor(&Tensor::from_slice(&lengths).to_device(self.device).unsqueeze(1));
        let ids = ids.masked_fill(&mask.logical_not(), config.pad_token_id);
        let mask = mask.to_kind(Kind::Int64);
        let labels = Tensor::randint(2, [rows, 1], (Kind::Int64, self.device));
        let seeds: Vec<u64> = (0..trials.len() as u64).collect();
        let rates = vec![DROPOUT; trials.len()];
        let mut step = || {
            let dropout = StepDropout::new(bank.steps(), &seeds, &rates, 0..batch as usize, self.device);
            let hook = BankHook::training(&bank, &dropout);
            let tokens = Tokens { ids: &ids, mask: &mask, types: None };
            let hidden = self.encoder.network.forward(&tokens, Kind::Float, &hook);
            let logits = self.head.forward(&hidden, &hook);
            let losses = -logits.log_softmax(1, Kind::Float).gather(1, &labels, false);
            let losses = losses.view([-1, batch]).mean_dim([1i64].as_slice(), false, Kind::Float);
            bank.step(&losses);
            let _ = bank.health(); // waits for the device
        };
        (0..WARMUP_STEPS).for_each(|_| step());
        let seconds = median((0..STEPS).map(|_| seconds_of(&mut step)).collect());
        (seconds, lengths.iter().sum::<i64>() as f64)
    }
}

fn main() {
    let given = std::env::args().nth(1).filter(|argument| !argument.starts_with("--"));
    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini/encoder");
    let folder = given.map_or(mini, PathBuf::from);
    let network = Network::load(&folder);
    let first_peak = peak(Kind::Float, network.device);
    let mixed = ["lora", "lora", "lora", "delora", "delora", "delora", "dora", "dora"];
    let cases: [(&str, &[&str], i64); 8] = [
        ("LoRA", &["lora"], 32),
        ("DeLoRA", &["delora"], 32),
        ("DoRA", &["dora"], 32),
        ("LoRA", &["lora"], 8),
        ("DeLoRA", &["delora"], 8),
        ("DoRA", &["dora"], 8),
        ("bank of 8, mixed", &mixed, 8),
        ("bank of 8, DeLoRA", &["delora"; 8], 8),
    ];
    let measured = cases.map(|(title, methods, batch)| (title, methods, batch, network.step(methods, batch)));
    let peak = first_peak.max(peak(Kind::Float, network.device));
    println!(
        "{}, length {LENGTH}, {:?}, {} threads",
        folder.display(),
        network.device,
        tch::get_num_threads()
    );
    println!("peak {:.1} GFLOP/s", peak / 1e9);
    for (title, methods, batch, (seconds, tokens)) in measured {
        let padded = (batch * LENGTH) as f64 * methods.len() as f64;
        let share = 4.0 * network.weights as f64 * padded / seconds / peak;
        println!(
            "{title:17} batch {batch:2}: {:7.1} ms per step, {:7.1} ms per trial, {:6.0} tokens/s, {:3.0} % of the peak",
            seconds * 1e3,
            seconds * 1e3 / methods.len() as f64,
            tokens / seconds,
            100.0 * share,
        );
    }
}
