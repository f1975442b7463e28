//! Heads that every trial trains beside its method; what is kept and recalled; gradients in parts; dropout.

use delora_core::{Bank, CoreError, Group, Hidden, METHODS, Site, Start, TrialConfig, find_method};
use serde_json::json;
use tch::{Device, Kind, Tensor};

use crate::network::{Network, difference, everything, slot_of, trial};

const CLASSES: i64 = 3;
const WEIGHT: &str = "head.weight";
const BIAS: &str = "head.bias";

fn network() -> Network {
    let mut network = Network::new(12, 16, 1);
    network.sites.push(Site::task_tensor(WEIGHT, &[CLASSES, 16], Group::Head, Start::Normal { std: 0.02 }));
    network.sites.push(Site::task_tensor(BIAS, &[CLASSES], Group::HeadBias, Start::Zero));
    network
}

/// A trial of each method, with a head.
fn trials() -> Vec<TrialConfig> {
    let with_head = |(index, method): (usize, &'static delora_core::Method)| {
        let mut config = trial(method, &method.examples(2)[0], 0.01, index as u64 % 5);
        config.learning_rate.extend([(Group::Head, 0.02), (Group::HeadBias, 0.02)]);
        config
    };
    METHODS.iter().enumerate().map(with_head).collect()
}

fn own(bank: &Bank, name: &str) -> Tensor {
    let mut runs = bank.tensor(name, Kind::Float).unwrap();
    assert!(runs.iter().all(|run| run.values.is_some()), "a head is never frozen");
    Tensor::cat(&runs.drain(..).map(|run| run.values.unwrap()).collect::<Vec<_>>(), 0)
}

/// Losses [trials] of the head over rows `first..first + count` of the network's output.
fn losses(network: &Network, bank: &Bank, first: i64, count: i64) -> Tensor {
    let hidden = network.output(bank, &network.input(bank, "first", bank.steps())).narrow(1, first, count);
    let logits = hidden.matmul(&own(bank, WEIGHT).transpose(1, 2)) + own(bank, BIAS).unsqueeze(1);
    (logits - 0.5).square().sum_dim_intlist([1, 2].as_slice(), false, Kind::Float)
}

fn train(network: &Network, bank: &mut Bank, steps: u64) {
    for _ in 0..steps {
        let losses = losses(network, bank, 0, rows(network, bank));
        bank.step(&losses);
    }
}

fn rows(network: &Network, bank: &Bank) -> i64 {
    network.input(bank, "first", 0).size()[1]
}

fn all(bank: &Bank, slot: usize) -> Vec<Tensor> {
    everything(bank, slot).into_iter().map(|own| own.value).collect()
}

#[test]
fn every_method_trains_a_head_of_its_own_that_starts_by_its_seed_alone_and_is_not_counted() {
    let (network, trials) = (network(), trials());
    let mut bank = network.bank(&trials);
    let plain = Network::new(12, 16, 1).bank(
        &trials
            .iter()
            .cloned()
            .map(|mut config| {
                config.learning_rate.retain(|group, _| ![Group::Head, Group::HeadBias].contains(group));
                config
            })
            .collect::<Vec<_>>(),
    );
    let head = |bank: &Bank, index: usize| bank.parameter(WEIGHT, slot_of(bank, index), "value").unwrap();
    let starts: Vec<Tensor> = (0..trials.len()).map(|index| head(&bank, index)).collect();
    assert_eq!(starts[0], starts[5], "the same seed");
    assert_ne!(starts[0], starts[1], "another seed");
    let std = f64::try_from(Tensor::stack(&starts[..5], 0).std(false)).unwrap();
    assert!((0.015..0.025).contains(&std), "{std}");
    train(&network, &mut bank, 4);
    for (index, config) in trials.iter().enumerate() {
        let slot = slot_of(&bank, index);
        assert_ne!(head(&bank, index), starts[index], "{}", config.method.name);
        let bias = bank.parameter(BIAS, slot, "value").unwrap();
        assert!(f64::try_from(bias.abs().min()).unwrap() > 0.0, "{}", config.method.name);
        assert_eq!(bank.num_parameters(slot), plain.num_parameters(slot_of(&plain, index)));
        let mut alone = network.bank(std::slice::from_ref(config));
        train(&network, &mut alone, 4);
        for (left, right) in all(&alone, 0).iter().zip(all(&bank, slot)) {
            let gap = difference(left, &right);
            assert!(gap < 1e-4, "{}: {gap}", config.method.name);
        }
    }
}

#[test]
fn a_head_needs_a_rate_and_a_network_without_one_refuses_it() {
    let mut config = trial(find_method("none").unwrap(), &Default::default(), 0.1, 0);
    config.learning_rate.insert(Group::Head, 0.1);
    let plain = Network::new(12, 16, 1);
    let error = Bank::new(&plain.sites, &[config.clone()], Device::Cpu).err().unwrap();
    assert!(matches!(error, CoreError::UnknownGroup { group: Group::Head, .. }), "{error}");
    config.learning_rate.clear();
    let error = Bank::new(&network().sites, &[config], Device::Cpu).err().unwrap();
    assert!(error.to_string().contains("head"), "{error}");
}

