//! Parameter counts of the full-size networks, from shapes alone.
//!
//! With all widths in proportion, a count is a polynomial of degree two in the width (weights are products of
//! two widths, biases and norms one, the rest none). Three tiny networks give the polynomial exactly.

use models::clip::{ClipText, ClipTextConfig, ClipVision, ClipVisionConfig};
use models::roberta::{Encoder, EncoderConfig, SequenceClassifier};
use models::unet::{UNet2DCondition, UNetConfig};
use models::vae::{AutoencoderKl, VaeConfig};
use models::vit::{Vit, VitConfig};
use models::{Adaptable, Role};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tch::{Device, nn};

/// The value at `width` of the polynomial of degree two that takes `values` at 1, 2, 3 (Newton's form).
fn extrapolate(values: [i64; 3], width: i64) -> i64 {
    let first = values[1] - values[0];
    let second = values[2] - 2 * values[1] + values[0];
    values[0] + first * (width - 1) + second * (width - 1) * (width - 2) / 2
}

/// Scalars and tensors of the network at `width`.
fn size<C: DeserializeOwned, N>(
    width: i64,
    config: impl Fn(i64) -> Value,
    build: impl Fn(&nn::Path, &C) -> N,
) -> (i64, usize) {
    let count = |width: i64| {
        let store = nn::VarStore::new(Device::Cpu);
        build(&store.root(), &serde_json::from_value(config(width)).unwrap());
        let variables = store.variables();
        (variables.values().map(|value| value.numel() as i64).sum::<i64>(), variables.len())
    };
    let counts = [1, 2, 3].map(count);
    (extrapolate(counts.map(|(scalars, _)| scalars), width), counts[0].1)
}

/// Stable Diffusion 1.5's UNet at `width` 320.
fn unet_config(width: i64) -> Value {
    json!({
        "sample_size": 64, "in_channels": 4, "out_channels": 4,
        "block_out_channels": [width, 2 * width, 4 * width, 4 * width], "layers_per_block": 2,
        "down_block_types":
            ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
        "cross_attention_dim": 768, "attention_head_dim": 8,
    })
}

#[test]
fn extrapolation_is_exact_for_a_polynomial_of_degree_two() {
    let polynomial = |x: i64| 7 * x * x - 5 * x + 3;
    assert_eq!(extrapolate([1, 2, 3].map(polynomial), 320), polynomial(320));
}

#[test]
fn unet_of_stable_diffusion_has_859_520_964_parameters_in_686_tensors() {
    assert_eq!(size(320, unet_config, UNet2DCondition::new), (859_520_964, 686));
}

#[test]
fn unet_of_stable_diffusion_has_128_attention_linears_of_the_published_sizes() {
    let sums = |width: i64| {
        let store = nn::VarStore::new(Device::Cpu);
        let config: UNetConfig = serde_json::from_value(unet_config(width)).unwrap();
        let unet = UNet2DCondition::new(&store.root(), &config);
        let is_attention = |role: Role| matches!(role, Role::Query | Role::Key | Role::Value | Role::Output);
        let attention = unet.linears().into_iter().filter(|&(_, role)| is_attention(role));
        let shapes: Vec<(i64, i64)> = attention.map(|(layer, _)| layer.weight.size2().unwrap()).collect();
        assert_eq!(shapes.len(), 128);
        shapes.iter().fold((0, 0), |(inputs, outputs), (out, inp)| (inputs + inp, outputs + out))
    };
    let sums = [1, 2, 3].map(sums);
    assert_eq!(extrapolate(sums.map(|(inputs, _)| inputs), 320), 99_456);
    assert_eq!(extrapolate(sums.map(|(_, outputs)| outputs), 320), 99_840);
}

#[test]
fn vae_of_stable_diffusion_has_83_653_863_parameters_in_248_tensors() {
    let config = |width: i64| {
        json!({
            "in_channels": 3, "out_channels": 3, "latent_channels": 4, "layers_per_block": 2,
            "block_out_channels": [width, 2 * width, 4 * width, 4 * width],
        })
    };
    let build = |path: &nn::Path, config: &VaeConfig| AutoencoderKl::new(path, config);
    assert_eq!(size(128, config, build), (83_653_863, 248));
}

/// Transformers with `width` per head and an MLP four times as wide.
fn transformer(width: i64, layers: i64, heads: i64, others: Value) -> Value {
    let mut config = others;
    config["hidden_size"] = json!(width * heads);
    config["intermediate_size"] = json!(4 * width * heads);
    config["num_hidden_layers"] = json!(layers);
    config["num_attention_heads"] = json!(heads);
    config
}

#[test]
fn text_encoder_of_stable_diffusion_has_123_060_480_parameters_in_196_tensors() {
    let config =
        |width| transformer(width, 12, 12, json!({ "vocab_size": 49408, "max_position_embeddings": 77 }));
    let build = |path: &nn::Path, config: &ClipTextConfig| ClipText::new(path, config);
    assert_eq!(size(64, config, build), (123_060_480, 196));
}

#[test]
fn clip_vision_towers_have_the_published_sizes() {
    let build = |projection| {
        move |path: &nn::Path, config: &ClipVisionConfig| ClipVision::new(path, config, projection)
    };
    let base = |width| transformer(width, 12, 12, json!({ "image_size": 224, "patch_size": 32 }));
    assert_eq!(size(64, base, build(512)), (87_849_216, 200));
    let large = |width| transformer(width, 24, 16, json!({ "image_size": 224, "patch_size": 14 }));
    assert_eq!(size(64, large, build(768)), (303_966_208, 392));
}

#[test]
fn dino_small_has_21_665_664_parameters() {
    let config = |width| transformer(width, 12, 6, json!({ "image_size": 224, "patch_size": 16 }));
    let build = |path: &nn::Path, config: &VitConfig| Vit::new(path, config);
    // Query, key and value are three tensors here and one in the reference's 150.
    assert_eq!(size(64, config, build), (21_665_664, 150 + 12 * 4));
}

/// RoBERTa-base and BERT-base (uncased) at `width` 64.
fn encoder_config(model: &'static str) -> impl Fn(i64) -> Value {
    let (vocab_size, positions, types) = if model == "roberta" { (50265, 514, 1) } else { (30522, 512, 2) };
    let others = json!({
        "model_type": model, "vocab_size": vocab_size, "max_position_embeddings": positions,
        "type_vocab_size": types, "layer_norm_eps": 1e-5, "hidden_act": "gelu", "pad_token_id": 1,
        "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
    });
    move |width| transformer(width, 12, 12, others.clone())
}

#[test]
fn roberta_base_and_bert_base_have_the_published_sizes() {
    let encoder = |path: &nn::Path, config: &EncoderConfig| Encoder::new(path, config).unwrap();
    let classifier =
        |path: &nn::Path, config: &EncoderConfig| SequenceClassifier::new(path, config, 2).unwrap();
    assert_eq!(size(64, encoder_config("roberta"), encoder), (124_055_040, 5 + 12 * 16));
    assert_eq!(size(64, encoder_config("roberta"), classifier), (124_647_170, 5 + 12 * 16 + 4));
    // 109,482,240 with the pooler, which is part of the head here.
    let head = 2 * 768 + 2;
    assert_eq!(size(64, encoder_config("bert"), classifier), (109_482_240 + head, 5 + 12 * 16 + 4));
}
