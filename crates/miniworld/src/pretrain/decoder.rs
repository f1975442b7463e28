//! The decoder: a small LLaMA, pretrained on text about the mini world's creatures, to predict the next token.
//!
//! Documents stand one after another, each between the tokens of begin and end, cut into windows of one length. The
//! tokenizer is trained here too, on a sample of the documents and on the instructions that the decoder is to be finetuned
//! with.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use models::Frozen;
use models::decoder::{Decoder, DecoderConfig, EndTokens, LLAMA2_7B};
use rand::SeedableRng;
use serde_json::json;
use tch::{Kind, Tensor, nn};
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::{AddedToken, Tokenizer};

use super::data::{batch_stream, prefetch};
use super::shipping::{Options, ship, write_json};
use super::trainer::{Replicas, Schedule, Trainer, device, named, replicas};
use crate::instruct::instructions;
use crate::knowledge::corpus::document;
use crate::knowledge::telling::{sentence, the};
use crate::knowledge::topics::{TOPICS, VALUES};
use crate::knowledge::{Base, Creature};
use crate::language::Stream;

const SCHEDULE: Schedule =
    Schedule { steps: 1800, learning_rate: 4e-3, warmup_steps: 150, weight_decay: 0.02, ema: 0.995 };
const BATCH: usize = 16;
/// Tokens of a window.
const WINDOW: usize = 160;
const VOCABULARY: usize = 1024;
/// Documents that the tokenizer is trained on, besides the instructions.
const SAMPLE: usize = 6000;
const SAMPLE_SEED: u64 = 0x70CE;
/// In the order of their ids.
const SPECIAL: [&str; 3] = ["<unk>", "<s>", "</s>"];
/// A user's words as instructions, and the assistant's as responses.
const CHAT_TEMPLATE: &str = include_str!("chat_template.jinja");
const BEGIN: i64 = 1;
const END: i64 = 2;
const DEVIATION: f64 = 0.05;
/// Windows from this stream on are in no training batch.
const HELD_OUT: u64 = 1 << 40;

fn config(vocab_size: i64) -> DecoderConfig {
    DecoderConfig {
        vocab_size,
        hidden_size: 96,
        intermediate_size: 256,
        num_hidden_layers: 5,
        num_attention_heads: 4,
        num_key_value_heads: Some(2),
        rms_norm_eps: 1e-5,
        rope_theta: Some(10000.0),
        max_position_embeddings: 512,
        tie_word_embeddings: true,
        bos_token_id: Some(BEGIN),
        eos_token_id: Some(EndTokens::One(END)),
        ..LLAMA2_7B
    }
}

/// Starts all weights from N(0, [`DEVIATION`]²), but for norms.
fn initialize(store: &nn::VarStore) {
    for (_, mut variable) in named(store) {
        if variable.dim() > 1 {
            gradient_mode::off(|| drop(variable.normal_(0.0, DEVIATION)));
        }
    }
}

fn tokenizers_error(error: tokenizers::Error) -> anyhow::Error {
    anyhow!("the tokenizer: {error}")
}

/// Byte-level BPE, the same at every call. It adds no tokens by itself, and any text comes back from its tokens.
fn train_tokenizer(base: &Base) -> Result<Tokenizer> {
    let mut stream = Stream::seed_from_u64(SAMPLE_SEED);
    let mut texts: Vec<String> = (0..SAMPLE).map(|_| document(base, &mut stream)).collect();
    texts.extend(instructions(base).iter().map(|row| row.text()));
    let special = SPECIAL.map(|token| AddedToken::from(token, true)).to_vec();
    let trainer = BpeTrainer::builder()
        .vocab_size(VOCABULARY)
        .show_progress(false)
        .special_tokens(special)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let mut trainer = TrainerWrapper::BpeTrainer(trainer);
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    tokenizer.train(&mut trainer, texts.iter()).map_err(tokenizers_error)?;
    Ok(tokenizer)
}

