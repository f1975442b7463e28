//! Methods and their optimizer against PEFT and the authors' formulas, on the files of `tools/goldens/methods.py`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::everyone::Finding;
use delora_core::{
    Bank, Group, Hidden, METHODS, Method, MethodConfig, OptimizerConfig, Place, Role, Schedule, Site,
    TrialConfig,
};
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

/// Separated by spaces, as those of the block are.
const CASES: &str = "lora dora dora_fixed_magnitude delora_zero_b delora_live delora_merged \
    lora_normalized ether_plus_one_sided_in_1 ether_plus_one_sided_in_2 ether_plus_one_sided_out_2 \
    ether_in_1 ether_in_2 ether_out_2 ether_plus_1 ether_plus_2 oft_2 coft_2 ia3 vera pissa rslora lora_plus";
/// On the block of two norms, which has hidden states and tensors besides its linear layers.
const BLOCK_CASES: &str = "block/full block/bitfit block/red block/loreft_1 block/loreft_2 \
    block/loreft_all block/adapter_houlsby block/adapter_pfeiffer";
const TOLERANCE: f64 = 1e-5;

type Tensors = HashMap<String, Tensor>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    source: String,
    method: MethodConfig,
    learning_rate: BTreeMap<Group, f64>,
    weight_decay: f64,
}

struct Case {
    /// Folder and reference, for messages.
    name: String,
    trial: TrialConfig,
    values: Tensors,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn tensors(path: &Path) -> Tensors {
    Tensor::read_safetensors(path).unwrap().into_iter().collect()
}

fn case(name: &str) -> Case {
    let folder = folder().join(name);
    let text = std::fs::read_to_string(folder.join("case.json")).unwrap();
    let settings: Settings = serde_json::from_str(&text).unwrap();
    let trial = TrialConfig {
        method: settings.method,
        learning_rate: settings.learning_rate,
        optimizer: OptimizerConfig { weight_decay: settings.weight_decay, ..Default::default() },
        schedule: Schedule::default(),
        targets: None,
        seed: 1,
    };
    Case {
        name: format!("{name}, {}", settings.source),
        trial,
        values: tensors(&folder.join("io.safetensors")),
    }
}

/// The frozen network that some cases share.
#[derive(Clone, Copy, PartialEq)]
enum Frozen {
    /// Two linears with a tanh between.
    Stack,
    /// A transformer block without attention, norms behind the residuals.
    Block,
}

impl Frozen {
    fn of(case: &str) -> Frozen {
        if case.starts_with("block/") { Frozen::Block } else { Frozen::Stack }
    }

    fn file(self) -> &'static str {
        match self {
            Frozen::Stack => "stack.safetensors",
            Frozen::Block => "block/block.safetensors",
        }
    }

    /// The linear layers; IA3 takes `first` for a key and `second` for the end of a feed-forward block.
    fn linears(self) -> &'static [(&'static str, Role)] {
        match self {
            Frozen::Stack => &[("first", Role::Key), ("second", Role::FeedForwardOut)],
            Frozen::Block => {
                &[("attention", Role::Output), ("up", Role::FeedForwardIn), ("down", Role::FeedForwardOut)]
            }
        }
    }

    fn sites(self, values: &Tensors) -> Vec<Site> {
        let linear = |&(name, role): &(&str, Role)| {
            let own = |part: &str| &values[&format!("{name}.{part}")];
            Site::linear(name, role, own("weight"), Some(own("bias")))
        };
        let mut sites: Vec<Site> = self.linears().iter().map(linear).collect();
        if self == Frozen::Block {
            let features = values["norm1.bias"].size()[0];
            sites.push(Site::hidden("attention_output", Place::AttentionOutput, 0, features));
            sites.push(Site::hidden("ffn_output", Place::FeedForwardOutput, 0, features));
            sites.push(Site::hidden("block_output", Place::BlockOutput, 0, features));
            for name in ["norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"] {
                sites.push(Site::tensor(name, &values[name]));
            }
        }
        sites
    }
}

/// The bank of some cases over the network that they share.
struct Bench {
    frozen: Frozen,
    network: Tensors,
    bank: Bank,
    /// By slot.
    cases: Vec<Case>,
    /// The largest difference so far.
    largest: f64,
}

