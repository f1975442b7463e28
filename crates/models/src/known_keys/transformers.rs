//! Configs of transformers' networks.

use serde_json::{Map, Value};

use crate::clip::{ClipConfig, ClipTextConfig, ClipVisionConfig};
use crate::config::{Config, Others, bounded, check_keys, depth, matrix, multiple, positive_number, shown};
use crate::decoder::DecoderConfig;
use crate::roberta::EncoderConfig;
use crate::vit::VitConfig;

/// Keys that any of these files may have and that decide nothing here.
const EVERYWHERE: &[&str] = &[
    // Where a file comes from, which class reads it, and the kind of its weights, which are read as they are.
    "architectures dtype finetuning_task id2label label2id model_type name_or_path num_labels prefix \
    problem_type task_specific_params tokenizer_class torch_dtype transformers_version unsloth_fixed \
    unsloth_version",
    // Defaults of transformers' `generate`, which is not called here.
    "bad_words_ids begin_suppress_tokens decoder_start_token_id diversity_penalty do_sample early_stopping \
    encoder_no_repeat_ngram_size exponential_decay_length_penalty forced_bos_token_id forced_eos_token_id \
    length_penalty max_length min_length no_repeat_ngram_size num_beam_groups num_beams \
    num_return_sequences remove_invalid_values repetition_penalty suppress_tokens temperature top_k top_p \
    typical_p",
    // What transformers hands back, and how it saves memory: results stay the same.
    "chunk_size_feed_forward gradient_checkpointing output_attentions output_hidden_states output_past \
    output_scores pretraining_tp return_dict return_dict_in_generate tf_legacy_loss torchscript \
    use_bfloat16 use_cache",
    // How a network's first weights were drawn: they are read from a file.
    "initializer_factor initializer_range logit_scale_init_value",
];
/// Rates of dropout, which is off here: the networks that have these keys are frozen.
const DROPOUT: &[&str] = &["attention_dropout attention_probs_dropout_prob dropout hidden_dropout_prob"];
/// Tokens that the tokenizer's own files name.
const TOKENS: &[&str] = &["bos_token_id pad_token_id sep_token_id"];
const NULL: &[&str] = &["null"];
const OFF: &[&str] = &["false", "null"];
/// Forms of transformers' models that no network here has.
const SHARED: &[(&str, &[&str])] = &[
    ("add_cross_attention is_encoder_decoder tie_encoder_decoder", OFF),
    ("cross_attention_hidden_size", NULL),
    ("pruned_heads", &["{}", "null"]),
];

impl Config for ClipTextConfig {
    const OTHERS: Others = Others {
        ignored: &[
            EVERYWHERE,
            DROPOUT,
            TOKENS,
            // The projection is of the whole model's `projection_dim`; the tower by itself has none.
            &["projection_dim"],
            // It is a setting of heads, of which the tower has none.
            &["tie_word_embeddings"],
        ],
        only: &[SHARED, &[("is_decoder", OFF)]],
    };

    fn check(&self) -> Result<(), String> {
        let (heads, hidden) = (self.num_attention_heads, self.hidden_size);
        layers(hidden, heads, self.intermediate_size, self.num_hidden_layers, self.layer_norm_eps)?;
        tables(hidden, self.vocab_size, self.max_position_embeddings)?;
        token("eos_token_id", self.eos_token_id, self.vocab_size)
    }
}

impl Config for ClipVisionConfig {
    const OTHERS: Others = Others {
        ignored: &[
            EVERYWHERE,
            DROPOUT,
            TOKENS,
            &["eos_token_id"],
            // The projection is of the whole model's `projection_dim`.
            &["projection_dim"],
            &["tie_word_embeddings"],
        ],
        only: &[SHARED, &[("is_decoder", OFF), ("num_channels", &["3"])]],
    };

    fn check(&self) -> Result<(), String> {
        let (heads, hidden) = (self.num_attention_heads, self.hidden_size);
        layers(hidden, heads, self.intermediate_size, self.num_hidden_layers, self.layer_norm_eps)?;
        patches(self.image_size, self.patch_size, hidden)
    }
}

impl Config for ClipConfig {
    const OTHERS: Others = Others {
        ignored: &[
            EVERYWHERE,
            TOKENS,
            &["eos_token_id tie_word_embeddings"],
            // Compared with the configs of the towers.
            &["text_config_dict vision_config_dict"],
        ],
        only: ClipTextConfig::OTHERS.only,
    };

    fn check_file(file: &Map<String, Value>) -> Result<(), String> {
        tower::<ClipTextConfig>(file, "text_config", "text_config_dict")?;
        tower::<ClipVisionConfig>(file, "vision_config", "vision_config_dict")
    }

    fn check(&self) -> Result<(), String> {
        self.text_config.check().map_err(|problem| format!("text_config: {problem}"))?;
        self.vision_config.check().map_err(|problem| format!("vision_config: {problem}"))?;
        let projection = ("projection_dim", self.projection_dim);
        matrix(projection, ("text_config.hidden_size", self.text_config.hidden_size))?;
        matrix(projection, ("vision_config.hidden_size", self.vision_config.hidden_size))
    }
}

