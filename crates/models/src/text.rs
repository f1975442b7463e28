//! Captions to token ids.

use std::path::{Path, PathBuf};

use tch::Tensor;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use crate::inputs;

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
    /// Diffusion 1.5; captions as [`CaptionTokenizer::from_file`].
    pub fn open(folder: &Path, length: usize, pad: i64) -> Result<CaptionTokenizer, TextError> {
        let [json, vocab, merges] = NAMES.map(|name| folder.join(name));
        if json.is_file() || !(vocab.is_file() && merges.is_file()) {
            return CaptionTokenizer::from_file(&json, length, pad);
        }
        let tokenizer = clip(&vocab, &merges).map_err(|source| TextError::of(&vocab, source))?;
        Ok(CaptionTokenizer { tokenizer, length, pad })
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
pub fn tokenizer_files(folder: &Path) -> Vec<PathBuf> {
    let [json, vocab, merges] = NAMES.map(|name| folder.join(name));
    if json.is_file() || !vocab.is_file() { vec![json] } else { vec![vocab, merges] }
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

    #[test]
    #[ignore = "DELORA_HUB has to name the folder of `models` and `datasets`; `just test-hub` sets it"]
    fn clips_vocabulary_and_merges_of_the_hub_give_the_ids_of_its_tokenizer_json() {
        let hub =
            std::env::var("DELORA_HUB").expect("DELORA_HUB names the folder of `models` and `datasets`");
        let folder = Path::new(&hub).join("models/openai--clip-vit-large-patch14");
        let [_, vocab, merges] = NAMES.map(|name| folder.join(name));
        let whole = CaptionTokenizer::open(&folder, 77, 49407).unwrap();
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
        let error = CaptionTokenizer::open(folder.path(), 77, 0).unwrap_err().to_string();
        assert!(
            error.contains("vocab.json") && error.contains("<|startoftext|>")
                || error.contains("<|endoftext|>"),
            "{error}"
        );
        let error = CaptionTokenizer::open(&folder.path().join("none"), 77, 0).unwrap_err().to_string();
        assert!(error.contains("tokenizer.json"), "{error}");
    }
}