impl Bench {
    fn new(names: &[&str]) -> Bench {
        let frozen = Frozen::of(names[0]);
        let network = tensors(&folder().join(frozen.file()));
        let trials: Vec<TrialConfig> = names.iter().map(|name| case(name).trial).collect();
        let bank = Bank::new(&frozen.sites(&network), &trials, Device::Cpu).unwrap();
        let cases = bank.order().iter().map(|&trial| case(names[trial])).collect();
        let mut bench = Bench { frozen, network, bank, cases, largest: 0.0 };
        bench.set("frozen.");
        bench
    }

    /// Gives every trial its file's parameters of one moment.
    fn set(&mut self, moment: &str) {
        for (slot, case) in self.cases.iter().enumerate() {
            for (key, value) in &case.values {
                let Some((site, name)) = parameter_of(key, moment) else { continue };
                self.bank.set_parameter(site, slot, name, value).unwrap();
            }
        }
    }

    fn linear(&self, layer: &str, input: &Tensor) -> Tensor {
        let own = |part: &str| &self.network[&format!("{layer}.{part}")];
        if !self.bank.adapts(layer) {
            return input.linear(own("weight"), Some(own("bias")));
        }
        let (trials, features) = (input.size()[0], input.size().pop().unwrap());
        let rows = input.reshape([trials, -1, features]);
        let output = self.bank.forward(layer, own("weight"), Some(own("bias")), &rows);
        let mut shape = input.size();
        *shape.last_mut().unwrap() = -1;
        output.reshape(shape.as_slice())
    }

    /// A norm over [trials, batch, tokens, features] with each trial's own weight and bias.
    fn norm(&self, name: &str, input: &Tensor) -> Tensor {
        let own = |part: &str| {
            let name = format!("{name}.{part}");
            let frozen = &self.network[&name];
            let runs = self.bank.tensor(&name, Kind::Float);
            let of_run = |run: delora_core::TensorRun| {
                run.values.unwrap_or_else(|| frozen.unsqueeze(0).repeat([run.trials, 1]))
            };
            match runs {
                None => frozen.shallow_clone(),
                Some(runs) => {
                    let values: Vec<Tensor> = runs.into_iter().map(of_run).collect();
                    Tensor::cat(&values, 0).unsqueeze(1).unsqueeze(1)
                }
            }
        };
        let features = input.size().pop().unwrap();
        input.layer_norm([features], None::<&Tensor>, None::<&Tensor>, 1e-5, true) * own("weight")
            + own("bias")
    }

    fn hidden(&self, site: &str, values: &Tensor, normed: Option<&Tensor>) -> Tensor {
        if !self.bank.adapts(site) {
            return values.shallow_clone();
        }
        self.bank.hidden(site, &Hidden { values, lengths: None, normed, dropout: None })
    }

    /// Output of one step's batch, the same batch for every trial, with a leading `trials` axis.
    fn forward(&self, step: i64) -> Tensor {
        let input = self.network["input"].get(step).unsqueeze(0);
        let mut repeats = vec![1; input.dim()];
        repeats[0] = self.cases.len() as i64;
        let input = input.repeat(repeats);
        match self.frozen {
            Frozen::Stack => self.linear("second", &self.linear("first", &input).tanh()),
            Frozen::Block => {
                let attended = self.hidden("attention_output", &self.linear("attention", &input), None);
                let middle = self.norm("norm1", &(attended + input));
                let inner = self.linear("down", &self.linear("up", &middle).tanh());
                let normed = self.norm("norm2", &(&inner + &middle));
                let inner = self.hidden("ffn_output", &inner, Some(&normed));
                self.hidden("block_output", &self.norm("norm2", &(inner + middle)), None)
            }
        }
    }

    /// Mean squared errors [trials] of one step.
    fn losses(&self, step: i64) -> Tensor {
        let error = self.forward(step) - self.network["target"].get(step);
        error.square().flatten(1, -1).mean_dim([1i64].as_slice(), false, Kind::Float)
    }

    fn compare_outputs(&mut self, moment: &str) {
        let outputs = self.forward(0);
        for (slot, case) in self.cases.iter().enumerate() {
            let what = format!("{}: {moment} output", case.name);
            let reference = &case.values[&format!("{moment}.output")];
            self.largest = self.largest.max(compare(&what, &outputs.get(slot as i64), reference));
        }
    }

