//! What holds for every method in the registry, over random shapes. A new method is covered by its registry line.

use crate::network::{Network, cases, difference, everything, pair, trial};
use delora_core::{Bank, Group, LinearClass, METHODS, find_method};
use proptest::prelude::*;
use serde_json::{Map, Value};
use tch::{Device, Kind, Tensor};

const RANK: i64 = 2;

/// Shapes with room for twice the rank, even on both sides (two blocks), never square.
fn shapes() -> impl Strategy<Value = (i64, i64, u64)> {
    (4i64..9, 4i64..9, 0u64..1000)
        .prop_filter("square", |(inside, outside, _)| inside != outside)
        .prop_map(|(inside, outside, seed)| (2 * inside, 2 * outside, seed))
}

fn few() -> ProptestConfig {
    ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() }
}

fn label(bank: &Bank, slot: usize) -> String {
    let trial = bank.trial(slot);
    format!("{} {}", trial.method.name, Value::Object(trial.method.settings.clone()))
}

/// Runs `check` on a trained pair of trials of every case.
fn for_trained(
    shape: (i64, i64, u64),
    rate: f64,
    steps: u64,
    check: impl Fn(&Network, &Bank, &Map<String, Value>),
) {
    let network = Network::new(shape.0, shape.1, shape.2);
    for (method, settings) in cases(RANK) {
        let mut bank = network.bank(&pair(method, &settings, rate));
        network.train(&mut bank, steps);
        check(&network, &bank, &settings);
    }
}

fn update_rank(network: &Network, bank: &Bank, settings: &Map<String, Value>) -> Option<i64> {
    let mut class = LinearClass::new(network.in_features, network.out_features);
    class.push("first", &network.sites[0].weight, Device::Cpu);
    bank.method(0).build(&[settings], &class).unwrap().update_rank()
}

fn distance_by_product(network: &Network, bank: &Bank, site: usize, slot: usize) -> f64 {
    let site = &network.sites[site];
    (bank.merged(&site.name, slot).unwrap() - &site.weight).to_kind(Kind::Double).norm().double_value(&[])
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn at_the_start_every_method_is_the_pretrained_network(shape in shapes()) {
        let network = Network::new(shape.0, shape.1, shape.2);
        for (method, settings) in cases(RANK) {
            let bank = network.bank(&pair(method, &settings, 0.05));
            for (index, site) in network.sites.iter().enumerate() {
                let input = network.input(&bank, index, 0);
                let base = input.linear(&site.weight, Some(&network.biases[index]));
                let gap = difference(&network.adapted(&bank, index, &input), &base);
                prop_assert!(gap < 2e-6, "{}: {gap}", label(&bank, 0));
            }
            for reading in bank.telemetry() {
                prop_assert!(reading.distances.iter().all(|distance| *distance < 1e-5), "{}", label(&bank, 0));
            }
        }
    }

    #[test]
    fn the_activation_form_equals_the_merged_weight(shape in shapes()) {
        for_trained(shape, 0.05, 4, |network, bank, _| {
            for (index, site) in network.sites.iter().enumerate() {
                let input = network.input(bank, index, 99);
                let output = network.adapted(bank, index, &input);
                for slot in 0..bank.num_trials() {
                    let merged = bank.merged(&site.name, slot).unwrap();
                    let expected = input.get(slot as i64).linear(&merged, Some(&network.biases[index]));
                    let gap = difference(&output.get(slot as i64), &expected);
                    assert!(gap < 2e-5, "{}, {}: {gap}", label(bank, slot), site.name);
                }
            }
        });
    }

    #[test]
    fn training_moves_the_output_and_leaves_frozen_values_bit_identical(shape in shapes()) {
        let constants = ["A0", "B0", "lambda0", "scale"];
        let network = Network::new(shape.0, shape.1, shape.2);
        let weights: Vec<Tensor> = network.sites.iter().map(|site| site.weight.copy()).collect();
        for (method, settings) in cases(RANK) {
            let mut bank = network.bank(&pair(method, &settings, 0.05));
            let before: Vec<_> = (0..2).map(|slot| everything(&network, &bank, slot)).collect();
            network.train(&mut bank, 2);
            for (slot, before) in before.iter().enumerate() {
                for ((name, old), (_, new)) in before.iter().zip(everything(&network, &bank, slot)) {
                    let frozen = constants.iter().any(|constant| name.ends_with(&format!(".{constant}")));
                    prop_assert_eq!(frozen, *old == new, "{} of {}", name, label(&bank, slot));
                }
                let moved = bank.distances().iter().all(|(_, distances)| distances[slot] > 1e-3);
                prop_assert_eq!(moved, method.name() != "none", "{}", label(&bank, slot));
            }
            for (site, weight) in network.sites.iter().zip(&weights) {
                prop_assert_eq!(&site.weight, weight);
            }
        }
    }

    #[test]
    fn a_bounded_method_keeps_its_bound_at_any_learning_rate(shape in shapes(), exponent in -2i32..3) {
        for_trained(shape, 10f64.powi(exponent), 12, |network, bank, _| {
            for (index, reading) in bank.telemetry().iter().enumerate() {
                for slot in 0..bank.num_trials() {
                    let Some(bound) = reading.bounds[slot] else { continue };
                    let dense = distance_by_product(network, bank, index, slot);
                    for distance in [dense, reading.distances[slot]] {
                        assert!(distance <= bound * (1.0 + 1e-4), "{}: {distance} > {bound}", label(bank, slot));
                    }
                }
            }
        });
    }

    #[test]
    fn the_update_has_the_stated_rank(shape in shapes()) {
        for_trained(shape, 0.3, 4, |network, bank, settings| {
            let full = network.in_features.min(network.out_features);
            let stated = update_rank(network, bank, settings).unwrap_or(full).min(full);
            let update = bank.merged("first", 1).unwrap() - &network.sites[0].weight;
            let (_, singular, _) = update.to_kind(Kind::Double).svd(true, false);
            let rank = singular.gt(1e-6).sum(Kind::Int64).int64_value(&[]);
            assert_eq!(rank, stated, "{}: {singular}", label(bank, 1));
        });
    }

    #[test]
    fn distances_from_factors_equal_those_of_dense_weights(shape in shapes()) {
        for_trained(shape, 0.1, 5, |network, bank, _| {
            for (index, (_, distances)) in bank.distances().iter().enumerate() {
                for (slot, distance) in distances.iter().enumerate() {
                    let dense = distance_by_product(network, bank, index, slot);
                    let gap = (distance - dense).abs();
                    assert!(gap <= 1e-5 * dense.max(1.0), "{}: {distance}, dense {dense}", label(bank, slot));
                }
            }
        });
    }

    #[test]
    fn the_trained_parameters_are_as_many_as_stated(shape in shapes()) {
        let network = Network::new(shape.0, shape.1, shape.2);
        for (method, settings) in cases(RANK) {
            let bank = network.bank(&pair(method, &settings, 0.05));
            let size = |weight: &Tensor| (weight.size()[1], weight.size()[0]);
            let stated: i64 = network.sites.iter().map(|site| size(&site.weight))
                .map(|(inside, outside)| method.num_parameters(&settings, inside, outside).unwrap()).sum();
            prop_assert_eq!(bank.num_parameters(1), stated, "{}", label(&bank, 1));
        }
    }
}

