//! Config files: every key is honoured, known not to matter, or refused by name, and impossible values with it.

use std::path::{Path, PathBuf};

use models::checkpoint::CheckpointConfigs;
use models::clip::{ClipConfig, ClipTextConfig};
use models::config::{Config, parse};
use models::decoder::{DecoderConfig, load_decoder};
use models::images::Preprocessor;
use models::networks::Network;
use models::roberta::EncoderConfig;
use models::scheduler::ScheduleConfig;
use models::unet::UNetConfig;
use models::vae::VaeConfig;
use models::vit::{Vit, VitConfig};
use models::{load_weights, read_config};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor, nn};

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn golden(case: &str) -> Value {
    models::read_json(&tests().join("golden").join(case).join("config.json")).unwrap()
}

/// What is said of `file` with `value` under the path `key`.
fn problem<C: Config>(file: &Value, key: &str, value: Value) -> String {
    let mut file = file.clone();
    let (parents, last) = key.rsplit_once('.').unwrap_or(("", key));
    let part = parents.split('.').filter(|part| !part.is_empty()).fold(&mut file, |at, part| &mut at[part]);
    part[last] = value;
    parse::<C>(&file).err().unwrap_or_else(|| panic!("{key} was taken"))
}

/// Each of `changes` is refused with its key and value.
fn refused<C: Config>(file: &Value, changes: &[(&str, Value)]) {
    parse::<C>(file).map(drop).unwrap();
    for (key, value) in changes {
        let message = problem::<C>(file, key, value.clone());
        let last = key.rsplit('.').next().unwrap();
        assert!(message.contains(last), "{key}: {message}");
        let shown = value.to_string();
        let bare = shown.trim_matches(['"', '[', ']']);
        assert!(message.contains(&shown) || message.contains(bare), "{message}");
    }
}

#[test]
fn keys_of_a_denoiser_that_change_results_are_refused_with_their_value() {
    refused::<UNetConfig>(
        &golden("unet_three_levels"),
        &[
            ("act_fn", json!("gelu")),
            ("flip_sin_to_cos", json!(false)),
            ("freq_shift", json!(1)),
            ("num_attention_heads", json!(4)),
            ("center_input_sample", json!(true)),
            ("class_embed_type", json!("timestep")),
            ("addition_embed_type", json!("text")),
            ("mid_block_scale_factor", json!(1.41)),
            ("transformer_layers_per_block", json!(2)),
            ("some_new_key", json!(3)),
            ("quantization_config", json!({"bits": 4})),
        ],
    );
}

#[test]
fn keys_of_the_other_networks_that_change_results_are_refused_with_their_value() {
    refused::<VaeConfig>(
        &golden("vae_two_levels"),
        &[
            ("latents_mean", json!([0.1])),
            ("shift_factor", json!(0.5)),
            ("use_quant_conv", json!(false)),
            ("act_fn", json!("relu")),
        ],
    );
    let schedule = json!({
        "_class_name": "PNDMScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear",
        "beta_start": 0.00085, "num_train_timesteps": 1000,
    });
    refused::<ScheduleConfig>(
        &schedule,
        &[
            ("prediction_type", json!("sample")),
            ("rescale_betas_zero_snr", json!(true)),
            ("trained_betas", json!([0.1, 0.2])),
            ("beta_schedule", json!("linear")),
            ("set_alpha_to_one", json!(true)),
            ("timestep_spacing", json!("karras")),
            ("num_train_timesteps", json!(0)),
            ("beta_end", json!(1.5)),
        ],
    );
    refused::<ClipConfig>(
        &golden("clip"),
        &[
            ("text_config.hidden_act", json!("gelu_new")),
            ("vision_config.num_channels", json!(1)),
            ("vision_config.use_head", json!(true)),
        ],
    );
    let copy = problem::<ClipConfig>(&golden("clip"), "text_config_dict", json!({"hidden_size": 99}));
    assert!(copy.contains("`text_config_dict.hidden_size` is 99 and `text_config.hidden_size` 16"), "{copy}");
    refused::<VitConfig>(&golden("vit"), &[("qkv_bias", json!(false)), ("num_register_tokens", json!(4))]);
    refused::<EncoderConfig>(
        &golden("roberta"),
        &[
            ("is_decoder", json!(true)),
            ("classifier_dropout", json!(0.3)),
            ("position_embedding_type", json!("relative_key")),
        ],
    );
    refused::<DecoderConfig>(
        &golden("llama"),
        &[
            ("attention_dropout", json!(0.1)),
            ("sliding_window", json!(4096)),
            ("eos_token_id", json!("</s>")),
            ("hidden_size", json!("many")),
        ],
    );
}