    fn compare_parameters(&mut self, moment: &str) {
        for (slot, case) in self.cases.iter().enumerate() {
            let mut compared = 0;
            for (key, reference) in &case.values {
                let Some((site, name)) = parameter_of(key, moment) else { continue };
                let what = format!("{}: {key}", case.name);
                let own = self.bank.parameter(site, slot, name).unwrap();
                self.largest = self.largest.max(compare(&what, &own, reference));
                compared += reference.numel() as i64;
            }
            assert_eq!(compared, self.bank.num_parameters(slot), "{}: something was not compared", case.name);
        }
    }

    fn follow(&mut self) {
        self.set("initial.");
        self.compare_outputs("initial");
        self.set("perturbed.");
        self.compare_outputs("perturbed");
        for step in 0..self.network["input"].size()[0] {
            let losses = self.losses(step);
            for (slot, case) in self.cases.iter().enumerate() {
                let what = format!("{}: loss of step {step}", case.name);
                let reference = case.values["losses"].get(step);
                self.largest = self.largest.max(compare(&what, &losses.get(slot as i64), &reference));
            }
            self.bank.step(&losses);
        }
        self.compare_parameters("stepped.");
        self.compare_outputs("stepped");
    }
}

/// Site and parameter of a key such as `perturbed.first.A`, when it is of that moment.
fn parameter_of<'a>(key: &'a str, moment: &str) -> Option<(&'a str, &'a str)> {
    key.strip_prefix(moment)?.rsplit_once('.')
}

/// The largest difference, which is allowed.
fn compare(what: &str, ours: &Tensor, reference: &Tensor) -> f64 {
    assert_eq!(ours.size(), reference.size(), "{what}: shapes differ");
    let difference = (ours - reference).abs().max().double_value(&[]);
    assert!(difference <= TOLERANCE, "{what}: differs by {difference:e}, allowed are {TOLERANCE:e}");
    difference
}

/// Methods that exist in the paper alone: the variants between LoRA and DeLoRA, and between DeLoRA and ETHER+.
const UNPUBLISHED: [&str; 3] =
    ["multiplicative_relaxed", "multiplicative_high_rank", "controllable_boundary"];

/// Each case of a method, alone, follows its reference through three steps.
pub fn golden(method: &Method) -> Finding {
    let is_own = |name: &&str| case(name).trial.method.name == method.name();
    let cases: Vec<&str> = CASES.split(' ').chain(BLOCK_CASES.split(' ')).filter(is_own).collect();
    for name in &cases {
        Bench::new(&[name]).follow();
    }
    match cases.is_empty() {
        false => Finding::Holds,
        true if method.name() == "none" => Finding::Nothing("It computes nothing."),
        true => {
            assert!(UNPUBLISHED.contains(&method.name()), "{} has no golden case", method.name());
            Finding::Nothing("The paper's ablation alone has it; no code was published to compare with.")
        }
    }
}

#[test]
fn each_method_alone_follows_its_reference_through_three_steps() {
    for method in METHODS {
        golden(method);
    }
}

#[test]
fn all_methods_in_one_bank_follow_their_references_through_three_steps() {
    for names in [CASES, BLOCK_CASES] {
        let names: Vec<&str> = names.split(' ').collect();
        let mut bench = Bench::new(&names);
        bench.follow();
        println!("largest difference over {} cases: {:.1e}", names.len(), bench.largest);
    }
}

#[test]
fn merged_weights_give_the_reference_outputs() {
    let mut bench = Bench::new(&CASES.split(' ').collect::<Vec<_>>());
    bench.set("perturbed.");
    for (slot, case) in bench.cases.iter().enumerate() {
        let layer = |site: &str, input: &Tensor| {
            let bias = bench.bank.merged_bias(site, slot).unwrap();
            input.linear(&bench.bank.merged(site, slot).unwrap(), bias.as_ref())
        };
        let output = layer("second", &layer("first", &bench.network["input"].get(0)).tanh());
        compare(&format!("{}: merged", case.name), &output, &case.values["perturbed.output"]);
    }
}

#[test]
fn every_golden_folder_is_a_case() {
    let folders = |path: PathBuf| {
        let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
        let folders = entries.filter(|entry| entry.file_type().unwrap().is_dir());
        folders.map(|entry| entry.file_name().into_string().unwrap()).collect::<Vec<String>>()
    };
    let mut found = folders(folder());
    found.retain(|name| name != "block");
    found.extend(folders(folder().join("block")).into_iter().map(|name| format!("block/{name}")));
    found.sort_unstable();
    let mut cases: Vec<&str> = CASES.split(' ').chain(BLOCK_CASES.split(' ')).collect();
    cases.sort_unstable();
    assert_eq!(found, cases);
}