/// Keys of a tower's config, and of its older copy, which transformers prefers: both have to say the same.
fn tower<C: Config>(file: &Map<String, Value>, part: &str, copy: &str) -> Result<(), String> {
    let keys = |key| file.get(key).and_then(Value::as_object);
    let Some(newer) = keys(part) else { return Ok(()) };
    check_keys::<C>(newer).map_err(|problem| format!("{part}: {problem}"))?;
    let fields = C::fields();
    let mut older = keys(copy).into_iter().flatten().filter(|(key, _)| fields.contains(&key.as_str()));
    match older.find(|(key, value)| newer.get(*key).is_some_and(|ours| ours != *value)) {
        Some((key, value)) => {
            let (value, ours) = (shown(value), shown(&newer[key]));
            Err(format!("`{copy}.{key}` is {value} and `{part}.{key}` {ours}; one of the two is wrong"))
        }
        None => Ok(()),
    }
}

impl Config for VitConfig {
    const OTHERS: Others = Others {
        ignored: &[
            EVERYWHERE,
            DROPOUT,
            TOKENS,
            // They are settings of heads and of the pooler: only the class token is used.
            &["encoder_stride eos_token_id pooler_act pooler_output_size tie_word_embeddings"],
        ],
        only: &[SHARED, &[("is_decoder", OFF), ("num_channels", &["3"]), ("qkv_bias", &["true"])]],
    };

    fn check(&self) -> Result<(), String> {
        let (heads, hidden) = (self.num_attention_heads, self.hidden_size);
        layers(hidden, heads, self.intermediate_size, self.num_hidden_layers, self.layer_norm_eps)?;
        patches(self.image_size, self.patch_size, hidden)
    }
}

impl Config for EncoderConfig {
    const OTHERS: Others = Others {
        ignored: &[
            EVERYWHERE,
            TOKENS,
            &["eos_token_id"],
            // Compared with the dropout of hidden states, which the head takes.
            &["classifier_dropout"],
            // They are settings of an older pooler,
            &[
                "pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head pooler_type",
            ],
            // and of the language model's head, which is not read.
            &["tie_word_embeddings"],
        ],
        only: &[SHARED, &[("directionality", &["\"bidi\""]), ("is_decoder", OFF)]],
    };

    fn check_file(file: &Map<String, Value>) -> Result<(), String> {
        let (head, hidden) = (file.get("classifier_dropout"), file.get("hidden_dropout_prob"));
        match head.filter(|head| !head.is_null()) {
            Some(head) if Some(head) != hidden => Err(format!(
                "`classifier_dropout` is {}; supported is that of hidden states, or null: an experiment's `dropout.head` sets \
                 the head's",
                shown(head)
            )),
            _ => Ok(()),
        }
    }

    fn check(&self) -> Result<(), String> {
        let (heads, hidden) = (self.num_attention_heads, self.hidden_size);
        layers(hidden, heads, self.intermediate_size, self.num_hidden_layers, self.layer_norm_eps)?;
        tables(hidden, self.vocab_size, self.max_position_embeddings)?;
        matrix(("type_vocab_size", self.type_vocab_size), ("hidden_size", hidden))?;
        for (key, rate) in [
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            ("attention_probs_dropout_prob", self.attention_probs_dropout_prob),
        ] {
            if !(0.0..1.0).contains(&rate) {
                return Err(format!("`{key}` is {rate}; probabilities of dropout are from 0 to below 1"));
            }
        }
        self.checked().map_err(|error| error.to_string())
    }
}

impl Config for DecoderConfig {
    const OTHERS: Others = Others {
        ignored: &[
            EVERYWHERE,
            // Rows are padded with any token and masked.
            &["pad_token_id sep_token_id"],
            // A copy of `max_position_embeddings` in files of the first LLaMA.
            &["max_sequence_length"],
            // What a converter noted of the family or for other programs.
            &["is_llama_config transformers.js_config"],
        ],
        only: &[
            SHARED,
            &[
                ("rope_interleaved use_mrope", OFF),
                // The network is trained, without dropout.
                ("attention_dropout", &["0", "null"]),
                ("is_decoder", &["true", "false", "null"]),
            ],
        ],
    };

    fn check_file(file: &Map<String, Value>) -> Result<(), String> {
        DecoderConfig::check_family(file)
    }

    fn check(&self) -> Result<(), String> {
        self.checked().map_err(|error| error.to_string())
    }
}

/// Sizes of a stack of transformer layers.
fn layers(hidden: i64, heads: i64, inner: i64, layers: i64, eps: f64) -> Result<(), String> {
    multiple(("hidden_size", hidden), ("num_attention_heads", heads))?;
    matrix(("hidden_size", hidden), ("hidden_size", hidden))?;
    matrix(("hidden_size", hidden), ("intermediate_size", inner))?;
    depth("num_hidden_layers", layers)?;
    positive_number("layer_norm_eps", eps)
}

/// Sizes of the tables of tokens and positions.
fn tables(hidden: i64, tokens: i64, positions: i64) -> Result<(), String> {
    matrix(("vocab_size", tokens), ("hidden_size", hidden))?;
    matrix(("max_position_embeddings", positions), ("hidden_size", hidden))
}

fn patches(image_size: i64, patch_size: i64, hidden: i64) -> Result<(), String> {
    bounded([("image_size", image_size)])?;
    if !(1..=image_size).contains(&patch_size) {
        return Err(format!("`patch_size` {patch_size} does not fit into `image_size` {image_size}"));
    }
    let patches = (image_size / patch_size).pow(2);
    matrix(("image_size over patch_size, squared,", patches), ("hidden_size", hidden))?;
    matrix(("patch_size, squared,", patch_size.pow(2)), ("hidden_size", hidden))
}

/// Refuses an id that is no token.
fn token(key: &str, id: i64, vocab_size: i64) -> Result<(), String> {
    match (0..vocab_size).contains(&id) {
        true => Ok(()),
        false => Err(format!("`{key}` is {id}, which is no token of a vocabulary of {vocab_size}")),
    }
}