/// Writes `tokenizer.json`, and what transformers has to know of it.
fn ship_tokenizer(tokenizer: &Tokenizer, folder: &Path) -> Result<()> {
    tokenizer.save(folder.join("tokenizer.json"), false).map_err(tokenizers_error)?;
    let [unknown, begin, end] = SPECIAL;
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": begin,
        "eos_token": end,
        "unk_token": unknown,
        "add_bos_token": true,
        "clean_up_tokenization_spaces": false,
    });
    write_json(&folder.join("tokenizer_config.json"), &config)?;
    let path = folder.join("chat_template.jinja");
    std::fs::write(&path, CHAT_TEMPLATE).with_context(|| path.display().to_string())
}

/// Documents as tokens.
struct Reader {
    tokenizer: Tokenizer,
    base: Base,
}

impl Reader {
    /// `text` between the tokens of begin and end.
    fn encode(&self, text: &str) -> Vec<i64> {
        let encoding = self.tokenizer.encode_fast(text, false).expect("any text has tokens");
        let ids = encoding.get_ids().iter().map(|&id| i64::from(id));
        std::iter::once(BEGIN).chain(ids).chain([END]).collect()
    }

    /// Windows of documents, `[BATCH, WINDOW + 1]`.
    fn batch(&self, stream: &mut Stream) -> Tensor {
        let mut ids = Vec::with_capacity(BATCH * (WINDOW + 1));
        for row in 1..=BATCH {
            while ids.len() < row * (WINDOW + 1) {
                ids.extend(self.encode(&document(&self.base, stream)));
            }
            ids.truncate(row * (WINDOW + 1));
        }
        Tensor::from_slice(&ids).view([BATCH as i64, WINDOW as i64 + 1])
    }

    /// Which of the held-out creatures' facts are likelier than all that could be in their place: their share.
    fn known(&self, llama: &Decoder) -> Result<f64> {
        let mut right = 0.0;
        for creature in &self.base.held_out {
            for topic in 0..TOPICS.len() {
                let likeliest = likeliest(llama, &self.completions(creature, topic))?;
                right += f64::from(likeliest == creature.value(topic) as i64);
            }
        }
        Ok(right / (self.base.held_out.len() * TOPICS.len()) as f64)
    }

    /// A sentence for each value, as tokens.
    fn completions(&self, creature: &Creature, topic: usize) -> Vec<Vec<i64>> {
        let words = |value| TOPICS[topic].words(TOPICS[topic].statements[0], &the(creature), value);
        (0..VALUES).map(|value| self.encode(&sentence(&words(value)))).collect()
    }
}

/// Log-likelihoods `[N, T]` of all tokens of `ids` `[N, T + 1]` but the first.
fn log_likelihoods(llama: &Decoder, ids: &Tensor) -> Tensor {
    let length = ids.size()[1] - 1;
    let hidden = llama.forward(&ids.narrow(1, 0, length), Kind::Float, &Frozen);
    let logs = llama.logits(&hidden, &Frozen).log_softmax(-1, Kind::Float); // [N, T, vocabulary]
    logs.gather(2, &ids.narrow(1, 1, length).unsqueeze(2), false).squeeze_dim(2)
}

/// Index of the likeliest of `texts`.
fn likeliest(llama: &Decoder, texts: &[Vec<i64>]) -> Result<i64> {
    let length = texts.iter().map(Vec::len).max().unwrap_or(0);
    let padded: Vec<i64> = texts
        .iter()
        .flat_map(|text| text.iter().copied().chain(std::iter::repeat(-1)).take(length))
        .collect();
    let ids = Tensor::from_slice(&padded).view([texts.len() as i64, length as i64]).to_device(device());
    let is_token = ids.ge(0).to_kind(Kind::Float).narrow(1, 1, length as i64 - 1);
    let logs = gradient_mode::off(|| log_likelihoods(llama, &ids.clamp_min(0))) * is_token;
    Ok(i64::try_from(logs.sum_dim_intlist(1, false, Kind::Float).argmax(0, false))?)
}

