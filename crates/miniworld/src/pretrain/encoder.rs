//! The sentence encoder: a small RoBERTa, pretrained as BERT was on documents of the mini world: it restores words, and
//! tells from the first token whether two sentences belong together. No task's label is in the documents.
//!
//! The network is to restore 15 % of the words of documents; of these, 80 % are masked, 10 % are another word and 10 % are
//! left, as in BERT. Most documents have two sentences, so that many words can only be restored by comparing the two.
//! Words that sentences are made with are chosen less often than those that they are about: with all alike, a network of
//! this size learned grammar and did not come to compare. In the second half of the training a document in four is whole
//! instead, and it is to be told whether its sentences speak of one situation.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::{Result, anyhow};
use models::roberta::{Encoder, EncoderConfig, ModelType, Positions, Tokens};
use models::{Activation, Frozen};
use rand::RngExt;
use serde_json::json;
use tch::nn::Module;
use tch::{Kind, Tensor, nn};
use tokenizers::Tokenizer;

use super::data::{batch_stream, prefetch};
use super::shipping::{Options, ship, write_json};
use super::trainer::{Schedule, Trainer, device};
use crate::language::documents::{Document, compared, document};
use crate::language::{Stream, pick, vocabulary, words};

const SCHEDULE: Schedule =
    Schedule { steps: 6500, learning_rate: 3e-3, warmup_steps: 200, weight_decay: 0.01, ema: 0.998 };
const BATCH: usize = 64;
/// Chances of being chosen: of words that sentences are made with, of words that hang on a whole document, and of all
/// others. Together, 15 % of words are.
const RESTORED: [f64; 3] = [0.06, 0.5, 0.22];
const MADE_WITH: &str = "the a an some one and , ? there we see it they is are stands stand rests rest stays stay \
                         on in of to do does have has what which how where so me tell find";
const HANG_ON_ALL: &str = "yes no again elsewhere more fewer";
/// Share of documents whose sentences are to be compared, and weight of that loss.
const COMPARED: f64 = 0.25;
const COMPARING: f64 = 0.5;
/// Special tokens in the order of RoBERTa's ids; words follow, the mask is last.
const SPECIAL: [&str; 4] = ["<s>", "<pad>", "</s>", "<unk>"];
const MASK: &str = "<mask>";
const PAD: i64 = 1;
const DEVIATION: f64 = 0.06;
/// Documents from this stream on are in no training batch.
const HELD_OUT: u64 = 1 << 40;

fn config(vocab_size: i64) -> EncoderConfig {
    EncoderConfig {
        model_type: ModelType::Roberta,
        vocab_size,
        hidden_size: 96,
        num_hidden_layers: 4,
        num_attention_heads: 4,
        intermediate_size: 384,
        max_position_embeddings: 66,
        type_vocab_size: 1,
        layer_norm_eps: 1e-5,
        hidden_act: Activation::Gelu,
        pad_token_id: PAD,
        hidden_dropout_prob: 0.1,
        attention_probs_dropout_prob: 0.1,
        position_embedding_type: Positions::Absolute,
    }
}

/// Whole words in lower case, between RoBERTa's special tokens.
fn tokenizer_json() -> serde_json::Value {
    let words = vocabulary();
    let all = SPECIAL.into_iter().chain(words.iter().map(String::as_str)).chain([MASK]);
    let vocabulary: serde_json::Map<String, serde_json::Value> =
        all.enumerate().map(|(id, word)| (word.to_owned(), id.into())).collect();
    let id = |word: &str| vocabulary[word].clone();
    let added = SPECIAL.into_iter().chain([MASK]).map(|word| {
        json!({"id": id(word), "content": word, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    });
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "RobertaProcessing", "sep": ["</s>", id("</s>")], "cls": ["<s>", id("<s>")],
            "trim_offsets": true, "add_prefix_space": false
        },
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"}
    })
}

