//! CLIP's two towers and the tokenizer, contrastively on captioned scenes and photographs. The text tower is also
//! the diffusion model's text encoder.

use std::collections::BTreeSet;

use anyhow::Result;
use models::clip::{Clip, ClipConfig, ClipTextConfig, ClipVisionConfig};
use models::text::CaptionTokenizer;
use serde_json::json;
use tch::{Kind, Tensor, nn};

use super::data::{Batch, Source, prefetch};
use super::dino::degrade;
use super::shipping::{Options, ship, ship_preprocessor, write_json};
use super::trainer::{Schedule, Trainer, device};
use crate::photos::Photo;
use crate::{SIZE, vocabulary};

const SCHEDULE: Schedule =
    Schedule { steps: 700, learning_rate: 1.5e-3, warmup_steps: 60, weight_decay: 0.05, ema: 0.99 };
const BATCH: usize = 256;
/// Longest caption in tokens, begin and end included.
const CAPTION_TOKENS: i64 = 32;

fn config(vocabulary: i64) -> ClipConfig {
    ClipConfig {
        projection_dim: 128,
        text_config: ClipTextConfig {
            vocab_size: vocabulary,
            hidden_size: 128,
            intermediate_size: 512,
            num_hidden_layers: 3,
            num_attention_heads: 4,
            max_position_embeddings: CAPTION_TOKENS,
            hidden_act: models::Activation::QuickGelu,
            layer_norm_eps: 1e-5,
            eos_token_id: vocabulary - 1,
        },
        vision_config: ClipVisionConfig {
            hidden_size: 128,
            intermediate_size: 512,
            num_hidden_layers: 4,
            num_attention_heads: 4,
            image_size: SIZE as i64,
            patch_size: 8,
            hidden_act: models::Activation::QuickGelu,
            layer_norm_eps: 1e-5,
        },
    }
}

/// Words of DreamBooth's classes that the mini world has no objects of.
const MORE_WORDS: [&str; 3] = ["cartoon", "person", "object"];

/// Special tokens, those of CLIP but for the first.
const UNKNOWN: &str = "[UNK]";
const FIRST: &str = "<|startoftext|>";
const LAST: &str = "<|endoftext|>";

/// Every word a caption can have, as a `tokenizer.json` of whole words; the end token comes last.
fn tokenizer_json(photos: &[Photo]) -> serde_json::Value {
    let mut words: BTreeSet<String> = vocabulary().into_iter().collect();
    words.extend(MORE_WORDS.map(str::to_owned));
    for photo in photos {
        let caption = photo.caption();
        let parts = caption.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
        words.extend(parts.map(str::to_owned));
    }
    let special = [UNKNOWN, FIRST].map(str::to_owned);
    let all: Vec<String> = special.into_iter().chain(words).chain([LAST.to_owned()]).collect();
    let vocabulary: serde_json::Map<String, serde_json::Value> =
        all.iter().enumerate().map(|(id, word)| (word.clone(), id.into())).collect();
    let id = |word: &str| vocabulary[word].clone();
    let added = |word: &str| {
        json!({"id": id(word), "content": word, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    let token = |word: &str| json!({"id": word, "ids": [id(word)], "tokens": [word]});
    let special = |word: &str| json!({"SpecialToken": {"id": word, "type_id": 0}});
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [added(UNKNOWN), added(FIRST), added(LAST)],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special(FIRST), {"Sequence": {"id": "A", "type_id": 0}}, special(LAST)],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {
                FIRST: token(FIRST), LAST: token(LAST)
            }
        },
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": UNKNOWN}
    })
}

/// What transformers has to know of the tokenizer to take captions as we do.
pub(super) fn tokenizer_config() -> serde_json::Value {
    json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": CAPTION_TOKENS,
        "bos_token": FIRST,
        "eos_token": LAST,
        "pad_token": LAST,
        "unk_token": UNKNOWN,
    })
}

pub fn run(options: &Options) -> Result<()> {
    let photos = options.photos("train")?;
    let tokenizer_json = tokenizer_json(&photos);
    let vocabulary = tokenizer_json["model"]["vocab"].as_object().map_or(0, serde_json::Map::len) as i64;
    let folders = [options.out.join("clip"), options.diffusion().join("tokenizer")];
    for folder in &folders {
        std::fs::create_dir_all(folder)?;
        write_json(&folder.join("tokenizer.json"), &tokenizer_json)?;
        write_json(&folder.join("tokenizer_config.json"), &tokenizer_config())?;
    }
    let config = config(vocabulary);
    let tokenizer = CaptionTokenizer::from_file(
        &folders[0].join("tokenizer.json"),
        CAPTION_TOKENS as usize,
        config.text_config.eos_token_id,
    )?;
    let store = nn::VarStore::new(device());
    let clip = Clip::new(&store.root(), &config);
    let schedule = Schedule { steps: options.steps.unwrap_or(SCHEDULE.steps), ..SCHEDULE };
    let mut trainer = Trainer::new(&store, schedule, &options.work.join("clip"))?;
    let source = Source { photos, photo_share: 0.25, batch: BATCH, seed: options.seed.wrapping_add(2) };
    let batches = prefetch(trainer.step(), move |index| source.batch(index));
    while !trainer.is_done() {
        let loss = contrastive_loss(&clip, &tokenizer, &batches.recv()?, options.kind());
        trainer.update(&loss, BATCH)?;
    }
    trainer.use_average();
    ship(&store, &config, "CLIPModel", &options.out.join("clip"), "model.safetensors")?;
    ship_preprocessor(&options.out.join("clip"))?;
    ship_text_encoder(options, &store, &config.text_config)
}

/// Symmetric cross-entropy over cosines; equal captions in a batch are all right answers.
fn contrastive_loss(clip: &Clip, tokenizer: &CaptionTokenizer, batch: &Batch, kind: Kind) -> Tensor {
    let ids = tokenizer.encode_batch(&batch.captions).to_device(device());
    let pictures = degrade(&batch.pictures()).to_device(device()).to_kind(kind);
    let normalise = |feature: Tensor| {
        let feature = feature.to_kind(Kind::Float);
        &feature / feature.norm_scalaropt_dim(2.0, [-1i64].as_slice(), true)
    };
    let text = normalise(clip.text_features(&ids, kind));
    let vision = normalise(clip.vision.forward(&pictures));
    let logits = vision.matmul(&text.tr()) * clip.scale(); // [N, N]
    let same = ids.unsqueeze(0).eq_tensor(&ids.unsqueeze(1)).all_dim(-1, false).to_kind(Kind::Float);
    let targets = &same / same.sum_dim_intlist([-1i64].as_slice(), true, Kind::Float);
    let cross_entropy = |logits: &Tensor| {
        -(logits.log_softmax(-1, Kind::Float) * &targets).sum(Kind::Float) / batch.captions.len() as f64
    };
    (cross_entropy(&logits) + cross_entropy(&logits.tr())) * 0.5
}

/// The text tower alone, as Stable Diffusion's `text_encoder/`.
fn ship_text_encoder(options: &Options, trained: &nn::VarStore, config: &ClipTextConfig) -> Result<()> {
    let store = nn::VarStore::new(device());
    let _tower = models::clip::ClipText::new(&store.root(), config);
    let source = trained.variables();
    gradient_mode::off(|| {
        for (name, mut variable) in store.variables() {
            variable.copy_(&source[&name]);
        }
    });
    ship(&store, config, "CLIPTextModel", &options.diffusion().join("text_encoder"), "model.safetensors")
}
