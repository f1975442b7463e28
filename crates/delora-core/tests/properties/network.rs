//! A small frozen network with sites of every kind, and trials of every method that train on it.

use delora_core::{
    Bank, Hidden, METHODS, Method, MethodConfig, Part, Place, Role, Site, TrialConfig, stream,
};
use rand::RngExt;
use serde_json::{Map, Value, json};
use tch::{Device, Kind, Tensor};

/// Sequences, and tokens of each, per trial.
const BATCH: i64 = 2;
const TOKENS: i64 = 4;

/// Three linear layers, each followed by hidden states that may be changed, and a norm behind the second.
pub struct Network {
    pub in_features: i64,
    pub out_features: i64,
    pub sites: Vec<Site>,
}

/// The linear layers in their order.
pub const LINEARS: [&str; 3] = ["first", "back", "second"];
const HIDDEN: [(&str, Place); 3] = [
    ("first.hidden", Place::AttentionOutput),
    ("back.hidden", Place::FeedForwardOutput),
    ("second.hidden", Place::BlockOutput),
];

/// Uniform in ±1, from a stream of its own.
pub fn uniform(seed: u64, purpose: &str, shape: &[i64]) -> Tensor {
    let mut generator = stream(seed, purpose);
    let count = shape.iter().product::<i64>();
    let values: Vec<f32> = (0..count).map(|_| 2.0 * generator.random::<f32>() - 1.0).collect();
    Tensor::from_slice(&values).view(shape)
}

impl Network {
    /// Two layers [out_features, in_features] and one back, [in_features, out_features], each with a bias.
    pub fn new(in_features: i64, out_features: i64, seed: u64) -> Network {
        let roles = [Role::Key, Role::FeedForwardOut, Role::Value];
        let shapes = [[out_features, in_features], [in_features, out_features], [out_features, in_features]];
        let mut sites = Vec::new();
        for (index, (name, shape)) in LINEARS.into_iter().zip(shapes).enumerate() {
            let bias = uniform(seed, &format!("{name}/bias"), &shape[..1]);
            sites.push(Site::linear(name, roles[index], &uniform(seed, name, &shape), Some(&bias)));
            let (hidden, place) = HIDDEN[index];
            sites.push(Site::hidden(hidden, place, index as i64, shape[0]));
        }
        for name in ["norm.weight", "norm.bias"] {
            sites.push(Site::tensor(name, &(uniform(seed, name, &[in_features]) + 1.5)));
        }
        Network { in_features, out_features, sites }
    }

    pub fn site(&self, name: &str) -> &Site {
        self.sites.iter().find(|site| site.name == name).unwrap()
    }

    /// Weight and bias of a linear layer.
    pub fn layer(&self, name: &str) -> (&Tensor, &Tensor) {
        match &self.site(name).part {
            Part::Linear { weight, bias: Some(bias), .. } => (weight, bias),
            _ => panic!("{name} is a layer with a bias"),
        }
    }

    fn tensor(&self, name: &str) -> &Tensor {
        match &self.site(name).part {
            Part::Tensor { value } => value,
            _ => panic!("{name} is a tensor"),
        }
    }

    /// Everything frozen.
    pub fn frozen(&self) -> Vec<Tensor> {
        let layers = LINEARS.map(|name| self.layer(name));
        let norm = ["norm.weight", "norm.bias"].map(|name| self.tensor(name));
        layers.into_iter().flat_map(|(weight, bias)| [weight, bias]).chain(norm).map(Tensor::copy).collect()
    }

    pub fn bank(&self, trials: &[TrialConfig]) -> Bank {
        Bank::new(&self.sites, trials, Device::Cpu).unwrap()
    }

    /// The input of one layer at one step, from each trial's own seed, [trials, rows, features].
    pub fn input(&self, bank: &Bank, layer: &str, step: u64) -> Tensor {
        let features = self.layer(layer).0.size()[1];
        let own = |slot| {
            let purpose = format!("data/{layer}/{step}");
            uniform(bank.trial(slot).seed, &purpose, &[BATCH * TOKENS, features])
        };
        Tensor::stack(&(0..bank.num_trials()).map(own).collect::<Vec<_>>(), 0)
    }

