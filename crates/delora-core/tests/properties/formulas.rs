//! What holds for every method in the registry, over random shapes. A new method is covered by its registry line.

use crate::everyone::{Everyone, Finding, NO_WEIGHT};
use crate::network::{LINEARS, Network, difference, everything, trial};
use delora_core::{
    Adapter, Adapts, Class, CoreError, Group, METHODS, Method, Role, SiteShape, TrialConfig, find_method,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Map, Value, json};
use tch::{Device, Kind};

const RANK: i64 = 2;

/// Shapes with room for twice the rank, even on both sides (two blocks), never square.
fn shapes() -> impl Strategy<Value = (i64, i64, u64)> {
    (4i64..9, 4i64..9, 0u64..1000)
        .prop_filter("square", |(inside, outside, _)| inside != outside)
        .prop_map(|(inside, outside, seed)| (2 * inside, 2 * outside, seed))
}

/// Six shapes, the same everywhere; `PROPTEST_CASES=300 cargo test …` draws so many others.
fn few() -> ProptestConfig {
    let chosen = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        return chosen;
    }
    ProptestConfig { cases: 6, rng_seed: RngSeed::Fixed(6), ..chosen }
}

/// The activation form, used in training, is the definition.
pub fn merge(everyone: &Everyone, method: &Method) -> Finding {
    let Everyone { network, bank, .. } = everyone;
    if method.adapts == Adapts::Hidden {
        let refusal = bank.merged_tensors(everyone.slots(method)[0]);
        assert!(matches!(refusal, Err(CoreError::NotMergeable { .. })), "{}", method.name());
        return NO_WEIGHT;
    }
    for layer in LINEARS {
        let input = network.input(bank, layer, 99);
        let output = network.adapted(bank, layer, &input);
        for slot in everyone.slots(method) {
            let merged = bank.merged(layer, slot).unwrap();
            let bias = bank.merged_bias(layer, slot).unwrap();
            let expected = input.get(slot as i64).linear(&merged, bias.as_ref());
            let gap = difference(&output.get(slot as i64), &expected);
            assert!(gap < 2e-5, "{}, {layer}: {gap}", everyone.label(slot));
        }
    }
    Finding::Holds
}

/// ‖W' − W‖ stays within what the method states.
pub fn bound(everyone: &Everyone, method: &Method) -> Finding {
    let mut compared = 0;
    for slot in everyone.slots(method) {
        for reading in everyone.readings() {
            let Some(bound) = reading.bounds[slot] else { continue };
            let dense = distance_by_product(everyone, &reading.site, slot);
            for distance in [dense, reading.distances[slot].unwrap()] {
                assert!(distance <= bound * (1.0 + 1e-4), "{}: {distance} > {bound}", everyone.label(slot));
                compared += 1;
            }
        }
    }
    let is_bounded = method.about.bound != "unbounded";
    assert_eq!(compared > 0, is_bounded, "{}: the stated bound is {}", method.name(), method.about.bound);
    match (is_bounded, method.adapts) {
        (true, _) => Finding::Holds,
        (false, Adapts::Hidden) => NO_WEIGHT,
        (false, _) => Finding::Nothing("Unbounded: ‖W′ − W‖ grows with the learning rate."),
    }
}

/// W' − W has the rank that the method states, neither more nor less.
pub fn rank(everyone: &Everyone, method: &Method) -> Finding {
    if method.adapts == Adapts::Hidden {
        return NO_WEIGHT;
    }
    let Network { in_features, out_features, .. } = everyone.network;
    let full = in_features.min(out_features);
    let class = Class::new(&[everyone.network.site("first")], Device::Cpu);
    for slot in everyone.slots(method) {
        let update = everyone.bank.merged("first", slot).unwrap() - everyone.network.layer("first").0;
        let (_, singular, _) = update.to_kind(Kind::Double).svd(true, false);
        let rank = singular.gt(1e-6).sum(Kind::Int64).int64_value(&[]);
        let stated = match method.build(&[everyone.settings(slot)], &class).unwrap() {
            Adapter::Linear(adapter) => adapter.update_rank(),
            _ => panic!("a linear class has a linear adapter"),
        };
        assert_eq!(rank, stated.unwrap_or(full).min(full), "{}: {singular}", everyone.label(slot));
    }
    Finding::Holds
}

/// The trained parameters are as many as stated.
pub fn count(everyone: &Everyone, method: &Method) -> Finding {
    for slot in everyone.slots(method) {
        let adapted = everyone.adapted(slot);
        let counts =
            adapted.iter().map(|shape| method.num_parameters(everyone.settings(slot), shape).unwrap());
        let trained = everything(&everyone.bank, slot).iter().filter(|own| own.trained).count();
        assert_eq!(everyone.bank.num_parameters(slot), counts.sum::<i64>(), "{}", everyone.label(slot));
        assert_eq!(trained > 0, method.name() != "none", "{}", everyone.label(slot));
    }
    Finding::Holds
}