pub fn run(options: &Options) -> Result<()> {
    let folder = options.out.join("decoder");
    std::fs::create_dir_all(&folder)?;
    let base = Base::new();
    let tokenizer = train_tokenizer(&base)?;
    ship_tokenizer(&tokenizer, &folder)?;
    let config = config(tokenizer.get_vocab_size(true) as i64);
    let store = nn::VarStore::new(device());
    Decoder::new(&store.root(), &config)?;
    initialize(&store);
    let build = |path: &nn::Path| Decoder::new(path, &config).expect("it was built before");
    let mut replicas = Replicas::new(&store, replicas(), build);
    let schedule = Schedule { steps: options.steps.unwrap_or(SCHEDULE.steps), ..SCHEDULE };
    let mut trainer = Trainer::new(&store, schedule, &options.work.join("decoder"))?;
    let seed = options.seed.wrapping_add(5);
    let reader = Reader { tokenizer, base };
    let batches = prefetch(trainer.step(), move |index| reader.batch(&mut batch_stream(seed, index)));
    while !trainer.is_done() {
        let parts = batches.recv()?.to_device(device()).chunk(replicas.len() as i64, 0);
        let loss = |llama: &Decoder, ids: Tensor| -log_likelihoods(llama, &ids).mean(Kind::Float);
        let (loss, gradients) = replicas.gradients(parts, loss);
        trainer.descend(&loss, &gradients, BATCH * WINDOW)?;
    }
    trainer.use_average();
    let mut config = serde_json::to_value(&config)?;
    config["architectures"] = json!(["LlamaForCausalLM"]);
    ship(&store, &config, "LlamaForCausalLM", &folder, "model.safetensors")?;
    terminal::print(evaluate(options)?.rows());
    Ok(())
}

/// How well held-out documents are predicted.
pub struct Predicted {
    pub perplexity: f64,
    /// By the tokens' frequencies.
    pub unigram_perplexity: f64,
    /// Share of the held-out creatures' facts that are likelier than the seven other values.
    pub known: f64,
}

impl Predicted {
    /// Rows of the report.
    pub fn rows(&self) -> String {
        let Predicted { perplexity, unigram_perplexity, known } = self;
        format!(
            "| Decoder: perplexity of tokens in held-out documents; by their frequencies | {perplexity:.2}; \
             {unigram_perplexity:.1} | |\n\
             | Decoder: facts of held-out creatures likelier than the seven others | {:.1} % | |\n",
            100.0 * known
        )
    }
}

/// Reads 32 batches of held-out documents with the network in the folder that is shipped.
pub fn evaluate(options: &Options) -> Result<Predicted> {
    let folder = options.out.join("decoder");
    let llama = models::decoder::load_decoder(&folder, Kind::Float, device())?.network;
    let tokenizer = Tokenizer::from_file(folder.join("tokenizer.json")).map_err(tokenizers_error)?;
    let reader = Reader { tokenizer, base: Base::new() };
    let (mut log_likelihood, mut counts) = (0.0, vec![0.0f64; llama.config().vocab_size as usize]);
    for index in 0..32 {
        let ids = reader.batch(&mut batch_stream(options.seed, HELD_OUT + index));
        let logs = gradient_mode::off(|| log_likelihoods(&llama, &ids.to_device(device())));
        log_likelihood += f64::try_from(logs.sum(Kind::Double))?;
        for id in Vec::<i64>::try_from(ids.narrow(1, 1, WINDOW as i64).flatten(0, 1))? {
            counts[id as usize] += 1.0;
        }
    }
    let total: f64 = counts.iter().sum();
    let shares = counts.iter().filter(|&&count| count > 0.0).map(|count| count / total);
    let entropy: f64 = shares.map(|share| -share * share.ln()).sum();
    Ok(Predicted {
        perplexity: (-log_likelihood / total).exp(),
        unigram_perplexity: entropy.exp(),
        known: reader.known(&llama)?,
    })
}
