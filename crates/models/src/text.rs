//! Captions to token ids.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tch::Tensor;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use crate::clip::ClipTextConfig;
use crate::inputs;
use crate::layers::Activation;

/// What can be wrong with a tokenizer.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct TextError {
    path: String,
    source: tokenizers::Error,
}

impl TextError {
    fn of(path: &Path, source: tokenizers::Error) -> TextError {
        TextError { path: path.display().to_string(), source: tokenizer_error(path, source) }
    }
}

/// `source`, or what the file at `path` is where it is no part of a tokenizer at all.
pub fn tokenizer_error(path: &Path, source: tokenizers::Error) -> tokenizers::Error {
    let what = inputs::read(path).ok().and_then(|bytes| stored::foreign(&bytes));
    what.map_or(source, |what| format!("is {what}").into())
}

/// A tokenizer with its padding to a fixed length, as Stable Diffusion feeds its text encoder.
#[derive(Debug)]
pub struct CaptionTokenizer {
    tokenizer: Tokenizer,
    length: usize,
    pad: i64,
}

impl CaptionTokenizer {
    /// Reads `tokenizer.json` of `folder`, or `vocab.json` and `merges.txt` where a checkpoint has only those, as Stable
    /// Diffusion 1.5, for the text tower of `config`. Captions are padded with the token that the tokenizer's files name, else with
    /// the one that ends them.
    pub fn open(folder: &Path, config: &ClipTextConfig) -> Result<CaptionTokenizer, TextError> {
        let length = config.max_position_embeddings as usize;
        let [json, vocab, merges] = NAMES.map(|name| folder.join(name));
        let (path, tokenizer) = if json.is_file() || !(vocab.is_file() && merges.is_file()) {
            let tokenizer = Tokenizer::from_file(&*inputs::lent(&json));
            (json, tokenizer)
        } else {
            let tokenizer = clip(&vocab, &merges);
            (vocab, tokenizer)
        };
        let tokenizer = tokenizer.map_err(|source| TextError::of(&path, source))?;
        let pad = match padding_file(folder, config) {
            None => None,
            Some(file) => padding(&file, &tokenizer).map_err(|source| TextError::of(&file, source))?,
        };
        Ok(CaptionTokenizer { tokenizer, length, pad: pad.unwrap_or_else(|| config.end_token()) })
    }

    /// Reads `tokenizer.json`. Captions are cut and padded to `length` tokens with `pad`, which for CLIP is the
    /// end token.
    pub fn from_file(path: &Path, length: usize, pad: i64) -> Result<CaptionTokenizer, TextError> {
        let tokenizer =
            Tokenizer::from_file(&*inputs::lent(path)).map_err(|source| TextError::of(path, source))?;
        Ok(CaptionTokenizer { tokenizer, length, pad })
    }

    /// Token ids of one caption, begin and end token included, `length` long. A caption that is too long keeps
    /// its end token.
    pub fn encode(&self, caption: &str) -> Vec<i64> {
        let encoding = self.tokenizer.encode(caption, true).expect("plain text always tokenizes");
        let mut ids: Vec<i64> = encoding.get_ids().iter().map(|&id| i64::from(id)).collect();
        if ids.len() > self.length {
            let end = ids[ids.len() - 1];
            ids.truncate(self.length);
            ids[self.length - 1] = end;
        }
        ids.resize(self.length, self.pad);
        ids
    }

    /// Token ids `[N, length]` of many captions.
    pub fn encode_batch<T: AsRef<str>>(&self, captions: &[T]) -> Tensor {
        let ids: Vec<i64> = captions.iter().flat_map(|caption| self.encode(caption.as_ref())).collect();
        Tensor::from_slice(&ids).view([captions.len() as i64, self.length as i64])
    }

    /// The words of `caption` that the vocabulary does not have.
    pub fn unknown_words(&self, caption: &str) -> Vec<String> {
        let known = |word: &str| self.tokenizer.token_to_id(&word.to_lowercase()).is_some();
        caption.split_whitespace().filter(|word| !known(word)).map(str::to_owned).collect()
    }
}

const NAMES: [&str; 3] = ["tokenizer.json", "vocab.json", "merges.txt"];

/// Files that [`CaptionTokenizer::open`] reads in `folder`.
pub fn tokenizer_files(folder: &Path, config: &ClipTextConfig) -> Vec<PathBuf> {
    let [json, vocab, merges] = NAMES.map(|name| folder.join(name));
    let files = if json.is_file() || !vocab.is_file() { vec![json] } else { vec![vocab, merges] };
    files.into_iter().chain(padding_file(folder, config)).collect()
}

/// Which file of `folder` names the token that pads. transformers lets the first one overrule the second. OpenAI's towers, those
/// with a GELU of their own, are padded with the end token where the first is not there; OpenCLIP's with `!`.
fn padding_file(folder: &Path, config: &ClipTextConfig) -> Option<PathBuf> {
    let [map, settings] = ["special_tokens_map.json", "tokenizer_config.json"].map(|name| folder.join(name));
    let is_openai = config.hidden_act == Activation::QuickGelu;
    map.is_file().then_some(map).or_else(|| (!is_openai && settings.is_file()).then_some(settings))
}

/// Id of the token that `file` names to pad with, if it names one.
fn padding(file: &Path, tokenizer: &Tokenizer) -> Result<Option<i64>, tokenizers::Error> {
    let names: Value = serde_json::from_slice(&inputs::read(file)?)?;
    let token = &names["pad_token"];
    let Some(token) = token.as_str().or_else(|| token["content"].as_str()) else { return Ok(None) };
    let id = tokenizer.token_to_id(token);
    let id = id.ok_or_else(|| format!("`pad_token` is `{token}`, which the tokenizer does not have"))?;
    Ok(Some(i64::from(id)))
}

