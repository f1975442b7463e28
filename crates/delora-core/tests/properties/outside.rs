//! A method that is defined outside of this crate, and layers of somebody's own network.

use delora_core::settings::Lora;
use delora_core::{AdapterFile, Bank, CoreError, Method, Role, Site, TrialConfig, add_method, find_method};
use tch::{Device, Kind, Tensor, nn};

use crate::network::{difference, slot_of};
use crate::own_method::{ROW_SCALE, RowScale, trained};

fn layer(inputs: i64, outputs: i64) -> nn::Linear {
    tch::manual_seed(1);
    let mut store = nn::VarStore::new(Device::Cpu);
    let layer = nn::linear(store.root(), inputs, outputs, Default::default());
    store.freeze();
    layer
}

#[test]
fn a_method_from_outside_trains_beside_another_and_is_saved_and_merged() {
    crate::own_method::main().unwrap();
    let layer = layer(6, 4);
    let bank = trained(&layer).unwrap();
    let slot = slot_of(&bank, 0);
    assert_eq!(bank.method(slot).header(), "Row scales\n\n```text\ndiag(1 + s) W\n```\n");
    let input = Tensor::randn([2, 5, 6], (Kind::Float, Device::Cpu));
    let output = bank.linear(&layer, &input).get(slot as i64);
    let merged = bank.merged("layer", slot).unwrap();
    assert!(difference(&output, &input.get(slot as i64).linear(&merged, layer.bs.as_ref())) < 1e-5);
    assert!(difference(&(&layer.ws * 0.5), &merged) < 0.1 * f64::try_from(layer.ws.abs().max()).unwrap());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapter.safetensors");
    bank.adapter(slot).unwrap().save(&path).unwrap();
    let site = Site::linear("layer", Role::Other, &layer.ws, layer.bs.as_ref());
    let alone = AdapterFile::load(&path).unwrap().bank(&[site]).unwrap();
    assert_eq!(alone.merged("layer", 0).unwrap(), merged);
}

#[test]
fn a_name_is_one_methods_alone() {
    add_method(&ROW_SCALE).unwrap();
    add_method(&ROW_SCALE).unwrap();
    let twin = |name| -> &'static Method {
        let about = delora_core::About { name, ..find_method("none").unwrap().about };
        Box::leak(Box::new(Method::linear::<RowScale>(about)))
    };
    for name in ["row_scale", "lora"] {
        let error = add_method(twin(name)).err().unwrap();
        assert!(matches!(error, CoreError::MethodExists { .. }), "{error}");
    }
}

#[test]
fn a_layer_that_no_trial_adapts_stays_frozen_in_any_shape_and_kind() {
    let (adapted, other, unknown) = (layer(6, 4), layer(6, 4), layer(6, 4));
    let site = |name, role, layer: &nn::Linear| Site::linear(name, role, &layer.ws, layer.bs.as_ref());
    let sites = [site("adapted", Role::Query, &adapted), site("other", Role::Key, &other)];
    let trial = |seed| TrialConfig {
        targets: Some(delora_core::Target::roles(&[Role::Query])),
        ..TrialConfig::new(Lora { rank: 2, alpha: None }, 0.1, seed)
    };
    let mut bank = Bank::new(&sites, &[trial(1), trial(2)], Device::Cpu).unwrap();
    let input = Tensor::randn([2, 3, 5, 6], (Kind::Float, Device::Cpu));
    let losses = bank.linear(&adapted, &input).square().mean_dim([1, 2, 3].as_slice(), false, Kind::Float);
    bank.step(&losses);
    for layer in [&other, &unknown] {
        let frozen = input.linear(&layer.ws, layer.bs.as_ref());
        assert!(difference(&bank.linear(layer, &input), &frozen) < 1e-6);
        let half = bank.linear(layer, &input.to_kind(Kind::BFloat16));
        assert_eq!((half.kind(), half.size()), (Kind::BFloat16, vec![2, 3, 5, 4]));
    }
    let output = bank.linear(&adapted, &input);
    assert_eq!(output.size(), [2, 3, 5, 4]);
    assert!(difference(&output, &input.linear(&adapted.ws, adapted.bs.as_ref())) > 1e-4);
}
