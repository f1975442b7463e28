//! Methods and their optimizer against PEFT and the authors' formulas, on the files of `tools/goldens/methods.py`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use delora_core::{Bank, Group, MethodConfig, OptimizerConfig, Schedule, Site, TrialConfig};
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

const CASES: [&str; 10] = [
    "lora",
    "dora",
    "dora_fixed_magnitude",
    "delora_zero_b",
    "delora_live",
    "delora_merged",
    "lora_normalized",
    "ether_plus_one_sided_in_1",
    "ether_plus_one_sided_in_2",
    "ether_plus_one_sided_out_2",
];
const SITES: [&str; 2] = ["first", "second"];
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

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn tensors(path: &Path) -> Tensors {
    Tensor::read_safetensors(path).unwrap().into_iter().collect()
}

fn case(name: &str) -> Case {
    let folder = golden().join(name);
    let text = std::fs::read_to_string(folder.join("case.json")).unwrap();
    let settings: Settings = serde_json::from_str(&text).unwrap();
    let trial = TrialConfig {
        method: settings.method,
        learning_rate: settings.learning_rate,
        optimizer: OptimizerConfig { weight_decay: settings.weight_decay, ..Default::default() },
        schedule: Schedule::default(),
        seed: 1,
    };
    Case {
        name: format!("{name}, {}", settings.source),
        trial,
        values: tensors(&folder.join("io.safetensors")),
    }
}

/// The bank of some cases over the stack that they share.
struct Bench {
    stack: Tensors,
    bank: Bank,
    /// By slot.
    cases: Vec<Case>,
}

impl Bench {
    fn new(names: &[&str]) -> Bench {
        let stack = tensors(&golden().join("stack.safetensors"));
        let sites = SITES.map(|site| Site {
            name: site.to_owned(),
            weight: stack[&format!("{site}.weight")].shallow_clone(),
        });
        let trials: Vec<TrialConfig> = names.iter().map(|name| case(name).trial).collect();
        let bank = Bank::new(&sites, &trials, Device::Cpu).unwrap();
        let cases = bank.order().iter().map(|&trial| case(names[trial])).collect();
        let mut bench = Bench { stack, bank, cases };
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

    /// Output [trials, rows, 8] for the batch of one step, the same batch for every trial.
    fn forward(&self, step: i64) -> Tensor {
        let input = self.stack["input"].get(step).unsqueeze(0).repeat([self.cases.len() as i64, 1, 1]);
        let layer = |site: &str, input: &Tensor| {
            let (weight, bias) =
                (&self.stack[&format!("{site}.weight")], &self.stack[&format!("{site}.bias")]);
            self.bank.forward(site, weight, Some(bias), input)
        };
        layer("second", &layer("first", &input).tanh())
    }

    /// Mean squared errors [trials] of one step.
    fn losses(&self, step: i64) -> Tensor {
        let error = self.forward(step) - self.stack["target"].get(step);
        error.square().mean_dim([1i64, 2].as_slice(), false, Kind::Float)
    }

    fn compare_outputs(&self, moment: &str) {
        let outputs = self.forward(0);
        for (slot, case) in self.cases.iter().enumerate() {
            let what = format!("{}: {moment} output", case.name);
            assert_close(&what, &outputs.get(slot as i64), &case.values[&format!("{moment}.output")]);
        }
    }

    fn compare_parameters(&self, moment: &str) {
        for (slot, case) in self.cases.iter().enumerate() {
            let mut compared = 0;
            for (key, reference) in &case.values {
                let Some((site, name)) = parameter_of(key, moment) else { continue };
                let what = format!("{}: {key}", case.name);
                assert_close(&what, &self.bank.parameter(site, slot, name).unwrap(), reference);
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
        for step in 0..self.stack["input"].size()[0] {
            let losses = self.losses(step);
            for (slot, case) in self.cases.iter().enumerate() {
                let what = format!("{}: loss of step {step}", case.name);
                assert_close(&what, &losses.get(slot as i64), &case.values["losses"].get(step));
            }
            self.bank.step(&losses);
        }
        self.compare_parameters("stepped.");
        self.compare_outputs("stepped");
    }
}

/// Site and parameter of a key such as `perturbed.first.A`, when it is of that moment.
fn parameter_of<'a>(key: &'a str, moment: &str) -> Option<(&'a str, &'a str)> {
    key.strip_prefix(moment)?.split_once('.')
}

fn assert_close(what: &str, ours: &Tensor, reference: &Tensor) {
    assert_eq!(ours.size(), reference.size(), "{what}: shapes differ");
    let difference = (ours - reference).abs().max().double_value(&[]);
    println!("{what}: largest difference {difference:.1e}");
    assert!(difference <= TOLERANCE, "{what}: differs by {difference:e}, allowed are {TOLERANCE:e}");
}

#[test]
fn each_method_alone_follows_its_reference_through_three_steps() {
    for name in CASES {
        Bench::new(&[name]).follow();
    }
}

#[test]
fn all_methods_in_one_bank_follow_their_references_through_three_steps() {
    Bench::new(&CASES).follow();
}

#[test]
fn merged_weights_give_the_reference_outputs() {
    let mut bench = Bench::new(&CASES);
    bench.set("perturbed.");
    for (slot, case) in bench.cases.iter().enumerate() {
        let layer = |site: &str, input: &Tensor| {
            input.linear(&bench.bank.merged(site, slot).unwrap(), Some(&bench.stack[&format!("{site}.bias")]))
        };
        let output = layer("second", &layer("first", &bench.stack["input"].get(0)).tanh());
        assert_close(&format!("{}: merged", case.name), &output, &case.values["perturbed.output"]);
    }
}

#[test]
fn every_golden_folder_is_a_case() {
    let folders = std::fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap());
    let mut found: Vec<String> = folders
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    found.sort_unstable();
    let mut cases = CASES.to_vec();
    cases.sort_unstable();
    assert_eq!(found, cases);
}