fn start(everyone: &Everyone, method: &Method) -> Finding {
    let Everyone { network, bank, .. } = everyone;
    let input = crate::network::uniform(3, "start", &[8, network.in_features]);
    let output = network.output(bank, &input.repeat([bank.num_trials() as i64, 1, 1]));
    let pretrained = output.get(everyone.bare() as i64);
    for slot in everyone.slots(method) {
        let gap = difference(&output.get(slot as i64), &pretrained);
        assert_eq!(gap < 1e-5, method.about.starts_at_identity, "{}: {gap}", everyone.label(slot));
        for reading in everyone.readings().iter().filter(|_| method.about.starts_at_identity) {
            let is_small = reading.distances[slot].is_none_or(|distance| distance < 1e-4);
            assert!(is_small, "{}", everyone.label(slot));
        }
    }
    Finding::Holds
}

/// Distances from factors equal those of dense weights.
fn distances(everyone: &Everyone, method: &Method) -> Finding {
    for slot in everyone.slots(method) {
        for reading in everyone.readings() {
            let Some(distance) = reading.distances[slot] else { continue };
            let dense = distance_by_product(everyone, &reading.site, slot);
            let gap = (distance - dense).abs();
            assert!(gap <= 1e-5 * dense.max(1.0), "{}: {distance}, dense {dense}", everyone.label(slot));
        }
    }
    Finding::Holds
}

fn distance_by_product(everyone: &Everyone, layer: &str, slot: usize) -> f64 {
    let (weight, _) = everyone.network.layer(layer);
    (everyone.bank.merged(layer, slot).unwrap() - weight).to_kind(Kind::Double).norm().double_value(&[])
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn at_the_start_every_method_that_says_so_is_the_pretrained_network(shape in shapes()) {
        Everyone::new(shape, 0.05).holds_for_all(start);
    }

    #[test]
    fn the_activation_form_equals_the_merged_weight(shape in shapes()) {
        Everyone::trained(shape, 0.05, 4).holds_for_all(merge);
    }

    #[test]
    fn training_moves_the_output_and_leaves_frozen_values_bit_identical(shape in shapes()) {
        let mut everyone = Everyone::new(shape, 0.05);
        let Everyone { network, bank, .. } = &mut everyone;
        let frozen = network.frozen();
        let input = network.input(bank, "first", 7);
        let start = network.output(bank, &input).detach();
        let before: Vec<_> = (0..bank.num_trials()).map(|slot| everything(bank, slot)).collect();
        network.train(bank, 2);
        let output = network.output(bank, &input);
        for (slot, before) in before.iter().enumerate() {
            let (label, trains) = (everyone.label(slot), everyone.bank.method(slot).name() != "none");
            let after = everything(&everyone.bank, slot);
            for (old, new) in before.iter().zip(&after) {
                // A parameter without a gradient, such as a first bias behind a zero weight, may stay.
                prop_assert!(old.trained || old.value == new.value, "{} of {}", old.name, label);
            }
            let moved = before.iter().zip(&after).any(|(old, new)| old.value != new.value);
            prop_assert_eq!(moved, trains, "{}", label);
            let change = difference(&output.get(slot as i64), &start.get(slot as i64));
            prop_assert_eq!(change > 1e-4, trains, "{}: {}", label, change);
        }
        for (now, before) in everyone.network.frozen().iter().zip(&frozen) {
            prop_assert_eq!(now, before);
        }
    }

    #[test]
    fn a_bounded_method_keeps_its_bound_at_any_learning_rate(shape in shapes(), exponent in -2i32..3) {
        Everyone::trained(shape, 10f64.powi(exponent), 12).holds_for_all(bound);
    }

    #[test]
    fn the_update_has_the_stated_rank(shape in shapes()) {
        Everyone::scattered(shape).holds_for_all(rank);
    }

    #[test]
    fn distances_from_factors_equal_those_of_dense_weights(shape in shapes()) {
        Everyone::trained(shape, 0.1, 5).holds_for_all(distances);
    }

    #[test]
    fn the_trained_parameters_are_as_many_as_stated(shape in shapes()) {
        Everyone::new(shape, 0.05).holds_for_all(count);
    }
}

#[test]
fn the_activation_form_of_kernels_equals_the_merged_weight() {
    for shape in [(32, 48), (48, 16)] {
        Everyone::trained((shape.0, shape.1, 5), 0.05, 4).holds_for_all(merge);
    }
}

