//! The methods that are measured, with settings that a peer has too.

use delora_core::{Group, MethodConfig, TrialConfig, find_method};
use serde_json::{Value, json};

use crate::networks::Known;

/// PEFT's names for a method's forms, its default first; none where it has no such method.
pub struct Measured {
    pub method: &'static str,
    pub peers: &'static [&'static str],
}

/// In the order of tables; tools/bench/peer.py has what the peers' names mean.
pub const METHODS: [Measured; 9] = [
    Measured { method: "lora", peers: &["lora"] },
    Measured { method: "dora", peers: &["dora"] },
    Measured { method: "delora", peers: &["delora"] },
    Measured { method: "ether_plus_one_sided", peers: &[] },
    // PEFT's default takes five terms of a series for the inverse in the Cayley map; ours, and PEFT's other, is exact.
    Measured { method: "oft", peers: &["oft_series", "oft_exact"] },
    Measured { method: "ia3", peers: &["ia3"] },
    Measured { method: "vera", peers: &["vera"] },
    Measured { method: "bitfit", peers: &["bitfit"] },
    Measured { method: "full", peers: &["full"] },
];

fn settings(method: &str, rank: i64) -> Value {
    match method {
        "lora" | "dora" => json!({ "rank": rank, "alpha": 2 * rank }),
        "delora" => json!({ "rank": rank, "lambda": 4.0 }),
        "oft" => json!({ "blocks": 4 }),
        "vera" => json!({ "rank": 64 }),
        _ => json!({}),
    }
}

/// A trial of a method at a network's rank; every group learns.
pub fn trial(method: &str, network: &Known, seed: u64) -> TrialConfig {
    let settings = settings(method, network.rank).as_object().expect("a table").clone();
    let config = MethodConfig { name: method.to_owned(), settings };
    let groups = find_method(method).expect("it is listed").about.groups;
    let is_low_rank = !matches!(method, "ia3" | "bitfit" | "full");
    TrialConfig {
        learning_rate: groups.iter().map(|&group: &Group| (group, 1e-4)).collect(),
        targets: is_low_rank.then(|| delora_core::Target::roles(network.targets)),
        ..TrialConfig::new(config, 1e-4, seed)
    }
}
