//! Texts to token ids, by the tokenizer that stands in a checkpoint's folder.
//!
//! | files                      | tokenizer                                                                          |
//! |----------------------------|------------------------------------------------------------------------------------|
//! | `tokenizer.json`           | what it says, but for padding and truncation                                       |
//! | `vocab.json`, `merges.txt` | RoBERTa's: byte-level BPE, no space before the first word, `<s> A </s></s> B </s>` |
//! | `vocab.txt`                | BERT's: WordPiece, `[CLS] A [SEP] B [SEP]`; `tokenizer_config.json` says if cased  |
//!
//! The first that is there is taken. Ids are those of transformers' fast tokenizers, for a text that is too long too: a
//! single one keeps its beginning; of a pair, the longer text loses its end until the pair fits or both are as long,
//! and then both do. So a sentence of 10,000 tokens is cut like any other. Nothing is padded here.

use std::path::{Path, PathBuf};

use models::inputs;
use rayon::prelude::*;
use serde::Deserialize;
use tokenizers::models::bpe::BPE;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, Model, PostProcessor, Tokenizer, TruncationParams, truncate_encodings};

/// The tokens of a text or a pair, special tokens included; both lists are as long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    pub ids: Vec<i64>,
    /// Number of the segment that a token is of. A network that knows one segment has no use for them.
    pub types: Vec<i64>,
}

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error(
        "{folder}: no tokenizer here; it should have tokenizer.json, or vocab.json and merges.txt, or vocab.txt, as \
         the checkpoint's repository has them"
    )]
    Missing { folder: PathBuf },

    #[error("{path}: cannot be read as part of a tokenizer: {source}")]
    Read { path: PathBuf, source: tokenizers::Error },

    #[error(
        "{path}: has no token `{token}`, which {kind} tokenizers put around texts; is it of another model?"
    )]
    NoToken { path: PathBuf, token: &'static str, kind: &'static str },

    #[error(
        "{path}: puts no special token around texts; the head reads the first one, so `post_processor` must add it"
    )]
    NoSpecialTokens { path: PathBuf },

    #[error(
        "max_length {max_length} leaves no room for text; {path} puts {num_special} special tokens around a pair"
    )]
    TooShort { path: PathBuf, max_length: usize, num_special: usize },

    #[error(
        "{path} has {num_tokens} tokens, and the model's vocab_size is {vocab_size} ({config}); tokenizer and weights \
         are of different checkpoints"
    )]
    Vocabulary { path: PathBuf, num_tokens: usize, config: PathBuf, vocab_size: usize },
}

/// A tokenizer that cuts to a length and does not pad.
#[derive(Debug)]
pub struct TextTokenizer {
    tokenizer: Tokenizer,
    max_length: usize,
    path: PathBuf,
}

impl TextTokenizer {
    /// The tokenizer of the checkpoint in `folder`. Texts are cut to `max_length` tokens, special tokens counted.
    pub fn open(folder: &Path, max_length: usize) -> Result<TextTokenizer, TokenError> {
        let [json, vocab, merges, pieces] =
            ["tokenizer.json", "vocab.json", "merges.txt", "vocab.txt"].map(|name| folder.join(name));
        let (mut tokenizer, path) = if json.is_file() {
            (Tokenizer::from_file(&*inputs::lent(&json)).map_err(read(&json))?, json)
        } else if vocab.is_file() && merges.is_file() {
            (roberta(&vocab, &merges)?, vocab)
        } else if pieces.is_file() {
            (bert(&pieces)?, pieces)
        } else {
            return Err(TokenError::Missing { folder: folder.to_path_buf() });
        };
        let added = |is_pair| tokenizer.get_post_processor().map_or(0, |added| added.added_tokens(is_pair));
        if added(false) == 0 {
            return Err(TokenError::NoSpecialTokens { path });
        }
        let num_special = added(true);
        if max_length <= num_special {
            return Err(TokenError::TooShort { path, max_length, num_special });
        }
        tokenizer.with_padding(None);
        // Since version 0.23 a tokenizer that truncates stops early, and no longer knows which text of a pair is the
        // longer one. So it does not truncate here; `encode` does.
        tokenizer.with_truncation(None).map_err(read(&path))?;
        Ok(TextTokenizer { tokenizer, max_length, path })
    }

    /// Whether the model of the same folder has an embedding for every token.
    pub fn check(&self, vocab_size: usize) -> Result<(), TokenError> {
        let ids = self.tokenizer.get_vocab(true).into_values();
        let num_tokens = ids.max().map_or(0, |id| id as usize + 1);
        if num_tokens <= vocab_size {
            return Ok(());
        }
        let (path, config) = (self.path.clone(), self.path.with_file_name("config.json"));
        Err(TokenError::Vocabulary { path, num_tokens, config, vocab_size })
    }

