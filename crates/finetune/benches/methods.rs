//! What a method adds to a training step of one trial: its step divided by the frozen network's own.
//!
//! `just bench-methods`: an encoder of RoBERTa-base's width, forward, backward and optimizer; methods at rank 8 on query
//! and value, each in every round. Medians of ratios within a round; times depend on the machine.

use delora_core::{Bank, METHODS, Method, MethodConfig, Role, Site, TrialConfig};
use finetune::testing::median;
use finetune::{BankHook, seconds_of};
use models::Loaded;
use models::roberta::{Encoder, EncoderConfig, Tokens};
use models::{Embedding, Hook};
use serde_json::{Map, Value, json};
use tch::{Device, Kind, Tensor, nn};

const LAYERS: i64 = 4;
const TOKENS: i64 = 64;
const BATCHES: [i64; 2] = [8, 1];
const ROUNDS: usize = 7;

/// The bare network, through which a gradient runs down to its embedded words.
struct Differentiated;

impl Hook for Differentiated {
    fn embedding(&self, layer: &Embedding, ids: &Tensor) -> Tensor {
        layer.forward(ids).set_requires_grad(true)
    }
}

fn config() -> EncoderConfig {
    let config = json!({
        "model_type": "roberta", "vocab_size": 1000, "hidden_size": 768, "num_hidden_layers": LAYERS,
        "num_attention_heads": 12, "intermediate_size": 3072, "max_position_embeddings": 514,
        "type_vocab_size": 1, "layer_norm_eps": 1e-5, "hidden_act": "gelu", "pad_token_id": 1,
        "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
    });
    serde_json::from_value(config).expect("a configuration of RoBERTa")
}

/// Rank 8 and alpha 16 where the method has them; VeRA keeps its own rank, which is another matter.
fn settings(method: &Method) -> Map<String, Value> {
    let candidates = [json!({ "rank": 8, "alpha": 16.0 }), json!({ "rank": 8 }), json!({})];
    let fits = |settings: &&Map<String, Value>| method.name() != "vera" && method.structure(settings).is_ok();
    let tables = candidates.iter().filter_map(Value::as_object);
    tables.clone().find(fits).cloned().unwrap_or_default()
}

fn trial(method: &Method) -> TrialConfig {
    let config = MethodConfig { name: method.name().to_owned(), settings: settings(method) };
    TrialConfig {
        targets: Some(delora_core::Target::roles(&[Role::Query, Role::Value])),
        ..TrialConfig::new(config, 1e-4, 0)
    }
}

struct Bench {
    network: Loaded<Encoder>,
    sites: Vec<Site>,
    ids: Tensor,
    mask: Tensor,
}

impl Bench {
    fn new(batch: i64) -> Bench {
        let store = nn::VarStore::new(Device::Cpu);
        let network = Encoder::new(&store.root(), &config()).expect("the configuration fits");
        let network = Loaded::built(network, store);
        let sites = finetune::sites(&network);
        let options = (Kind::Int64, Device::Cpu);
        let ids = Tensor::randint_low(5, 1000, [batch, TOKENS], options);
        Bench { network, sites, ids, mask: Tensor::ones([batch, TOKENS], options) }
    }

    fn loss(&self, hook: &dyn Hook) -> Tensor {
        let tokens = Tokens { ids: &self.ids, mask: &self.mask, types: None };
        let hidden = self.network.network.forward(&tokens, Kind::Float, hook);
        hidden.square().mean(Kind::Float)
    }

    fn frozen_step(&self) -> f64 {
        seconds_of(|| self.loss(&Differentiated).backward())
    }

    fn step(&self, bank: &mut Bank) -> f64 {
        seconds_of(|| {
            let loss = self.loss(&BankHook::new(bank));
            bank.step(&loss.unsqueeze(0));
        })
    }
}

fn main() {
    println!(
        "step of one trial by the frozen network's own; {LAYERS} layers of RoBERTa-base, {TOKENS} tokens"
    );
    for batch in BATCHES {
        let bench = Bench::new(batch);
        let methods: Vec<&Method> = METHODS.iter().filter(|method| !method.about.groups.is_empty()).collect();
        let bank = |method: &&Method| {
            Bank::new(&bench.sites, &[trial(method)], Device::Cpu).expect("the trials are well formed")
        };
        let mut banks: Vec<Bank> = methods.iter().map(bank).collect();
        let mut ratios: Vec<Vec<f64>> = vec![Vec::new(); methods.len()];
        let mut frozen = Vec::new();
        for round in 0..=ROUNDS {
            let mut own = vec![bench.frozen_step()];
            let steps: Vec<f64> = banks.iter_mut().map(|bank| bench.step(bank)).collect();
            own.push(bench.frozen_step());
            // The first round fills caches. The frozen step before and after the others evens out a drift.
            if round > 0 {
                let base = (own[0] + own[1]) / 2.0;
                frozen.push(base);
                ratios.iter_mut().zip(&steps).for_each(|(ratios, step)| ratios.push(step / base));
            }
        }
        println!("batch {batch}: frozen {:.3} s", median(frozen));
        for (method, ratios) in methods.iter().zip(ratios) {
            println!("  {:26} {:.3}", method.name(), median(ratios));
        }
    }
}