/// CLIP's tokenizer from its own files: lower-cased byte-level BPE in which a word's end is part of its last token.
///
/// Reference: transformers' conversion of `CLIPTokenizer` to `CLIPTokenizerFast`.
fn clip(vocab: &Path, merges: &Path) -> Result<Tokenizer, tokenizers::Error> {
    const FIRST: &str = "<|startoftext|>";
    const LAST: &str = "<|endoftext|>";
    const WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
    let files = BPE::from_file(&inputs::lent(vocab), &inputs::lent(merges));
    let model = files.unk_token(LAST.to_owned()).end_of_word_suffix("</w>".to_owned()).build()?;
    let mut tokenizer = Tokenizer::new(model);
    let id = |token: &str| {
        let id = tokenizer.token_to_id(token);
        id.map(|id| (token.to_owned(), id)).ok_or_else(|| format!("has no token `{token}`: it is not CLIP's"))
    };
    let processing =
        RobertaProcessing::new(id(LAST)?, id(FIRST)?).trim_offsets(false).add_prefix_space(false);
    let spaces =
        Replace::new(tokenizers::normalizers::replace::ReplacePattern::Regex(r"\s+".to_owned()), " ")?;
    tokenizer.with_normalizer(Some(Normalizers::new(vec![NFC.into(), spaces.into(), Lowercase.into()])))?;
    let words = Split::new(SplitPattern::Regex(WORDS.to_owned()), SplitDelimiterBehavior::Removed, true)?;
    let bytes = ByteLevel::default().add_prefix_space(false);
    tokenizer.with_pre_tokenizer(Some(PreTokenizers::new(vec![words.into(), bytes.into()])));
    tokenizer.with_post_processor(Some(processing));
    tokenizer.add_special_tokens([FIRST, LAST].map(|token| AddedToken::from(token, true)))?;
    Ok(tokenizer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The config of a tower with this end token and OpenAI's activation or another.
    fn tower(length: i64, end: i64, activation: Activation) -> ClipTextConfig {
        ClipTextConfig {
            vocab_size: 49408,
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            max_position_embeddings: length,
            hidden_act: activation,
            layer_norm_eps: 1e-5,
            eos_token_id: end,
        }
    }

    #[test]
    fn captions_are_padded_with_the_token_that_the_files_name() {
        let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini/sd/tokenizer");
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        std::fs::copy(mini.join("tokenizer.json"), folder.path().join("tokenizer.json")).unwrap();
        let last = |activation| {
            let config = tower(32, 1, activation);
            let ids = CaptionTokenizer::open(folder.path(), &config).map(|opened| opened.encode("a cat"));
            ids.map(|ids| ids[31]).map_err(|error| error.to_string())
        };
        let cat = Tokenizer::from_file(mini.join("tokenizer.json")).unwrap().token_to_id("cat").unwrap();
        let both = [Activation::QuickGelu, Activation::Gelu];
        assert_eq!(both.map(last), [Ok(1), Ok(1)], "no file names one");
        write("tokenizer_config.json", r#"{"pad_token": "cat"}"#);
        assert_eq!(both.map(last), [Ok(1), Ok(i64::from(cat))]);
        write("special_tokens_map.json", r#"{"pad_token": {"content": "cat", "lstrip": false}}"#);
        assert_eq!(both.map(last), [Ok(i64::from(cat)), Ok(i64::from(cat))]);
        write("special_tokens_map.json", r#"{"pad_token": "zebra-like"}"#);
        let message = last(Activation::Gelu).unwrap_err();
        assert!(message.contains("special_tokens_map.json: `pad_token` is `zebra-like`"), "{message}");
    }

    #[test]
    #[ignore = "DELORA_HUB has to name the folder of `models` and `datasets`; `just test-hub` sets it"]
    fn clips_vocabulary_and_merges_of_the_hub_give_the_ids_of_its_tokenizer_json() {
        let hub =
            std::env::var("DELORA_HUB").expect("DELORA_HUB names the folder of `models` and `datasets`");
        let folder = Path::new(&hub).join("models/openai--clip-vit-large-patch14");
        let [_, vocab, merges] = NAMES.map(|name| folder.join(name));
        let whole = CaptionTokenizer::open(&folder, &tower(77, 2, Activation::QuickGelu)).unwrap();
        let own = CaptionTokenizer { tokenizer: clip(&vocab, &merges).unwrap(), length: 77, pad: 49407 };
        let long = "a photo of qwe backpack ".repeat(30);
        let captions = [
            "a photo of qwe backpack",
            "",
            "A  Cube-shaped dog's 3 hats!!",
            "naïve façade — 12,345 €",
            "  tabs\tand\nlines ",
            "<|endoftext|> in the text",
            "it's they'll I'm",
            "日本語 emoji 🎒",
            &long,
        ];
        for caption in captions {
            assert_eq!(own.encode(caption), whole.encode(caption), "{caption:?}");
        }
    }

    #[test]
    fn files_of_another_tokenizer_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("vocab.json"), r#"{"a": 0, "b": 1, "ab": 2}"#).unwrap();
        std::fs::write(folder.path().join("merges.txt"), "#version: 0.2\na b\n").unwrap();
        let error = CaptionTokenizer::open(folder.path(), &tower(77, 0, Activation::QuickGelu))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("vocab.json") && error.contains("<|startoftext|>")
                || error.contains("<|endoftext|>"),
            "{error}"
        );
        let error = CaptionTokenizer::open(&folder.path().join("none"), &tower(77, 0, Activation::QuickGelu))
            .unwrap_err()
            .to_string();
        assert!(error.contains("tokenizer.json"), "{error}");
    }
}