#[test]
fn positions_are_read_under_every_name_and_refused_where_they_are_scaled() {
    let plain = golden("llama");
    let with = |key: &str, value: Value| {
        let mut file = plain.clone();
        file.as_object_mut().unwrap().remove("rope_theta");
        file[key] = value;
        parse::<DecoderConfig>(&file)
    };
    for name in ["rope_type", "type"] {
        let newer = with("rope_parameters", json!({"rope_theta": 500000.0, name: "default"})).unwrap();
        assert_eq!(newer.rope_theta().unwrap(), 500000.0);
        let scaled = with("rope_parameters", json!({"rope_theta": 10000.0, name: "linear"})).unwrap_err();
        assert!(
            scaled.contains("`rope_parameters`") && scaled.contains(&format!("its `{name}` is")),
            "{scaled}"
        );
        let older = with("rope_scaling", json!({name: "dynamic", "factor": 2.0})).unwrap_err();
        assert!(older.contains("`rope_scaling`") && older.contains("dynamic"), "{older}");
        with("rope_scaling", json!({name: "default"})).unwrap();
    }
    assert_eq!(with("rope_scaling", Value::Null).unwrap().rope_theta().unwrap(), 10000.0);
    let unknown =
        with("rope_parameters", json!({"rope_theta": 1e4, "partial_rotary_factor": 0.5})).unwrap_err();
    assert!(unknown.contains("its `partial_rotary_factor` is 0.5"), "{unknown}");
    let two = problem::<DecoderConfig>(&plain, "rope_parameters", json!({"rope_theta": 500000.0}));
    assert!(two.contains("`rope_theta` is 10000 and `rope_parameters.rope_theta` 500000"), "{two}");
}

/// `public_decoders.jsonl` has the configs of public checkpoints, with their number of parameters or with what is refused.
#[test]
fn public_decoders_are_read_with_all_their_parameters_or_refused_by_name() {
    let text = std::fs::read_to_string(tests().join("public_decoders.jsonl")).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.len() >= 20);
    for row in &rows {
        let (model, config) = (&row["model"], &row["config"]);
        match row["refused"].as_str() {
            None => {
                let asked = Network::of(config).unwrap().read(config);
                let asked = asked.unwrap_or_else(|problem| panic!("{model}: {problem}"));
                assert_eq!(json!(asked.shapes.num_parameters()), row["parameters"], "{model}");
            }
            Some(reason) => {
                let problem = parse::<DecoderConfig>(config).expect_err(&model.to_string());
                assert!(problem.contains(reason), "{model}: {problem}");
            }
        }
    }
}

#[test]
fn keys_of_another_family_and_windows_that_are_none_are_refused() {
    let qwen = golden("qwen3");
    for (case, key, value) in [
        ("llama", "sliding_window", json!(8)),
        ("llama", "use_sliding_window", json!(true)),
        ("mistral", "attention_bias", json!(true)),
        ("mistral", "layer_types", json!(["full_attention"])),
        ("qwen2", "mlp_bias", json!(true)),
        ("qwen2", "attention_bias", json!(true)),
    ] {
        let problem = problem::<DecoderConfig>(&golden(case), key, value);
        assert!(problem.contains(&format!("`{key}` is")) && problem.contains(case), "{problem}");
    }
    for (key, value, said) in [
        ("layer_types", json!(["full_attention"]), "`layer_types` has 1 entries; `num_hidden_layers` is 3"),
        ("use_sliding_window", json!(false), "`layer_types` gives layer 0 a window, and there is none"),
        ("layer_types", json!(["chunked_attention"]), "chunked_attention"),
        ("sliding_window", json!(0), "`sliding_window` is 0"),
    ] {
        let problem = problem::<DecoderConfig>(&qwen, key, value);
        assert!(problem.contains(said), "{problem}");
    }
    let llama3 = golden("llama3");
    for (key, value, said) in [
        ("rope_scaling.factor", Value::Null, "lacks `factor`"),
        ("rope_scaling.factor", json!(-8.0), "`rope_scaling.factor` is -8"),
        ("rope_scaling.high_freq_factor", json!(1.0), "has to be larger"),
        ("rope_scaling.beta_fast", json!(32), "its `beta_fast` is 32"),
        ("rope_scaling.rope_type", json!("yarn"), "yarn"),
    ] {
        let problem = problem::<DecoderConfig>(&llama3, key, value);
        assert!(problem.contains(said), "{problem}");
    }
}