#[test]
fn tensors_of_one_shape_start_each_as_its_site_says() {
    let mut network = Network::new(12, 16, 1);
    let values = |value: f64| Tensor::full([CLASSES], value, (Kind::Float, Device::Cpu));
    let mut add = |name: &str, group, start| {
        network.sites.push(Site::task_tensor(name, &[CLASSES], group, start));
    };
    add("given", Group::Head, Start::Given(values(2.0)));
    add("zero", Group::HeadBias, Start::Zero);
    add("also given", Group::Head, Start::Given(values(3.0)));
    add("wide", Group::Head, Start::Normal { std: 100.0 });
    add("narrow", Group::Head, Start::Normal { std: 1e-3 });
    let bank = network.bank(&trials()[..2]);
    for slot in 0..2 {
        let start = |name: &str| bank.parameter(name, slot, "value").unwrap();
        assert_eq!(start("given"), values(2.0));
        assert_eq!(start("also given"), values(3.0));
        assert_eq!(start("zero"), values(0.0));
        assert!(f64::try_from(start("wide").norm()).unwrap() > 1.0);
        assert!((1e-6..0.1).contains(&f64::try_from(start("narrow").norm()).unwrap()));
    }
    for (group, start) in [
        (Group::Angles, Start::Zero),
        (Group::Head, Start::Normal { std: 0.0 }),
        (Group::Head, Start::Given(Tensor::zeros([2], (Kind::Float, Device::Cpu)))),
    ] {
        let mut network = Network::new(12, 16, 1);
        network.sites.push(Site::task_tensor(WEIGHT, &[CLASSES], group, start));
        let error = Bank::new(&network.sites, &trials(), Device::Cpu).err().unwrap();
        assert!(matches!(error, CoreError::TaskTensor { .. }), "{error}");
    }
}

#[test]
fn what_was_kept_comes_back_for_the_slots_it_was_kept_for_also_from_a_file() {
    let (network, trials) = (network(), trials());
    let mut bank = network.bank(&trials);
    let slots = bank.num_trials();
    train(&network, &mut bank, 2);
    let early: Vec<Vec<Tensor>> = (0..slots).map(|slot| all(&bank, slot)).collect();
    bank.keep(&vec![true; slots]);
    train(&network, &mut bank, 2);
    let late: Vec<Vec<Tensor>> = (0..slots).map(|slot| all(&bank, slot)).collect();
    let chosen: Vec<bool> = (0..slots).map(|slot| slot % 3 == 0).collect();
    bank.keep(&chosen);
    train(&network, &mut bank, 1);
    let folder = tempfile::tempdir().unwrap();
    bank.save(&folder.path().join("bank")).unwrap();
    let mut resumed = network.bank(&trials);
    resumed.load_state(&folder.path().join("bank")).unwrap();
    for mut bank in [bank, resumed] {
        bank.recall();
        for slot in 0..slots {
            assert_eq!(all(&bank, slot), if chosen[slot] { &late } else { &early }[slot], "slot {slot}");
            assert_ne!(early[slot], late[slot]);
        }
    }
}

#[test]
fn gradients_in_parts_give_the_update_of_the_whole() {
    let (network, trials) = (network(), trials());
    let [mut whole, mut parts] = [(); 2].map(|()| network.bank(&trials));
    let rows = rows(&network, &whole);
    for _ in 0..3 {
        let all = losses(&network, &whole, 0, rows);
        whole.step(&all);
        for first in [0, rows / 2] {
            let part = losses(&network, &parts, first, rows / 2);
            parts.accumulate(&part);
        }
        parts.finish_step();
    }
    for slot in 0..whole.num_trials() {
        for (left, right) in all(&whole, slot).iter().zip(all(&parts, slot)) {
            let gap = difference(left, &right);
            assert!(gap < 2e-4, "{}: {gap}", whole.method(slot).name());
        }
    }
}

#[test]
fn updates_see_the_dropped_input_and_the_frozen_layer_does_not() {
    let network = network();
    let lora = |seed| {
        let settings = json!({"rank": 2, "alpha": 3.0}).as_object().unwrap().clone();
        let mut config = trial(find_method("lora").unwrap(), &settings, 0.05, seed);
        config.learning_rate.extend([(Group::Head, 0.02), (Group::HeadBias, 0.02)]);
        config
    };
    let mut bank = network.bank(&[lora(1), lora(2)]);
    train(&network, &mut bank, 3);
    let input = network.input(&bank, "first", 9);
    let (weight, bias) = network.layer("first");
    let dropped = &input * 0.5;
    let found = bank.forward_with("first", weight, Some(bias), &input, &dropped);
    let frozen = input.linear(weight, Some(bias));
    let full = bank.forward("first", weight, Some(bias), &input);
    assert!(difference(&full, &frozen) > 1e-3);
    assert!(difference(&found, &((&full + &frozen) / 2.0)) < 1e-5);
}

#[test]
fn loreft_drops_out_what_it_has_changed_and_nothing_else() {
    let network = Network::new(12, 16, 1);
    let settings = json!({"rank": 2, "first_tokens": 2}).as_object().unwrap().clone();
    let bank = network.bank(&[trial(find_method("loreft").unwrap(), &settings, 0.1, 3)]);
    let site = bank.parameter_names(0)[0].site.clone();
    let features = bank.parameter(&site, 0, "W").unwrap().size()[1];
    let values = Tensor::randn([1, 2, 5, features], (Kind::Float, Device::Cpu));
    let hidden = |dropout: Option<&Tensor>| {
        bank.hidden(&site, &Hidden { values: &values, lengths: None, normed: None, dropout })
    };
    let kept = Tensor::full([1, 2, 5, features], 2.0, (Kind::Float, Device::Cpu));
    let (changed, dropped) = (hidden(None), hidden(Some(&kept)));
    assert!(difference(&dropped.narrow(2, 0, 2), &(changed.narrow(2, 0, 2) * 2.0)) < 1e-5);
    assert!(difference(&dropped.narrow(2, 2, 3), &values.narrow(2, 2, 3)) < 1e-6);
}
