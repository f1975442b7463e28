//! A pretrained BERT, all-MiniLM-L6-v2, against transformers, on the file made by `tools/goldens/minilm.py`. Its weights
//! are not in the repository; without them the test is skipped.

use std::path::Path;

use models::Frozen;
use models::roberta::{ClassificationHead, Tokens, load_encoder};
use tch::{Device, Kind, Tensor, nn};

use crate::{NETWORK_TOLERANCE, assert_close, tensors};

const CHECKPOINT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/all-MiniLM-L6-v2");
const LABELS: i64 = 3;

/// weight\[i, j\] = ((7 i + 13 j) mod 29 − 14) / 128, bias\[i\] = (i mod 5 − 2) / 128
fn fill(mut variable: Tensor) {
    let axis = |index| Tensor::arange(variable.size()[index], (Kind::Float, Device::Cpu));
    let values = match variable.dim() {
        2 => ((axis(0) * 7).unsqueeze(1) + axis(1) * 13).remainder(29) - 14,
        _ => axis(0).remainder(5) - 2,
    };
    gradient_mode::off(|| variable.copy_(&(values / 128)));
}

#[test]
fn a_pretrained_encoder_and_a_head_on_it_match_transformers() {
    if !Path::new(CHECKPOINT).is_dir() {
        println!("skipped: {CHECKPOINT} is not there; tools/fetch_minilm.py fetches it");
        return;
    }
    let io = tensors("minilm");
    let encoder = load_encoder(Path::new(CHECKPOINT), Device::Cpu).unwrap();
    let tokens = Tokens { ids: &io["ids"], mask: &io["mask"], types: Some(&io["types"]) };
    let hidden = encoder.network.forward(&tokens, Kind::Float, &Frozen);
    assert_close("first token", &hidden.select(1, 0), &io["first"], NETWORK_TOLERANCE);
    let weights = &io["mask"] / io["mask"].sum_dim_intlist([1].as_slice(), true, Kind::Float);
    let mean = (&hidden * weights.unsqueeze(2)).sum_dim_intlist([1].as_slice(), false, Kind::Float);
    assert_close("mean of the tokens", &mean, &io["mean"], NETWORK_TOLERANCE);

    let store = nn::VarStore::new(Device::Cpu);
    let head = ClassificationHead::new(&store.root(), encoder.network.config(), LABELS);
    let variables = store.variables();
    assert_eq!(variables.len(), 4);
    variables.into_values().for_each(fill);
    assert_close("logits", &head.forward(&hidden, &Frozen), &io["logits"], NETWORK_TOLERANCE);
}