    /// Tokens of one text, or of the two of a pair.
    ///
    /// Panics at another number of texts.
    pub fn encode(&self, texts: &[String]) -> Encoded {
        assert!(matches!(texts.len(), 1 | 2), "{} texts; a tokenizer takes one or two", texts.len());
        let mut encodings = texts.iter().zip(0..).map(|(text, segment)| {
            let mut encoding = self.tokenizer.encode_fast(text.as_str(), false).expect(ALWAYS);
            encoding.set_type_ids(vec![segment; encoding.len()]);
            encoding
        });
        let (first, second) = (encodings.next().expect(ALWAYS), encodings.next());
        let processor = self.tokenizer.get_post_processor().expect(ALWAYS);
        let max_length = self.max_length - processor.added_tokens(second.is_some());
        let longest_first = TruncationParams { max_length, ..Default::default() };
        let (first, second) = truncate_encodings(first, second, &longest_first).expect(ALWAYS);
        let encoding = processor.process(first, second, true).expect(ALWAYS);
        let widened = |numbers: &[u32]| numbers.iter().map(|&number| i64::from(number)).collect();
        Encoded { ids: widened(encoding.get_ids()), types: widened(encoding.get_type_ids()) }
    }

    /// [`encode`](Self::encode) of many, on all cores.
    pub fn encode_all<'a>(&self, texts: impl IntoIterator<Item = &'a [String]>) -> Vec<Encoded> {
        let texts: Vec<&[String]> = texts.into_iter().collect();
        texts.into_par_iter().map(|texts| self.encode(texts)).collect()
    }
}

const ALWAYS: &str = "any text has tokens: `open` has checked that special tokens are put around it and fit";

fn roberta(vocab: &Path, merges: &Path) -> Result<Tokenizer, TokenError> {
    const SPECIAL: [&str; 4] = ["<s>", "<pad>", "</s>", "<unk>"];
    let files = BPE::from_file(&inputs::lent(vocab), &inputs::lent(merges));
    let mut tokenizer = Tokenizer::new(files.build().map_err(read(vocab))?);
    let id = |token| special(&tokenizer, vocab, token, "RoBERTa's");
    let (first, last) = (id(SPECIAL[0])?, id(SPECIAL[2])?);
    let processing = RobertaProcessing::new(last, first).add_prefix_space(false);
    tokenizer.with_pre_tokenizer(Some(ByteLevel::default().add_prefix_space(false)));
    tokenizer.with_post_processor(Some(processing));
    let mask = AddedToken::from("<mask>", true).lstrip(true);
    let added = SPECIAL.iter().map(|token| AddedToken::from(*token, true)).chain([mask]);
    add(&mut tokenizer, added, vocab)?;
    Ok(tokenizer)
}

/// What `tokenizer_config.json` says about BERT's tokenizer; without the file, BERT's defaults.
#[derive(Deserialize)]
#[serde(default)]
struct BertSettings {
    do_lower_case: bool,
    /// Absent: as `do_lower_case`.
    strip_accents: Option<bool>,
    tokenize_chinese_chars: bool,
}

impl Default for BertSettings {
    fn default() -> BertSettings {
        BertSettings { do_lower_case: true, strip_accents: None, tokenize_chinese_chars: true }
    }
}

fn bert(pieces: &Path) -> Result<Tokenizer, TokenError> {
    const SPECIAL: [&str; 5] = ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"];
    let config = pieces.with_file_name("tokenizer_config.json");
    let settings: BertSettings = match inputs::read(&config) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| read(&config)(error.into()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => BertSettings::default(),
        Err(error) => return Err(read(&config)(error.into())),
    };
    let files = WordPiece::from_file(&inputs::lent(pieces));
    let mut tokenizer = Tokenizer::new(files.build().map_err(read(pieces))?);
    let id = |token| special(&tokenizer, pieces, token, "BERT's");
    id(SPECIAL[0])?;
    let processing = BertProcessing::new(id(SPECIAL[1])?, id(SPECIAL[3])?);
    let BertSettings { do_lower_case, strip_accents, tokenize_chinese_chars } = settings;
    let normalizer = BertNormalizer::new(true, tokenize_chinese_chars, strip_accents, do_lower_case);
    tokenizer.with_normalizer(Some(normalizer)).map_err(read(pieces))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_post_processor(Some(processing));
    add(&mut tokenizer, SPECIAL.iter().map(|token| AddedToken::from(*token, true)), pieces)?;
    Ok(tokenizer)
}

/// A token that the vocabulary in `path` must have, with its id.
fn special(
    tokenizer: &Tokenizer,
    path: &Path,
    token: &'static str,
    kind: &'static str,
) -> Result<(String, u32), TokenError> {
    let id = tokenizer.token_to_id(token);
    let id = id.ok_or_else(|| TokenError::NoToken { path: path.to_path_buf(), token, kind })?;
    Ok((token.to_owned(), id))
}

/// Makes tokens of the vocabulary special, so that they are recognized in a text, as transformers does. Those that it
/// lacks are left out: they would get ids for which the model has no embedding.
fn add(
    tokenizer: &mut Tokenizer,
    tokens: impl Iterator<Item = AddedToken>,
    path: &Path,
) -> Result<(), TokenError> {
    let known: Vec<AddedToken> =
        tokens.filter(|token| tokenizer.get_model().token_to_id(&token.content).is_some()).collect();
    tokenizer.add_special_tokens(known).map_err(read(path))?;
    Ok(())
}

fn read(path: &Path) -> impl Fn(tokenizers::Error) -> TokenError + use<> {
    let path = path.to_path_buf();
    move |source| TokenError::Read {
        path: path.clone(),
        source: models::text::tokenizer_error(&path, source),
    }
}