    pub fn adapted(&self, bank: &Bank, layer: &str, input: &Tensor) -> Tensor {
        let (weight, bias) = self.layer(layer);
        if bank.adapts(layer) {
            return bank.forward(layer, weight, Some(bias), input);
        }
        input.linear(&weight.to_kind(input.kind()), Some(&bias.to_kind(input.kind())))
    }

    /// Hidden states [trials, rows, features] as the bank changes them; half of the tokens of the second sequence are padding.
    fn hidden(&self, bank: &Bank, name: &str, values: &Tensor) -> Tensor {
        if !bank.adapts(name) {
            return values.shallow_clone();
        }
        let (trials, rows, features) = values.size3().unwrap();
        let folded = values.view([trials, BATCH, TOKENS, features]);
        let lengths = Tensor::from_slice(&[TOKENS, TOKENS / 2]).repeat([trials, 1]);
        let normed = folded.layer_norm([features], None::<&Tensor>, None::<&Tensor>, 1e-5, true);
        let hidden =
            Hidden { values: &folded, lengths: Some(&lengths), normed: Some(&normed), dropout: None };
        bank.hidden(name, &hidden).view([trials, rows, features])
    }

    /// A tensor of every trial, [trials, 1, shape…].
    fn own(&self, bank: &Bank, name: &str, kind: Kind) -> Tensor {
        let frozen = self.tensor(name).to_kind(kind);
        let Some(runs) = bank.tensor(name, kind) else { return frozen };
        let values = runs.into_iter().map(|run| run.values.unwrap_or_else(|| frozen.repeat([run.trials, 1])));
        Tensor::cat(&values.collect::<Vec<_>>(), 0).unsqueeze(1)
    }

    /// What all layers make of an input of the first.
    pub fn output(&self, bank: &Bank, input: &Tensor) -> Tensor {
        let mut hidden = input.shallow_clone();
        for (layer, (site, _)) in LINEARS.into_iter().zip(HIDDEN) {
            hidden = self.hidden(bank, site, &self.adapted(bank, layer, &hidden).tanh());
            if layer == "back" {
                let features = [self.in_features];
                let normed = hidden.layer_norm(features, None::<&Tensor>, None::<&Tensor>, 1e-5, true);
                let own = |name| self.own(bank, name, input.kind());
                hidden = normed * own("norm.weight") + own("norm.bias");
            }
        }
        hidden
    }

    /// Mean squares of the output off a target, [trials].
    pub fn losses(&self, bank: &Bank, step: u64, spoil: impl Fn(&Tensor) -> Tensor) -> Tensor {
        let output = self.output(bank, &spoil(&self.input(bank, "first", step)));
        (output - 0.3).square().mean_dim([1, 2].as_slice(), false, Kind::Float)
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
    let method = MethodConfig { name: method.name().to_owned(), settings: settings.clone() };
    TrialConfig::new(method, rate, seed)
}

/// Two trials of one case that differ in seed, rate and, where there is one, strength.
pub fn pair(method: &Method, settings: &Map<String, Value>, rate: f64) -> Vec<TrialConfig> {
    let mut stronger = settings.clone();
    let names: &[&str] = if method.name() == "pissa" { &[] } else { &["alpha", "lambda"] };
    for name in names {
        if let Some(value) = stronger.get_mut(*name) {
            *value = json!(1.9 * value.as_f64().unwrap());
        }
    }
    vec![trial(method, settings, rate, 11), trial(method, &stronger, 0.5 * rate, 12)]
}

/// One value of a trial.
pub struct TrialValue {
    pub name: String,
    pub trained: bool,
    pub value: Tensor,
}

/// Every parameter and constant of one trial.
pub fn everything(bank: &Bank, slot: usize) -> Vec<TrialValue> {
    let value = |parameter: delora_core::ParameterName| TrialValue {
        name: format!("{}.{}", parameter.site, parameter.name),
        trained: parameter.trained,
        value: bank.parameter(&parameter.site, slot, parameter.name).unwrap(),
    };
    bank.parameter_names(slot).into_iter().map(value).collect()
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
