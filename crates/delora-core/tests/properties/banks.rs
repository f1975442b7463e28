//! A trial's result is its own: not its bank's, not its neighbours', not an interruption's.

use std::collections::BTreeMap;

use crate::everyone::Finding;
use crate::network::{Network, cases, difference, everything, slot_of, trial};
use delora_core::{Bank, CoreError, Group, METHODS, Method, Role, Schedule, Site, TrialConfig, find_method};
use serde_json::{Map, json};
use tch::{Device, Kind, Tensor};

const RANK: i64 = 2;
const STEPS: u64 = 8;

/// Every method in every form, some forms by three trials, each trial with its own rate, schedule, clipping and seed, shuffled.
fn mixed_trials() -> Vec<TrialConfig> {
    let forms = cases(RANK);
    let repeated = [forms.clone(), forms[1..4].to_vec(), forms[1..4].to_vec()].concat();
    let mut trials: Vec<TrialConfig> = (repeated.iter().enumerate())
        .map(|(index, (method, settings))| {
            let mut config = trial(method, settings, 0.01 * (1.0 + index as f64 % 3.0), index as u64);
            if index % 2 == 0 {
                config.schedule = Schedule::Cosine { warmup_steps: 3, total_steps: 30 };
                config.optimizer.clip_norm = Some(0.05);
            }
            config
        })
        .collect();
    trials.rotate_left(5);
    trials.swap(0, 7);
    trials
}

fn flat(bank: &Bank, slot: usize) -> Tensor {
    let values: Vec<Tensor> = everything(bank, slot).iter().map(|own| own.value.flatten(0, -1)).collect();
    if values.is_empty() { Tensor::zeros([1], (Kind::Float, Device::Cpu)) } else { Tensor::cat(&values, 0) }
}

/// Trials of all methods after a training together.
pub struct Mixed {
    network: Network,
    trials: Vec<TrialConfig>,
    bank: Bank,
    /// Every value of each trial before the training.
    starts: Vec<Tensor>,
}

impl Mixed {
    pub fn trained((in_features, out_features): (i64, i64)) -> Mixed {
        let (network, trials) = (Network::new(in_features, out_features, 1), mixed_trials());
        let mut bank = network.bank(&trials);
        let starts = (0..trials.len()).map(|index| flat(&bank, slot_of(&bank, index))).collect();
        network.train(&mut bank, STEPS);
        Mixed { network, trials, bank, starts }
    }

    /// A trial alone equals the same trial in the bank.
    pub fn alone(&self, method: &Method) -> Finding {
        for (index, config) in self.trials.iter().enumerate() {
            if config.method.name != method.name() {
                continue;
            }
            let mut alone = self.network.bank(std::slice::from_ref(config));
            let (start, name) = (flat(&alone, 0), method.name());
            assert_eq!(start, self.starts[index], "{name}: the start depends on the bank");
            self.network.train(&mut alone, STEPS);
            let own = flat(&alone, 0);
            assert_eq!(own == self.starts[index], method.name() == "none", "{}", method.name());
            let gap = difference(&own, &flat(&self.bank, slot_of(&self.bank, index)));
            // Sums over other shapes are taken in another order; AdamW divides by small numbers.
            assert!(gap < 1e-4, "{}: {gap} after {STEPS} steps", method.name());
        }
        Finding::Holds
    }
}

#[test]
fn a_trial_alone_equals_the_same_trial_in_a_mixed_bank() {
    // Kernels take layers whose sides are multiples of sixteen.
    for shape in [(12, 16), (48, 32)] {
        let mixed = Mixed::trained(shape);
        for method in METHODS {
            mixed.alone(method);
        }
    }
}

