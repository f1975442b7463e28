//! Scores, token ids and training against scikit-learn, SciPy, transformers and PEFT; the files are made by
//! `tools/goldens/`.

mod training;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use roberta_glue::metrics::{Predictions, scores};
use roberta_glue::tasks::find;
use roberta_glue::tokens::{Encoded, TextTokenizer, TokenError};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Sums in another order.
const METRIC_TOLERANCE: f64 = 1e-12;
/// Tokens that transformers leaves to any length.
const LONGEST: usize = 512;

#[derive(Deserialize)]
struct ScoredCase {
    name: String,
    task: String,
    predictions: Vec<f32>,
    labels: Vec<f32>,
    /// `None` where the reference has NaN.
    scores: BTreeMap<String, Option<f64>>,
}

#[derive(Deserialize)]
struct TokenCase {
    texts: Vec<String>,
    /// How often the first text is repeated.
    repeats: usize,
    max_length: usize,
    ids: Vec<i64>,
    types: Vec<i64>,
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn read<T: DeserializeOwned>(path: &Path) -> T {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn scores_are_those_of_scikit_learn_and_scipy() {
    for case in read::<Vec<ScoredCase>>(&golden("metrics.json")) {
        let what = format!("{} of {}", case.name, case.task);
        let task = find(&case.task).unwrap();
        let mut ours = scores(task, &Predictions::certain(task, &case.predictions), &case.labels);
        for (name, expected) in case.scores {
            match (ours.remove(&name), expected) {
                (Some(value), Some(expected)) => {
                    let gap = (value - expected).abs();
                    assert!(gap < METRIC_TOLERANCE, "{what}: {name} {value}, not {expected}");
                }
                (value, expected) => assert_eq!(value, expected, "{what}: {name}"),
            }
        }
        assert!(ours.is_empty(), "{what}: {ours:?} besides");
    }
}

/// Compares the tokenizer in `folder` with the cases of the golden folder `name`.
fn compare(folder: &Path, name: &str) {
    let cases: Vec<TokenCase> = read(&golden("tokens").join(name).join("cases.json"));
    assert!(cases.len() > 10, "{name}");
    let mut tokenizers = BTreeMap::new();
    for case in cases {
        let mut texts = case.texts.clone();
        texts[0] = texts[0].repeat(case.repeats);
        let expected = Encoded { ids: case.ids, types: case.types };
        let opened = || TextTokenizer::open(folder, case.max_length).unwrap();
        let tokenizer = tokenizers.entry(case.max_length).or_insert_with(opened);
        assert_eq!(tokenizer.encode(&texts), expected, "{name}: {:?} at {}", case.texts, case.max_length);
        assert_eq!(tokenizer.encode_all([&texts[..], &texts]), [expected.clone(), expected], "{name}");
    }
}

#[test]
fn tokens_are_those_of_transformers() {
    for name in ["roberta", "bert", "bert_cased", "bert_json"] {
        compare(&golden("tokens").join(name), name);
    }
}

#[test]
#[ignore = "DELORA_HUB has to name the folder of `models` and `datasets`; `just test-hub` sets it"]
fn robertas_vocabulary_of_the_hub_gives_the_tokens_of_transformers() {
    let hub = std::env::var("DELORA_HUB").expect("DELORA_HUB names the folder of `models` and `datasets`");
    let folder = Path::new(&hub).join("models/FacebookAI--roberta-base");
    compare(&folder, "roberta_base"); // by tokenizer.json
    let parts = tempfile::tempdir().unwrap();
    for name in ["vocab.json", "merges.txt"] {
        std::fs::copy(folder.join(name), parts.path().join(name)).unwrap();
    }
    compare(parts.path(), "roberta_base");
    TextTokenizer::open(parts.path(), LONGEST).unwrap().check(50265).unwrap();
}

#[test]
fn an_empty_sentence_is_its_special_tokens() {
    let tokenizer = TextTokenizer::open(&golden("tokens/bert"), LONGEST).unwrap();
    let encoded = tokenizer.encode(&[String::new()]);
    assert_eq!(encoded.ids, [2, 3], "[CLS] and [SEP] of the case's vocab.txt");
    assert_eq!(encoded.types, [0, 0]);
}

#[test]
fn a_vocabulary_larger_than_the_models_is_an_error_with_both_sizes() {
    let folder = golden("tokens/bert");
    let num_tokens = std::fs::read_to_string(folder.join("vocab.txt")).unwrap().lines().count();
    let tokenizer = TextTokenizer::open(&folder, LONGEST).unwrap();
    tokenizer.check(num_tokens).unwrap();
    tokenizer.check(num_tokens + 9).unwrap();
    let message = tokenizer.check(num_tokens - 1).unwrap_err().to_string();
    let vocabulary = format!("bert/vocab.txt has {num_tokens} tokens");
    let model = format!("vocab_size is {}", num_tokens - 1);
    for part in [vocabulary.as_str(), model.as_str(), "bert/config.json"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn ids_that_a_tokenizer_adds_to_its_vocabulary_are_checked_too() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(golden("tokens/bert_json/tokenizer.json")).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let num_tokens = json["model"]["vocab"].as_object().unwrap().len();
    let mut added = json["added_tokens"][0].clone();
    added["id"] = num_tokens.into();
    added["content"] = "[NEW]".into();
    json["added_tokens"].as_array_mut().unwrap().push(added);
    std::fs::write(folder.path().join("tokenizer.json"), json.to_string()).unwrap();
    let tokenizer = TextTokenizer::open(folder.path(), LONGEST).unwrap();
    tokenizer.check(num_tokens + 1).unwrap();
    assert!(matches!(tokenizer.check(num_tokens), Err(TokenError::Vocabulary { .. })));
}

/// Opens a folder with these files, and looks for `parts` in the refusal.
fn assert_refused(files: &[(&str, &str)], max_length: usize, parts: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let message = TextTokenizer::open(folder.path(), max_length).unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "{files:?}: {message}");
    }
}

#[test]
fn what_is_no_tokenizer_is_refused_by_name() {
    let refused = |files: &[(&str, &str)], parts: &[&str]| assert_refused(files, LONGEST, parts);
    refused(&[], &["no tokenizer here", "vocab.json and merges.txt"]);
    refused(&[("vocab.json", "{}")], &["no tokenizer here"]);
    refused(&[("tokenizer.json", "{\"version\": ")], &["tokenizer.json: cannot be read"]);
    let vocab = ("vocab.json", "{\"<s>\": 0}");
    refused(&[vocab, ("merges.txt", "a b\n")], &["vocab.json: cannot be read"]);
    refused(&[vocab, ("merges.txt", "")], &["vocab.json: has no token `</s>`", "RoBERTa"]);
    refused(&[("vocab.txt", "[UNK]\n[CLS]\nthe\n")], &["vocab.txt: has no token `[SEP]`", "BERT"]);
    refused(&[PIECES, ("tokenizer_config.json", "{")], &["tokenizer_config.json: cannot be read"]);
    let without = serde_json::json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null,
        "decoder": null, "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"},
    });
    refused(&[("tokenizer.json", &without.to_string())], &["no special token", "post_processor"]);
}

#[test]
fn a_length_without_room_for_text_is_refused() {
    assert_refused(&[PIECES], 3, &["max_length 3 leaves no room", "3 special tokens"]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(PIECES.0), PIECES.1).unwrap();
    let tokenizer = TextTokenizer::open(folder.path(), 4).unwrap();
    let pair = ["the".to_owned(), "the the".to_owned()];
    assert_eq!(tokenizer.encode(&pair).ids, [2, 3, 4, 3], "the longer text keeps the one token");
}

const PIECES: (&str, &str) = ("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\n");
