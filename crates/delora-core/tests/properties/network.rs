//! A small frozen network with sites of two shapes, and trials of every method that train on it.

use delora_core::{Bank, METHODS, Method, MethodConfig, Site, TrialConfig, stream};
use rand::RngExt;
use serde_json::{Map, Value, json};
use tch::{Device, Kind, Tensor};

/// Rows of activations per trial.
const ROWS: i64 = 5;

pub struct Network {
    pub in_features: i64,
    pub out_features: i64,
    pub sites: Vec<Site>,
    pub biases: Vec<Tensor>,
}

/// Uniform in ±1, from a stream of its own.
pub fn uniform(seed: u64, purpose: &str, shape: &[i64]) -> Tensor {
    let mut generator = stream(seed, purpose);
    let count = shape.iter().product::<i64>();
    let values: Vec<f32> = (0..count).map(|_| 2.0 * generator.random::<f32>() - 1.0).collect();
    Tensor::from_slice(&values).view(shape)
}

impl Network {
    /// Two sites [out_features, in_features] and one back, [in_features, out_features], each with a bias.
    pub fn new(in_features: i64, out_features: i64, seed: u64) -> Network {
        let shapes = [("first", out_features, in_features), ("back", in_features, out_features)];
        let last = ("second", out_features, in_features);
        let (mut sites, mut biases) = (Vec::new(), Vec::new());
        for (name, outside, inside) in shapes.into_iter().chain([last]) {
            sites.push(Site { name: name.to_owned(), weight: uniform(seed, name, &[outside, inside]) });
            biases.push(uniform(seed, &format!("{name}/bias"), &[outside]));
        }
        Network { in_features, out_features, sites, biases }
    }

    pub fn bank(&self, trials: &[TrialConfig]) -> Bank {
        Bank::new(&self.sites, trials, Device::Cpu).unwrap()
    }

    /// The input of one site at one step, from each trial's own seed, [trials, rows, features].
    pub fn input(&self, bank: &Bank, site: usize, step: u64) -> Tensor {
        let features = self.sites[site].weight.size()[1];
        let own = |slot| {
            let purpose = format!("data/{site}/{step}");
            uniform(bank.trial(slot).seed, &purpose, &[ROWS, features])
        };
        Tensor::stack(&(0..bank.num_trials()).map(own).collect::<Vec<_>>(), 0)
    }

    pub fn adapted(&self, bank: &Bank, site: usize, input: &Tensor) -> Tensor {
        let Site { name, weight } = &self.sites[site];
        bank.forward(name, weight, Some(&self.biases[site]), input)
    }

    /// Mean squares of what the three sites make in turn, off a target, [trials].
    pub fn losses(&self, bank: &Bank, step: u64, spoil: impl Fn(&Tensor) -> Tensor) -> Tensor {
        let mut hidden = spoil(&self.input(bank, 0, step));
        for site in 0..self.sites.len() {
            hidden = self.adapted(bank, site, &hidden).tanh();
        }
        (hidden - 0.3).square().mean_dim([1, 2].as_slice(), false, Kind::Float)
    }

    pub fn train(&self, bank: &mut Bank, steps: u64) {
        for _ in 0..steps {
            let losses = self.losses(bank, bank.steps(), Tensor::shallow_clone);
            bank.step(&losses);
        }
    }
}

/// Every method in every structural form.
pub fn cases(rank: i64) -> Vec<(&'static Method, Map<String, Value>)> {
    METHODS
        .iter()
        .flat_map(|method| method.examples(rank).into_iter().map(move |settings| (method, settings)))
        .collect()
}

pub fn trial(method: &Method, settings: &Map<String, Value>, rate: f64, seed: u64) -> TrialConfig {
    TrialConfig {
        method: MethodConfig { name: method.name().to_owned(), settings: settings.clone() },
        learning_rate: method.about.groups.iter().map(|&group| (group, rate)).collect(),
        optimizer: Default::default(),
        schedule: Default::default(),
        seed,
    }
}

/// Two trials of one case that differ in seed, rate and, where there is one, strength.
pub fn pair(method: &Method, settings: &Map<String, Value>, rate: f64) -> Vec<TrialConfig> {
    let mut stronger = settings.clone();
    for name in ["alpha", "lambda"] {
        if let Some(value) = stronger.get_mut(name) {
            *value = json!(1.9 * value.as_f64().unwrap());
        }
    }
    vec![trial(method, settings, rate, 11), trial(method, &stronger, 0.5 * rate, 12)]
}

/// Every parameter and constant of one trial, flat.
pub fn everything(network: &Network, bank: &Bank, slot: usize) -> Vec<(String, Tensor)> {
    let mut found = Vec::new();
    for site in &network.sites {
        for name in ["A", "B", "C", "D", "U", "V", "R1", "R2", "m", "lambda", "A0", "B0", "lambda0", "scale"]
        {
            if let Ok(value) = bank.parameter(&site.name, slot, name) {
                found.push((format!("{}.{name}", site.name), value));
            }
        }
    }
    found
}

/// The slot of the trial that was at `index` in the list given to `Bank::new`.
pub fn slot_of(bank: &Bank, index: usize) -> usize {
    bank.order().iter().position(|&trial| trial == index).unwrap()
}

/// Largest absolute difference.
pub fn difference(left: &Tensor, right: &Tensor) -> f64 {
    assert_eq!(left.size(), right.size());
    (left - right).abs().max().double_value(&[])
}