#[test]
fn values_that_cannot_be_are_refused_before_a_tensor_is_made() {
    for (key, value) in [
        ("attention_head_dim", json!(3)),
        ("attention_head_dim", json!([2, 4])),
        ("attention_head_dim", json!([2, 3, 4])),
        ("attention_head_dim", json!("2")),
        ("attention_head_dim", json!(0)),
        ("norm_num_groups", json!(3)),
        ("norm_num_groups", json!(0)),
        ("layers_per_block", json!(0)),
        ("sample_size", json!(-1)),
        ("out_channels", json!(9)),
        ("block_out_channels", json!([])),
        ("down_block_types", json!(["AttnDownBlock2D", "DownBlock2D", "DownBlock2D"])),
        ("norm_eps", json!(0.0)),
    ] {
        let message = problem::<UNetConfig>(&golden("unet_three_levels"), key, value);
        assert!(message.contains(key), "{message}");
    }
    for (key, value) in [("norm_num_groups", 5), ("latent_channels", 0), ("layers_per_block", 0)] {
        let message = problem::<VaeConfig>(&golden("vae_two_levels"), key, json!(value));
        assert!(message.contains(key), "{message}");
    }
    for (key, value) in [
        ("num_attention_heads", 5),
        ("num_attention_heads", 0),
        ("num_hidden_layers", 0),
        ("patch_size", 0),
        ("patch_size", 17),
        ("hidden_size", 1i64 << 40),
    ] {
        let message = problem::<VitConfig>(&golden("vit"), key, json!(value));
        assert!(message.contains(key), "{message}");
    }
    for (key, value) in [("num_hidden_layers", 0), ("vocab_size", 0), ("eos_token_id", 40)] {
        let message = problem::<ClipTextConfig>(&golden("clip_text"), key, json!(value));
        assert!(message.contains(key), "{message}");
    }
    for (key, value) in [("num_attention_heads", 5), ("num_hidden_layers", 0), ("type_vocab_size", 0)] {
        let message = problem::<EncoderConfig>(&golden("roberta"), key, json!(value));
        assert!(message.contains(key), "{message}");
    }
    for (key, value) in [("num_key_value_heads", 0), ("num_hidden_layers", 0), ("vocab_size", -1)] {
        let message = problem::<DecoderConfig>(&golden("llama"), key, json!(value));
        assert!(message.contains(key), "{message}");
    }
}