/// Linear layers of Stable Diffusion 1.5's attention: (in_features, out_features).
fn stable_diffusion_sites() -> Vec<(i64, i64)> {
    let blocks = [(320, 5), (640, 5), (1280, 6)];
    let block = |width: i64| [vec![(width, width); 6], vec![(768, width); 2]].concat();
    blocks.into_iter().flat_map(|(width, count)| block(width).repeat(count)).collect()
}

#[test]
fn parameter_counts_on_stable_diffusion_are_the_papers() {
    let total = |name: &str| -> i64 {
        let method = find_method(name).unwrap();
        let count = |(inside, outside)| method.num_parameters(&Map::new(), inside, outside).unwrap();
        stable_diffusion_sites().into_iter().map(count).sum()
    };
    assert_eq!(stable_diffusion_sites().len(), 128);
    assert_eq!(total("none"), 0);
    for name in ["lora", "dora_fixed_magnitude"] {
        assert_eq!(total(name), 3_188_736);
    }
    for name in ["lora_normalized", "delora"] {
        assert_eq!(total(name), 3_188_864);
    }
    assert_eq!(total("dora"), 3_288_576);
    assert_eq!(total("ether_plus_one_sided"), 198_912);
    assert_eq!(total("controllable_boundary"), 198_912 + 128);
    assert_eq!(total("multiplicative_high_rank"), 16 * 99_456 + 128);
    assert_eq!(total("multiplicative_relaxed"), 2 * 16 * 99_456 + 128);
}

#[test]
fn a_group_without_a_learning_rate_stays_and_is_not_counted() {
    let network = Network::new(8, 12, 1);
    let delora = find_method("delora").unwrap();
    let mut config = trial(delora, &Map::from_iter([("rank".into(), 2.into())]), 0.1, 3);
    let all = network.bank(std::slice::from_ref(&config)).num_parameters(0);
    config.learning_rate.remove(&Group::Strength);
    let mut bank = network.bank(&[config]);
    network.train(&mut bank, 3);
    assert_eq!(bank.num_parameters(0), all - 3);
    assert_eq!(f64::try_from(bank.parameter("back", 0, "lambda").unwrap()).unwrap(), 4.0);
}

#[test]
fn half_precision_activations_give_half_precision_outputs_and_full_precision_parameters() {
    for_trained((12, 16, 5), 0.05, 2, |network, bank, _| {
        let input = network.input(bank, 0, 7);
        let half = network.adapted(bank, 0, &input.to_kind(Kind::BFloat16));
        assert_eq!(half.kind(), Kind::BFloat16);
        let full = network.adapted(bank, 0, &input);
        // bf16 keeps 8 bits of sums of a dozen terms of size 1.
        assert!(difference(&half.to_kind(Kind::Float), &full) < 0.1, "{}", label(bank, 0));
        for (_, value) in everything(network, bank, 0) {
            assert_eq!(value.kind(), Kind::Float);
        }
    });
}

#[test]
fn every_bounded_method_states_it_and_every_formula_is_there() {
    let network = Network::new(8, 12, 2);
    for method in METHODS {
        let bank = network.bank(&[trial(method, &method.examples(2)[0], 0.1, 0)]);
        let bounded = bank.telemetry()[0].bounds[0].is_some();
        assert_eq!(bounded, method.about.bound != "unbounded", "{}", method.name());
        assert!(method.about.formula.contains('W'));
        assert!(method.structure(method.defaults().as_object().unwrap()).is_ok());
    }
}
