//! The transformer with its head against transformers and PEFT, on the files made by `tools/goldens/vit_classifier.py`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use delora_core::from_peft;
use finetune::BankHook;
use models::vit::load_image_classifier;
use models::{Frozen, Hook};
use tch::{Device, Tensor};

const NUM_CLASSES: i64 = 5;
const TOLERANCE: f64 = 1e-5;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn tensors() -> HashMap<String, Tensor> {
    Tensor::read_safetensors(golden("model/io.safetensors")).unwrap().into_iter().collect()
}

fn gap(ours: &Tensor, theirs: &Tensor) -> f64 {
    assert_eq!(ours.size(), theirs.size());
    f64::try_from((ours - theirs).abs().max()).unwrap()
}

#[test]
fn logits_are_those_of_transformers() {
    let model = load_image_classifier(&golden("model"), NUM_CLASSES, Device::Cpu).unwrap();
    let io = tensors();
    let logits = gradient_mode::off(|| model.network.forward(&io["image"], &Frozen));
    let gap = gap(&logits, &io["logits"]);
    assert!(gap < TOLERANCE, "{gap}");
}

#[test]
fn logits_under_lora_and_delora_are_those_of_peft_through_the_hook_of_a_bank() {
    let model = load_image_classifier(&golden("model"), NUM_CLASSES, Device::Cpu).unwrap();
    let sites = finetune::sites(&model);
    let io = tensors();
    for name in ["lora", "delora"] {
        let imported = from_peft(&golden(name), &sites).unwrap();
        let bank = imported.adapter.bank(&sites).unwrap();
        let hook = BankHook::new(&bank);
        let logits = |hook: &dyn Hook| gradient_mode::off(|| model.network.forward(&io["image"], hook));
        let (near, far) = (gap(&logits(&hook), &io[name]), gap(&logits(&Frozen), &io[name]));
        assert!(near < TOLERANCE && far > 0.01, "{name}: {near}, and without the adapter {far}");
    }
}
