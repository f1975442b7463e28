//! `config.json` of public checkpoints: the keys that decide shapes and results.

use serde_json::{Value, json};

use crate::decoder::LLAMA2_7B;

pub(crate) fn sd15_unet() -> Value {
    let (down, up) = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D");
    json!({
        "_class_name": "UNet2DConditionModel",
        "sample_size": 64, "in_channels": 4, "out_channels": 4,
        "down_block_types": [down, down, down, "DownBlock2D"],
        "up_block_types": ["UpBlock2D", up, up, up],
        "block_out_channels": [320, 640, 1280, 1280], "layers_per_block": 2,
        "cross_attention_dim": 768, "attention_head_dim": 8,
    })
}

pub(crate) fn sd21_unet() -> Value {
    let mut config = sd15_unet();
    for (key, value) in [
        ("sample_size", json!(96)),
        ("cross_attention_dim", json!(1024)),
        ("attention_head_dim", json!([5, 10, 20, 20])),
        ("use_linear_projection", json!(true)),
    ] {
        config[key] = value;
    }
    config
}

pub(crate) fn sd21_text_encoder() -> Value {
    let mut config = clip_text(1024, 16);
    config["architectures"] = json!(["CLIPTextModel"]);
    config["num_hidden_layers"] = json!(23);
    config["hidden_act"] = json!("gelu");
    config
}

pub(crate) fn sd15_vae() -> Value {
    json!({
        "_class_name": "AutoencoderKL",
        "in_channels": 3, "out_channels": 3, "latent_channels": 4,
        "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2,
    })
}

pub(crate) fn sd15_text_encoder() -> Value {
    let mut config = clip_text(768, 12);
    config["architectures"] = json!(["CLIPTextModel"]);
    config
}

/// Heads have 64 features in all of CLIP.
fn clip_text(hidden_size: i64, heads: i64) -> Value {
    json!({
        "vocab_size": 49408, "max_position_embeddings": 77, "num_hidden_layers": 12,
        "hidden_size": hidden_size, "intermediate_size": 4 * hidden_size, "num_attention_heads": heads,
        "eos_token_id": 2,
    })
}

fn base_32() -> Value {
    json!({
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
        "image_size": 224, "patch_size": 32,
    })
}

fn large_14() -> Value {
    json!({
        "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
        "image_size": 224, "patch_size": 14,
    })
}

fn clip(projection_dim: i64, text: Value, vision: Value) -> Value {
    json!({
        "architectures": ["CLIPModel"], "projection_dim": projection_dim,
        "text_config": text, "vision_config": vision,
    })
}

fn vision_tower(projection_dim: i64, mut vision: Value) -> Value {
    vision["architectures"] = json!(["CLIPVisionModelWithProjection"]);
    vision["projection_dim"] = json!(projection_dim);
    vision
}

pub(crate) fn clip_base_32() -> Value {
    clip(512, clip_text(512, 8), base_32())
}

pub(crate) fn clip_base_32_vision() -> Value {
    vision_tower(512, base_32())
}

pub(crate) fn clip_large_14() -> Value {
    clip(768, clip_text(768, 12), large_14())
}

pub(crate) fn clip_large_14_vision() -> Value {
    vision_tower(768, large_14())
}

pub(crate) fn dino_vits16() -> Value {
    json!({
        "architectures": ["ViTModel"],
        "hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 12, "num_attention_heads": 6,
        "image_size": 224, "patch_size": 16, "layer_norm_eps": 1e-12,
    })
}

pub(crate) fn vit_base() -> Value {
    json!({
        "architectures": ["ViTModel"],
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
        "image_size": 224, "patch_size": 16, "layer_norm_eps": 1e-12,
    })
}

pub(crate) fn roberta_base() -> Value {
    json!({
        "architectures": ["RobertaForMaskedLM"], "model_type": "roberta",
        "vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1, "pad_token_id": 1,
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
        "layer_norm_eps": 1e-5, "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
    })
}

pub(crate) fn llama2_7b() -> Value {
    let mut config = serde_json::to_value(LLAMA2_7B).expect("a struct of numbers");
    config["architectures"] = json!(["LlamaForCausalLM"]);
    config
}