/// The keys as the files on the hub have them.
#[test]
fn configs_of_public_checkpoints_are_taken() {
    let schedule = json!({
        "_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000,
        "set_alpha_to_one": false, "skip_prk_steps": true, "steps_offset": 1, "trained_betas": null,
        "clip_sample": false,
    });
    parse::<ScheduleConfig>(&schedule).unwrap();
    let newer = json!({
        "_class_name": "DDIMScheduler", "_diffusers_version": "0.32.1", "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": false, "clip_sample_range": 1.0,
        "dynamic_thresholding_ratio": 0.995, "num_train_timesteps": 1000, "prediction_type": "epsilon",
        "rescale_betas_zero_snr": false, "sample_max_value": 1.0, "set_alpha_to_one": false,
        "skip_prk_steps": true, "steps_offset": 1, "thresholding": false, "timestep_spacing": "leading",
        "trained_betas": null,
    });
    parse::<ScheduleConfig>(&newer).unwrap();
    stable_diffusion_2_1();
    // Of 2022, with every default of transformers in it.
    let old: Value = serde_json::from_str(
        r#"{
        "_name_or_path": "", "add_cross_attention": false, "architectures": null, "attention_dropout": 0.0,
        "bad_words_ids": null, "bos_token_id": 0, "chunk_size_feed_forward": 0,
        "cross_attention_hidden_size": null, "decoder_start_token_id": null, "diversity_penalty": 0.0,
        "do_sample": false, "dropout": 0.0, "early_stopping": false, "encoder_no_repeat_ngram_size": 0,
        "finetuning_task": null, "forced_bos_token_id": null, "forced_eos_token_id": null,
        "id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "initializer_factor": 1.0, "initializer_range": 0.02,
        "is_decoder": false, "is_encoder_decoder": false, "label2id": {"LABEL_0": 0, "LABEL_1": 1},
        "length_penalty": 1.0, "max_length": 20, "min_length": 0, "no_repeat_ngram_size": 0,
        "num_beam_groups": 1, "num_beams": 1, "num_return_sequences": 1, "output_attentions": false,
        "output_hidden_states": false, "output_scores": false, "pad_token_id": 1, "prefix": null,
        "problem_type": null, "pruned_heads": {}, "remove_invalid_values": false, "repetition_penalty": 1.0,
        "return_dict": true, "return_dict_in_generate": false, "sep_token_id": null,
        "task_specific_params": null, "temperature": 1.0, "tie_encoder_decoder": false,
        "tie_word_embeddings": true, "tokenizer_class": null, "top_k": 50, "top_p": 1.0, "torch_dtype": null,
        "torchscript": false, "transformers_version": "4.16.0.dev0", "use_bfloat16": false, "typical_p": 1.0}"#,
    )
    .unwrap();
    let mut clip = golden("clip");
    for part in ["text_config", "vision_config"] {
        for (key, value) in old.as_object().unwrap() {
            clip[part][key] = value.clone();
        }
        clip[format!("{part}_dict")] = Value::Null;
    }
    clip["text_config_dict"] =
        json!({"hidden_size": clip["text_config"]["hidden_size"], "projection_dim": 1});
    clip["initializer_factor"] = json!(1.0);
    parse::<ClipConfig>(&clip).unwrap();
    let mut roberta = golden("roberta");
    roberta["gradient_checkpointing"] = json!(false);
    parse::<EncoderConfig>(&roberta).unwrap();
    let mut llama = golden("llama");
    llama["max_sequence_length"] = json!(2048);
    llama["pad_token_id"] = json!(-1);
    parse::<DecoderConfig>(&llama).unwrap();
    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini");
    CheckpointConfigs::read(&mini.join("sd")).unwrap();
    read_config::<ClipConfig>(&mini.join("clip/config.json")).unwrap();
    read_config::<models::control::ConditionEncoderConfig>(&mini.join("condition/config.json")).unwrap();
}

/// Its files of 2022.
fn stable_diffusion_2_1() {
    let schedule = json!({
        "_class_name": "DDIMScheduler", "_diffusers_version": "0.8.0", "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": false,
        "num_train_timesteps": 1000, "prediction_type": "v_prediction", "set_alpha_to_one": false,
        "skip_prk_steps": true, "steps_offset": 1, "trained_betas": null,
    });
    parse::<ScheduleConfig>(&schedule).unwrap();
    let (down, up) = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D");
    let unet = json!({
        "_class_name": "UNet2DConditionModel", "_diffusers_version": "0.10.0.dev0", "act_fn": "silu",
        "attention_head_dim": [5, 10, 20, 20], "block_out_channels": [320, 640, 1280, 1280],
        "center_input_sample": false, "cross_attention_dim": 1024,
        "down_block_types": [down, down, down, "DownBlock2D"], "downsample_padding": 1,
        "dual_cross_attention": false, "flip_sin_to_cos": true, "freq_shift": 0, "in_channels": 4,
        "layers_per_block": 2, "mid_block_scale_factor": 1, "norm_eps": 1e-05, "norm_num_groups": 32,
        "num_class_embeds": null, "only_cross_attention": false, "out_channels": 4, "sample_size": 96,
        "up_block_types": ["UpBlock2D", up, up, up], "use_linear_projection": true, "upcast_attention": true,
    });
    parse::<UNetConfig>(&unet).unwrap();
    let text = json!({
        "architectures": ["CLIPTextModel"], "attention_dropout": 0.0, "bos_token_id": 0, "dropout": 0.0,
        "eos_token_id": 2, "hidden_act": "gelu", "hidden_size": 1024, "initializer_factor": 1.0,
        "initializer_range": 0.02, "intermediate_size": 4096, "layer_norm_eps": 1e-05,
        "max_position_embeddings": 77, "model_type": "clip_text_model", "num_attention_heads": 16,
        "num_hidden_layers": 23, "pad_token_id": 1, "projection_dim": 512, "torch_dtype": "float32",
        "transformers_version": "4.25.0.dev0", "vocab_size": 49408,
    });
    parse::<ClipTextConfig>(&text).unwrap();
}