/// Linear layers of Stable Diffusion 1.5's attention.
fn stable_diffusion_sites() -> Vec<SiteShape> {
    let blocks = [(320, 5), (640, 5), (1280, 6)];
    let block = |width: i64| [vec![[width, width]; 6], vec![[width, 768]; 2]].concat();
    let shapes = blocks.into_iter().flat_map(|(width, count)| block(width).repeat(count));
    shapes.map(|shape| SiteShape::linear("", Role::Query, shape, false)).collect()
}

#[test]
fn parameter_counts_on_stable_diffusion_are_the_papers() {
    let total = |name: &str, settings: Value| -> i64 {
        let method = find_method(name).unwrap();
        let settings = settings.as_object().unwrap();
        stable_diffusion_sites().iter().map(|site| method.num_parameters(settings, site).unwrap()).sum()
    };
    assert_eq!(stable_diffusion_sites().len(), 128);
    assert_eq!(total("none", json!({})), 0);
    for name in ["lora", "dora_fixed_magnitude", "rslora", "pissa", "lora_plus"] {
        assert_eq!(total(name, json!({})), 3_188_736);
    }
    for name in ["lora_normalized", "delora"] {
        assert_eq!(total(name, json!({})), 3_188_864);
    }
    assert_eq!(total("lora", json!({ "rank": 4 })), 797_184);
    assert_eq!(total("dora", json!({})), 3_288_576);
    assert_eq!(total("ether", json!({})), 99_456);
    assert_eq!(total("ether_plus_one_sided", json!({})), 198_912);
    assert_eq!(total("ether_plus", json!({})), 398_592);
    assert_eq!(total("oft", json!({ "blocks": 4 })), 11_602_368);
    assert_eq!(total("controllable_boundary", json!({})), 198_912 + 128);
    assert_eq!(total("multiplicative_high_rank", json!({})), 16 * 99_456 + 128);
    assert_eq!(total("multiplicative_relaxed", json!({})), 2 * 16 * 99_456 + 128);
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
fn targets_choose_layers_by_role_and_a_trial_keeps_its_own_in_a_mixed_bank() {
    let network = Network::new(8, 12, 1);
    let lora = find_method("lora").unwrap();
    let settings = &lora.examples(RANK)[0];
    let on = |targets: &[Role], seed| TrialConfig {
        targets: Some(delora_core::Target::roles(targets)),
        ..trial(lora, settings, 0.05, seed)
    };
    let few = on(&[Role::Value], 1);
    let mut alone = network.bank(std::slice::from_ref(&few));
    assert!(alone.adapts("second") && !alone.adapts("first") && !alone.adapts("back"));
    assert_eq!(alone.num_parameters(0), RANK * (8 + 12));
    let mut mixed =
        network.bank(&[few, on(&[Role::Key, Role::FeedForwardOut], 2), trial(lora, settings, 0.05, 3)]);
    network.train(&mut alone, 3);
    network.train(&mut mixed, 3);
    let slot = crate::network::slot_of(&mixed, 0);
    for (site, distances) in mixed.distances() {
        assert_eq!(distances[slot].is_some(), site == "second", "{site}");
    }
    for name in ["A", "B"] {
        let (own, beside) =
            (alone.parameter("second", 0, name).unwrap(), mixed.parameter("second", slot, name).unwrap());
        assert!(difference(&own, &beside) < 1e-6);
    }
    assert_eq!(&mixed.merged("first", slot).unwrap(), network.layer("first").0);
    assert!(mixed.parameter("first", slot, "A").is_err());
}

#[test]
fn half_precision_activations_give_half_precision_outputs_and_full_precision_parameters() {
    let Everyone { network, bank, .. } = Everyone::trained((12, 16, 5), 0.05, 2);
    let input = network.input(&bank, "first", 7);
    let half = network.output(&bank, &input.to_kind(Kind::BFloat16));
    assert_eq!(half.kind(), Kind::BFloat16);
    let gaps =
        (half.to_kind(Kind::Float) - network.output(&bank, &input)).abs().amax([1, 2].as_slice(), false);
    for slot in 0..bank.num_trials() {
        // bf16 keeps 8 bits of sums of a dozen terms of size 1, three layers deep.
        assert!(gaps.double_value(&[slot as i64]) < 0.2, "{}", bank.method(slot).name());
        for own in everything(&bank, slot) {
            assert_eq!(own.value.kind(), Kind::Float);
        }
    }
}

#[test]
fn every_formula_names_what_it_changes_and_defaults_are_settings() {
    for method in METHODS {
        let symbol = if method.adapts == Adapts::Hidden { 'h' } else { 'W' };
        assert!(method.about.formula.contains(symbol), "{}", method.name());
        assert!(method.structure(method.defaults().as_object().unwrap()).is_ok());
    }
}