#[test]
fn trials_of_one_structure_are_neighbours_and_order_says_whose_they_are() {
    let trials = [mixed_trials(), mixed_trials()].concat();
    let bank = Network::new(12, 16, 1).bank(&trials);
    let mut seen: Vec<usize> = bank.order().to_vec();
    for (slot, &index) in bank.order().iter().enumerate() {
        assert_eq!(bank.trial(slot), &trials[index]);
        assert_eq!(bank.method(slot).name(), trials[index].method.name);
    }
    let methods: Vec<&str> = (0..trials.len()).map(|slot| bank.method(slot).name()).collect();
    let mut runs = methods.clone();
    runs.dedup();
    assert_eq!(runs.len(), delora_core::METHODS.len());
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..trials.len()));
}

/// Trains, with the input of each of `sick` set to NaN from its step on; also gives every trial's values before each step.
fn train_beside(
    network: &Network,
    trials: &[TrialConfig],
    sick: &BTreeMap<usize, u64>,
) -> (Bank, Vec<Vec<Tensor>>) {
    let mut bank = network.bank(trials);
    let mut before = Vec::new();
    for step in 0..STEPS {
        before.push((0..trials.len()).map(|slot| flat(&bank, slot)).collect());
        let spoil = |input: &Tensor| {
            let spoiled = input.copy();
            for (&index, _) in sick.iter().filter(|(_, first)| step >= **first) {
                let _ = spoiled.get(slot_of(&bank, index) as i64).fill_(f64::NAN);
            }
            spoiled
        };
        let losses = network.losses(&bank, step, spoil);
        bank.step(&losses);
    }
    (bank, before)
}

#[test]
fn a_neighbour_driven_to_nan_changes_nothing() {
    let network = Network::new(12, 16, 2);
    let trials = mixed_trials();
    let (healthy, before) = train_beside(&network, &trials, &BTreeMap::new());
    assert!(healthy.health().iter().all(Option::is_none));
    // Alone, and with every third trial falling, one after the other.
    let (last, all) = (STEPS - 1, 0..trials.len());
    let many = all.step_by(3).map(|index| (index, index as u64 % last)).collect();
    for sick in [BTreeMap::from([(9, 5)]), many] {
        let (bank, _) = train_beside(&network, &trials, &sick);
        for (index, config) in trials.iter().enumerate() {
            let slot = slot_of(&bank, index);
            assert_eq!(bank.health()[slot], sick.get(&index).copied());
            let expected = match sick.get(&index) {
                Some(&step) => &before[step as usize][slot],
                None => &flat(&healthy, slot),
            };
            assert_eq!(&flat(&bank, slot), expected, "slot {slot}, {}", config.method.name);
        }
        let output = network.output(&bank, &network.input(&bank, "first", 50));
        assert!(bool::try_from(output.isfinite().all()).unwrap(), "a quarantined trial's output is finite");
    }
    let stayed = |&slot: &usize| flat(&healthy, slot) == before[last as usize][slot];
    assert_eq!((0..trials.len()).filter(stayed).count(), 1, "all but `none` move to the end");
}

#[test]
fn an_infinite_loss_with_a_finite_gradient_is_a_divergence_too() {
    let network = Network::new(12, 16, 2);
    let trials = mixed_trials();
    let mut bank = network.bank(&trials);
    let before = flat(&bank, 3);
    let infinity = Tensor::zeros([trials.len() as i64], (Kind::Float, Device::Cpu));
    let _ = infinity.get(3).fill_(f64::INFINITY);
    let losses = network.losses(&bank, 0, Tensor::shallow_clone) + infinity;
    bank.step(&losses);
    network.train(&mut bank, 2);
    assert_eq!(bank.health()[3], Some(0));
    assert_eq!(bank.health().iter().flatten().count(), 1);
    assert_eq!(flat(&bank, 3), before);
}

#[test]
fn a_gradient_that_overflows_is_a_divergence() {
    let network = Network::new(12, 16, 2);
    let trials = mixed_trials();
    let mut bank = network.bank(&trials);
    let is_lora = |slot: &usize| bank.method(*slot).name() == "lora";
    let slot = (0..trials.len()).find(is_lora).unwrap();
    let factors = Tensor::ones([trials.len() as i64], (Kind::Float, Device::Cpu));
    let _ = factors.get(slot as i64).fill_(3e38);
    let losses = network.losses(&bank, 0, Tensor::shallow_clone).clamp_max(1.0) * 1e-3 * factors;
    assert!(bool::try_from(losses.isfinite().all()).unwrap());
    bank.step(&losses);
    let fallen: Vec<usize> = (0..trials.len()).filter(|&slot| bank.health()[slot].is_some()).collect();
    assert_eq!(fallen, [slot]);
}