/// Starts all weights from N(0, [`DEVIATION`]²) and all biases from 0, as RoBERTa does with 0.02. Words that start so
/// close to each other grow alike in the first steps of a high rate, and are then hard to copy.
fn initialize(store: &nn::VarStore) {
    for (name, mut variable) in super::trainer::named(store) {
        let is_norm = name.contains("LayerNorm") || name.contains("layer_norm");
        gradient_mode::off(|| match (is_norm, variable.dim()) {
            (true, _) => {}
            (false, 1) => drop(variable.zero_()),
            (false, _) => drop(variable.normal_(0.0, DEVIATION)),
        });
    }
}

/// The encoder with RoBERTa's head that restores words: its output layer is the table of words.
struct MaskedLanguageModel {
    encoder: Encoder,
    dense: nn::Linear,
    norm: nn::LayerNorm,
    words: Tensor,
    bias: Tensor,
    /// BERT's head for pairs, on the first token.
    relationship: nn::Linear,
}

impl MaskedLanguageModel {
    fn new(store: &nn::VarStore, config: &EncoderConfig) -> Result<MaskedLanguageModel> {
        let encoder = Encoder::new(&store.root(), config)?;
        let words = store.variables()["roberta.embeddings.word_embeddings.weight"].shallow_clone();
        let head = store.root() / "lm_head";
        let norm = nn::LayerNormConfig { eps: config.layer_norm_eps, ..Default::default() };
        let features = config.hidden_size;
        Ok(MaskedLanguageModel {
            encoder,
            dense: nn::linear(&head / "dense", features, features, nn::LinearConfig::default()),
            norm: nn::layer_norm(&head / "layer_norm", vec![features], norm),
            words,
            bias: head.zeros("bias", &[config.vocab_size]),
            relationship: nn::linear(
                store.root() / "cls" / "seq_relationship",
                features,
                2,
                nn::LinearConfig::default(),
            ),
        })
    }

    /// Logits `[places, vocabulary]` at the places to be restored, and `[compared, 2]` of the documents to be compared.
    fn forward(&self, batch: &Batch) -> [Tensor; 2] {
        let device = device();
        let (ids, mask) = (batch.ids.to_device(device), batch.mask.to_device(device));
        let hidden =
            self.encoder.forward(&Tokens { ids: &ids, mask: &mask, types: None }, Kind::Float, &Frozen);
        let first = hidden.select(1, 0).index_select(0, &batch.compared.to_device(device)); // [compared, features]
        let restored = hidden.flatten(0, 1).index_select(0, &batch.places.to_device(device)); // [places, features]
        let restored = self.norm.forward(&self.dense.forward(&restored).gelu("none"));
        [restored.linear(&self.words, Some(&self.bias)), self.relationship.forward(&first)]
    }
}

/// Documents with words to be restored.
struct Batch {
    /// `[documents, tokens]`
    ids: Tensor,
    /// 0 at padding, `[documents, tokens]`
    mask: Tensor,
    /// Which of all tokens are to be restored, `[places]`
    places: Tensor,
    /// What they were, `[places]`
    targets: Tensor,
    /// Which documents are to be compared, `[compared]`
    compared: Tensor,
    /// 0 where their sentences belong together, as in BERT, `[compared]`
    is_apart: Tensor,
}

/// Token ids of a document, with the special tokens.
fn encode(tokenizer: &Tokenizer, document: Document) -> Vec<i64> {
    let encoding = match document.second {
        Some(second) => tokenizer.encode((document.first, second), true),
        None => tokenizer.encode(document.first, true),
    };
    let encoding = encoding.expect("plain text always tokenizes");
    encoding.get_ids().iter().map(|&id| i64::from(id)).collect()
}

/// Which words may be chosen, and what they may be taken for.
struct Words {
    tokenizer: Tokenizer,
    first: i64,
    mask: i64,
    made_with: HashSet<i64>,
    hang_on_all: HashSet<i64>,
    /// Words that can stand where another stands.
    alike: HashMap<i64, Vec<i64>>,
}