#[test]
fn the_parts_of_a_checkpoint_have_to_go_together() {
    let root = tempfile::tempdir().unwrap();
    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini/sd");
    for file in
        ["unet/config.json", "vae/config.json", "text_encoder/config.json", "scheduler/scheduler_config.json"]
    {
        std::fs::create_dir_all(root.path().join(file).parent().unwrap()).unwrap();
        std::fs::copy(mini.join(file), root.path().join(file)).unwrap();
    }
    CheckpointConfigs::read(root.path()).unwrap();
    let path = root.path().join("vae/config.json");
    let mut vae: Value = models::read_json(&path).unwrap();
    vae["latent_channels"] = json!(4);
    std::fs::write(&path, vae.to_string()).unwrap();
    let message = CheckpointConfigs::read(root.path()).unwrap_err().to_string();
    assert!(message.contains("unet: `in_channels` is 8, vae: `latent_channels` 4"), "{message}");
}

#[test]
fn a_preprocessor_has_no_unread_keys_either() {
    let folder = tempfile::tempdir().unwrap();
    let read = |file: Value| {
        std::fs::write(folder.path().join("preprocessor_config.json"), file.to_string()).unwrap();
        Preprocessor::read(folder.path(), 224).map_err(|error| error.to_string())
    };
    let clip = |key: &str, value: Value| {
        let mut file = json!({"image_processor_type": "CLIPImageProcessor", "do_convert_rgb": true});
        file[key] = value;
        read(file)
    };
    clip("default_to_square", json!(false)).unwrap();
    for (key, value) in [
        ("crop_pct", json!(0.9)),
        ("do_pad", json!(true)),
        ("default_to_square", json!(true)),
        ("rescale_factor", json!(0.0)),
        ("image_mean", json!("half")),
    ] {
        let message = clip(key, value).unwrap_err();
        assert!(message.contains("preprocessor_config.json") && message.contains(key), "{message}");
    }
}

#[test]
fn files_that_are_something_else_are_called_what_they_are() {
    let root = tempfile::tempdir().unwrap();
    let config = root.path().join("config.json");
    std::fs::write(&config, format!("\u{feff}{}", golden("vit"))).unwrap();
    let message = read_config::<VitConfig>(&config).unwrap_err().to_string();
    assert!(message.contains("config.json: is text that begins with a byte order mark"), "{message}");
    let store = nn::VarStore::new(Device::Cpu);
    _ = Vit::new(&store.root(), &parse(&golden("vit")).unwrap());
    let header = br#"{"__metadata__":{"step":3}}"#;
    let number = [&(header.len() as u64).to_le_bytes()[..], header].concat();
    for (bytes, words) in [
        (
            &b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"[..],
            "is a pointer of Git LFS",
        ),
        (b"<!DOCTYPE html><html>", "is an HTML page"),
        (&number, "`__metadata__` has 3 under `step`"),
    ] {
        for name in ["model.safetensors", "pytorch_model.bin"] {
            if name.ends_with("bin") && words.contains("metadata") {
                continue;
            }
            let path = root.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let message = load_weights(&store, &path).unwrap_err().to_string();
            assert!(message.contains(name) && message.contains(words), "{message}");
        }
    }
}

#[test]
fn quantized_weights_are_called_so() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("config.json"), golden("llama").to_string()).unwrap();
    let name = "model.layers.0.mlp.up_proj.qweight";
    let weight = Tensor::zeros([4, 4], (Kind::Int, Device::Cpu));
    Tensor::write_safetensors(&[(name, weight)], root.path().join("model.safetensors")).unwrap();
    let message = load_decoder(root.path(), Kind::Float, Device::Cpu).unwrap_err().to_string();
    assert!(message.contains(name) && message.contains("quantized"), "{message}");
    let message = problem::<DecoderConfig>(&golden("llama"), "quantization_config", json!({"bits": 4}));
    let is_named = message.contains("`quantization_config`");
    assert!(is_named && message.contains("take the checkpoint in F32"), "{message}");
}

#[test]
fn weights_that_are_no_numbers_are_not_written() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("model.safetensors");
    let large = Tensor::full([2], 1e6, (Kind::Float, Device::Cpu));
    models::save_weights(&[("a".to_owned(), large.copy())], Kind::Float, &path).unwrap();
    // Beyond what half precision holds.
    let message =
        models::save_weights(&[("a".to_owned(), large)], Kind::Half, &path).unwrap_err().to_string();
    assert!(message.contains("tensor `a` has 2 values that are NaN or infinite"), "{message}");
}