#[test]
fn gradients_are_clipped_by_each_trials_own_norm() {
    let network = Network::new(12, 16, 3);
    let lora = find_method("lora").unwrap();
    let settings = &lora.examples(RANK)[0];
    // With a large eps AdamW's first step is nearly proportional to the gradient, so clipping shows.
    let config = |seed, clip_norm| {
        let mut config = trial(lora, settings, 100.0, seed);
        config.optimizer.eps = 1e3;
        config.optimizer.weight_decay = 0.0;
        config.optimizer.clip_norm = clip_norm;
        config
    };
    let moved = |trials: &[TrialConfig], slot: usize| {
        let mut bank = network.bank(trials);
        let before = flat(&bank, slot);
        network.train(&mut bank, 1);
        (flat(&bank, slot) - before).norm().double_value(&[])
    };
    let free = moved(&[config(1, None)], 0);
    let clipped = moved(&[config(1, Some(1e-3))], 0);
    assert!(clipped < 0.5 * free, "{clipped} against {free}");
    assert!((clipped - 100.0 * 1e-3 / 1e3).abs() < 1e-6, "{clipped}");
    let beside = [config(1, Some(1e-3)), config(2, None), config(3, Some(1e6))];
    assert!((moved(&beside, 0) - clipped).abs() < 1e-9);
    assert!((moved(&beside, 1) - moved(&[config(2, None)], 0)).abs() < 1e-9);
    assert!((moved(&beside, 2) - moved(&[config(3, None)], 0)).abs() < 1e-9);
}