impl Words {
    fn new(tokenizer: Tokenizer) -> Words {
        let id = |word: &str| tokenizer.token_to_id(word).map(i64::from);
        let ids = |words: &str| words.split_whitespace().filter_map(id).collect();
        let alike = words::alike().into_iter().flat_map(|group| {
            let group: Vec<i64> = group.into_iter().filter_map(id).collect();
            group.clone().into_iter().map(move |word| (word, group.clone()))
        });
        Words {
            first: SPECIAL.len() as i64,
            mask: tokenizer.get_vocab_size(true) as i64 - 1,
            made_with: ids(MADE_WITH),
            hang_on_all: ids(HANG_ON_ALL),
            alike: alike.collect(),
            tokenizer,
        }
    }

    fn is_chosen(&self, id: i64, stream: &mut Stream) -> bool {
        let [rarely, often, usually] = RESTORED;
        let chance = match id {
            id if self.made_with.contains(&id) => rarely,
            id if self.hang_on_all.contains(&id) => often,
            _ => usually,
        };
        id >= self.first && stream.random_bool(chance)
    }

    /// What stands in the place of a chosen word: another word is of the same kind where the word has one.
    fn instead(&self, id: i64, stream: &mut Stream) -> i64 {
        match stream.random_range(0..10) {
            0 => id,
            1 => match self.alike.get(&id) {
                Some(group) => *pick(group, stream),
                None => stream.random_range(self.first..self.mask),
            },
            _ => self.mask,
        }
    }

