//! For tests: a small random decoder with a tokenizer of bytes, instructions and questions, in a folder.

use std::path::Path;

use models::decoder::{Decoder, DecoderConfig, LLAMA2_7B};
use serde_json::{Value, json};
use tch::{Device, Kind, nn};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

pub const VOCABULARY: i64 = 259;

pub fn config() -> DecoderConfig {
    DecoderConfig {
        vocab_size: VOCABULARY,
        hidden_size: 32,
        intermediate_size: 48,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: Some(2),
        max_position_embeddings: 256,
        tie_word_embeddings: true,
        ..LLAMA2_7B
    }
}

/// Three special tokens, then a token for each byte.
pub fn tokenizer() -> Value {
    let mut bytes: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    bytes.sort_unstable();
    let all =
        ["<unk>", "<s>", "</s>"].map(str::to_owned).into_iter().chain(bytes.iter().map(char::to_string));
    let vocab: serde_json::Map<String, Value> =
        all.enumerate().map(|(id, token)| (token, id.into())).collect();
    let level =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": level, "post_processor": null, "decoder": level,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": []}
    })
}

fn write(path: &Path, text: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Writes `model/`, `alpaca.jsonl`, `tasks.toml` and `quiz.jsonl` into `folder`.
pub fn write_world(folder: &Path) {
    let config = config();
    let store = nn::VarStore::new(Device::Cpu);
    let _ = Decoder::new(&store.root(), &config).unwrap();
    let mut tensors: Vec<_> = store.variables().into_iter().collect();
    tensors.sort_by(|left, right| left.0.cmp(&right.0));
    for (index, (_, tensor)) in tensors.iter_mut().enumerate().filter(|(_, (_, tensor))| tensor.dim() == 2) {
        // Larger than fresh weights, so that tokens differ in what they make likely.
        let values: Vec<f32> = (0..tensor.numel())
            .map(|place| (((place * 7919 + index * 31) % 997) as f32 / 997.0 - 0.5) * 0.6)
            .collect();
        gradient_mode::off(|| tensor.copy_(&tch::Tensor::from_slice(&values).view_as(tensor)));
    }
    let model = folder.join("model");
    write(&model.join("config.json"), serde_json::to_vec(&config).unwrap());
    write(&model.join("tokenizer.json"), serde_json::to_vec(&tokenizer()).unwrap());
    models::save_weights(&tensors, Kind::Float, &model.join("model.safetensors")).unwrap();
    let nouns = ["cat", "dog", "bee", "owl", "fox"];
    let row = |index: usize| {
        let (noun, again) = (nouns[index % 5], "so ".repeat(index % 4));
        json!({"instruction": format!("Say {again}{noun}"), "input": if index.is_multiple_of(3) { noun } else { "" },
               "output": format!("{again}{noun}.")})
    };
    let lines = |rows: Vec<Value>| rows.iter().map(|row| format!("{row}\n")).collect::<String>();
    write(&folder.join("alpaca.jsonl"), lines((0..30).map(row).collect()));
    let question = |index: usize| {
        json!({"question": format!("Which {}one is it?", "very ".repeat(index % 3)), "subject": nouns[index % 2],
               "choices": ["a cat", "dog", "an old owl"], "labels": [1, index % 2, 0], "answer": index % 3})
    };
    write(&folder.join("quiz.jsonl"), lines((0..9).map(question).collect()));
    let tasks = "[[task]]\nname = 'letters'\nrows = ['quiz']\nprompt = 'Q: {{ question }}\nA:'\nchoices = ['A', 'B', 'C']\n\
                 answer = { index = 'answer' }\nscore = 'accuracy'\ngroup = 'subject'\n\
                 [[task]]\nname = 'texts'\nlike = 'letters'\nchoices = 'choices'\nlengths = true\n\
                 [[task]]\nname = 'mass'\nlike = 'texts'\nanswer = { labels = 'labels' }\nscore = 'mass'\n";
    write(
        &folder.join("tasks.toml"),
        tasks.replace("prompt = 'Q: {{ question }}\nA:'", "prompt = \"Q: {{ question }}\\nA:\""),
    );
}

/// A folder of its own that [`write_world`] has written.
pub fn world() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_world(folder.path());
    folder
}

/// A small trial in a folder that [`write_world`] has written.
pub fn trial(folder: &Path, method: Value, seed: u64) -> Value {
    json!({
        "method": method, "seed": seed, "warmup_steps": 1, "epochs": 2, "batch": 4, "max_length": 230,
        "model": folder.join("model"), "instructions": folder.join("alpaca.jsonl"), "test_share": 0.2,
        "train_limit": 10, "answers": 2, "bank": 8, "tokens_per_pass": 4096,
        "evaluation": {"data": folder, "tasks": folder.join("tasks.toml")},
    })
}

pub fn lora() -> Value {
    json!({"name": "lora", "rank": 4, "alpha": 8.0, "learning_rate": {"angles": 2e-3}})
}