#[test]
fn saving_loading_and_continuing_equals_an_uninterrupted_run_bit_for_bit() {
    let network = Network::new(12, 16, 4);
    let path = std::env::temp_dir().join(format!("delora-core-state-{}.safetensors", std::process::id()));
    let trials = mixed_trials();
    let (mut straight, _) = train_beside(&network, &trials, &BTreeMap::from([(6, 3)]));
    straight.save(&path).unwrap();
    let mut resumed = network.bank(&trials);
    let _ = network.losses(&resumed, 0, Tensor::shallow_clone); // What forward has made must not survive loading.
    resumed.load_state(&path).unwrap();
    assert_eq!(resumed.steps(), STEPS);
    for bank in [&mut straight, &mut resumed] {
        network.train(bank, 5);
    }
    assert_eq!(resumed.health(), straight.health());
    for slot in 0..trials.len() {
        assert_eq!(flat(&resumed, slot), flat(&straight, slot));
    }
    let mut other = trials.clone();
    other[2].seed += 1;
    let mut other = network.bank(&other);
    let before = flat(&other, 0);
    let message = other.load_state(&path).unwrap_err().to_string();
    assert!(message.contains("other sites or trials"), "{message}");
    std::fs::write(&path, b"torn").unwrap();
    assert!(matches!(resumed.load_state(&path), Err(CoreError::Checkpoint { .. })));
    assert_eq!(flat(&other, 0), before);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_parameter_that_is_set_is_used_and_read_back() {
    let network = Network::new(12, 16, 5);
    let lora = find_method("lora").unwrap();
    let mut bank = network.bank(&[1, 2].map(|seed| trial(lora, &lora.examples(RANK)[0], 0.1, seed)));
    let input = network.input(&bank, "second", 0);
    let before = network.adapted(&bank, "second", &input);
    let value = crate::network::uniform(9, "value", &[16, RANK]);
    bank.set_parameter("second", 1, "B", &value).unwrap();
    assert_eq!(bank.parameter("second", 1, "B").unwrap(), value);
    let start = |site, slot| bank.parameter(site, slot, "A").unwrap();
    assert_ne!(start("first", 0), start("second", 0));
    assert_ne!(start("first", 0), start("first", 1));
    let after = network.adapted(&bank, "second", &input);
    let update = value.matmul(&bank.parameter("second", 1, "A").unwrap()) * 1.5;
    assert_eq!(after.get(0), before.get(0));
    assert!(
        difference(&after.get(1), &(before.get(1) + input.get(1).linear::<Tensor>(&update, None))) < 1e-5
    );
    assert!(matches!(bank.parameter("second", 1, "C"), Err(CoreError::UnknownParameter { .. })));
    assert!(matches!(bank.parameter("third", 1, "B"), Err(CoreError::UnknownSite { .. })));
    assert!(matches!(bank.parameter("first", 2, "B"), Err(CoreError::UnknownSlot { .. })));
    assert!(matches!(bank.set_parameter("back", 1, "B", &value), Err(CoreError::ParameterShape { .. })));
}

fn error_of(change: impl Fn(&mut TrialConfig)) -> String {
    let network = Network::new(12, 16, 6);
    let delora = find_method("delora").unwrap();
    let mut config = trial(delora, &delora.examples(RANK)[0], 0.1, 0);
    change(&mut config);
    let result = Bank::new(&network.sites, &[trial(delora, &Map::new(), 0.1, 0), config], Device::Cpu);
    result.err().map_or_else(|| "no error".to_owned(), |error| error.to_string())
}

#[test]
fn impossible_settings_are_errors_that_name_trial_setting_and_remedy() {
    let set = |name: &'static str, value: serde_json::Value| {
        move |config: &mut TrialConfig| drop(config.method.settings.insert(name.to_owned(), value.clone()))
    };
    let first = error_of(set("rank", json!(2)));
    assert!(first.contains("trial 0") && first.contains("rank 16 exceeds 12"), "{first}");
    let weight = Tensor::ones([32, 40], (Kind::Float, Device::Cpu));
    let sites = [Site::linear("wide", Role::Other, &weight, None)];
    let refusal = |change: &dyn Fn(&mut TrialConfig)| {
        let mut config = trial(find_method("delora").unwrap(), &Map::new(), 0.1, 0);
        change(&mut config);
        Bank::new(&sites, &[config], Device::Cpu).err().map_or_else(String::new, |error| error.to_string())
    };
    assert_eq!(refusal(&|_| ()), "");
    for (change, words) in [
        (&set("rank", json!(33)) as &dyn Fn(&mut TrialConfig), "rank 33 exceeds 32"),
        (&set("rank", json!(0)), "set `rank` to 1 or more"),
        (&set("lambda", json!(-1.0)), "`lambda` is -1; it must be a positive number"),
        (&set("lamda", json!(1.0)), "unknown field `lamda`"),
        (&set("weight_norm", json!("spectral")), "unknown variant `spectral`"),
        (&|config| config.method.name = "deloar".into(), "no method `deloar`"),
        (&|config| _ = config.learning_rate.insert(Group::Magnitude, 0.1), "no parameter group `magnitude`"),
        (&|config| config.learning_rate.clear(), "nothing would train"),
        (&|config| _ = config.learning_rate.insert(Group::Angles, f64::NAN), "`learning_rate.angles` is NaN"),
        (&|config| config.optimizer.betas[1] = 1.0, "`optimizer.betas` is 1"),
        (&|config| config.optimizer.clip_norm = Some(0.0), "`optimizer.clip_norm` is 0"),
        (
            &|config| config.targets = Some(delora_core::Target::roles(&[Role::Query])),
            "no linear layers of the roles query",
        ),
    ] {
        let message = refusal(change);
        assert!(message.contains(words), "{message}");
    }
    let twice = [sites[0].shared(), sites[0].shared()];
    assert!(matches!(Bank::new(&twice, &[], Device::Cpu), Err(CoreError::DuplicateSite { .. })));
    assert!(matches!(Bank::new(&sites, &[], Device::Cpu), Err(CoreError::Empty { what: "trial" })));
}