    /// A batch of which about `share` of the documents are to be compared.
    fn batch(&self, share: f64, stream: &mut Stream) -> Batch {
        let (mut compared_rows, mut is_apart) = (Vec::new(), Vec::new());
        let mut draw = |row: usize| {
            if !stream.random_bool(share) {
                return encode(&self.tokenizer, document(stream));
            }
            let (document, is_one) = compared(stream);
            compared_rows.push(row as i64);
            is_apart.push(i64::from(!is_one));
            encode(&self.tokenizer, document)
        };
        let rows: Vec<Vec<i64>> = (0..BATCH).map(&mut draw).collect();
        let length = rows.iter().map(Vec::len).max().unwrap_or(0);
        let (mut ids, mut places, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        for (index, mut row) in rows.into_iter().enumerate() {
            let is_whole = compared_rows.contains(&(index as i64));
            for (place, id) in row.iter_mut().enumerate() {
                if !is_whole && self.is_chosen(*id, stream) {
                    places.push((ids.len() + place) as i64);
                    targets.push(*id);
                    *id = self.instead(*id, stream);
                }
            }
            row.resize(length, PAD);
            ids.extend(row);
        }
        let ids = Tensor::from_slice(&ids).view([BATCH as i64, length as i64]);
        Batch {
            mask: ids.ne(PAD).to_kind(Kind::Int64),
            ids,
            places: Tensor::from_slice(&places),
            targets: Tensor::from_slice(&targets),
            compared: Tensor::from_slice(&compared_rows),
            is_apart: Tensor::from_slice(&is_apart),
        }
    }
}

fn read_tokenizer(path: &Path) -> Result<Tokenizer> {
    Tokenizer::from_file(path).map_err(|error| anyhow!("{}: {error}", path.display()))
}

/// Cross-entropy summed over rows, of which there may be none.
fn error_sum(logits: &Tensor, targets: &Tensor) -> Tensor {
    -logits.log_softmax(-1, Kind::Float).gather(1, &targets.unsqueeze(1), false).sum(Kind::Float)
}

pub fn run(options: &Options) -> Result<()> {
    let folder = options.out.join("encoder");
    std::fs::create_dir_all(&folder)?;
    write_json(&folder.join("tokenizer.json"), &tokenizer_json())?;
    let tokenizer = read_tokenizer(&folder.join("tokenizer.json"))?;
    let config = config(tokenizer.get_vocab_size(true) as i64);
    let store = nn::VarStore::new(device());
    let model = MaskedLanguageModel::new(&store, &config)?;
    initialize(&store);
    let schedule = Schedule { steps: options.steps.unwrap_or(SCHEDULE.steps), ..SCHEDULE };
    let mut trainer = Trainer::new(&store, schedule, &options.work.join("encoder"))?;
    let seed = options.seed.wrapping_add(4);
    let words = Words::new(tokenizer);
    let batches = prefetch(trainer.step(), move |index| {
        let share = if index < schedule.steps / 2 { 0.0 } else { COMPARED };
        words.batch(share, &mut batch_stream(seed, index))
    });
    while !trainer.is_done() {
        let batch = batches.recv()?;
        let [restored, told] = model.forward(&batch);
        let loss = restored.cross_entropy_for_logits(&batch.targets.to_device(device()))
            + error_sum(&told, &batch.is_apart.to_device(device())) * (COMPARING / COMPARED / BATCH as f64);
        trainer.update(&loss, BATCH)?;
    }
    trainer.use_average();
    ship(&store, &config, "RobertaForMaskedLM", &folder, "model.safetensors")
}

/// How well words of held-out documents are restored.
pub struct Restored {
    /// Share of the words that are the likeliest.
    pub right: f64,
    pub perplexity: f64,
    /// The same for the frequencies of the words to be restored, known without the document.
    pub unigram_right: f64,
    pub unigram_perplexity: f64,
    /// Share of documents of which it is told whether their sentences belong together.
    pub told: f64,
}

/// Restores words of 64 batches of held-out documents with the network in the folder that is shipped.
pub fn evaluate(options: &Options) -> Result<Restored> {
    let folder = options.out.join("encoder");
    let tokenizer = read_tokenizer(&folder.join("tokenizer.json"))?;
    let config: EncoderConfig = models::read_config(&folder.join("config.json"))?;
    let store = nn::VarStore::new(device());
    let model = MaskedLanguageModel::new(&store, &config)?;
    let words = Words::new(tokenizer);
    models::load_weights(&store, &folder.join("model.safetensors"))?;
    let (mut told_right, mut compared) = (0.0, 0);
    let (mut log_likelihood, mut right, mut counts) = (0.0, 0.0, vec![0.0f64; config.vocab_size as usize]);
    for index in 0..64 {
        let batch = words.batch(COMPARED, &mut batch_stream(options.seed, HELD_OUT + index));
        let targets = batch.targets.to_device(device());
        let [restored, told] = gradient_mode::off(|| model.forward(&batch));
        let logs = restored.log_softmax(-1, Kind::Double); // [places, vocabulary]
        let is_apart = batch.is_apart.to_device(device());
        told_right += f64::try_from(told.argmax(-1, false).eq_tensor(&is_apart).sum(Kind::Double))?;
        compared += is_apart.numel();
        log_likelihood += f64::try_from(logs.gather(1, &targets.unsqueeze(1), false).sum(Kind::Double))?;
        right += f64::try_from(logs.argmax(-1, false).eq_tensor(&targets).sum(Kind::Double))?;
        for target in Vec::<i64>::try_from(batch.targets)? {
            counts[target as usize] += 1.0;
        }
    }
    let total: f64 = counts.iter().sum();
    let most = counts.iter().copied().fold(0.0, f64::max);
    let entropy: f64 =
        counts.iter().filter(|&&count| count > 0.0).map(|count| -count / total * (count / total).ln()).sum();
    Ok(Restored {
        right: right / total,
        perplexity: (-log_likelihood / total).exp(),
        unigram_right: most / total,
        unigram_perplexity: entropy.exp(),
        told: told_right / compared as f64,
    })
}
