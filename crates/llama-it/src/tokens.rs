//! Token ids of texts, and texts of token ids, by a checkpoint's `tokenizer.json`.

use std::path::{Path, PathBuf};

use models::decoder::{DecoderConfig, EndTokens};
use rayon::prelude::*;
use tokenizers::{Encoding, Tokenizer};

/// What can be wrong with a tokenizer.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error(
        "{folder}: there is no tokenizer.json; a checkpoint with `tokenizer.model` alone is converted by opening and saving it with transformers' AutoTokenizer",
        folder = folder.display()
    )]
    Missing { folder: PathBuf },
    #[error("{path}: not a tokenizer ({source}); fetch or copy it again", path = path.display())]
    Read { path: PathBuf, source: tokenizers::Error },
    #[error(
        "{path}: has no token {wanted}, which ends or begins a sequence; `bos_token_id` and `eos_token_id` of config.json should be ids of the tokenizer's",
        path = path.display()
    )]
    Special { path: PathBuf, wanted: String },
    #[error(
        "{path} has {num_tokens} tokens, and the model's vocab_size is {vocab_size} ({config}); tokenizer and weights are of different checkpoints",
        path = path.display(), config = config.display()
    )]
    Vocabulary { path: PathBuf, num_tokens: usize, config: PathBuf, vocab_size: i64 },
}

/// A decoder's tokenizer.
#[derive(Debug)]
pub struct TextTokenizer {
    tokenizer: Tokenizer,
    /// What stands in front of a text: what the file itself puts there, which may be nothing; the config's begin token where
    /// the file says nothing of it.
    pub begin: Vec<i64>,
    /// Tokens that end a text; the first is behind each example.
    pub ends: Vec<i64>,
}

impl TextTokenizer {
    /// The tokenizer of the checkpoint in `folder`, whose configuration is `config`.
    pub fn open(folder: &Path, config: &DecoderConfig) -> Result<TextTokenizer, TokenError> {
        let path = folder.join("tokenizer.json");
        if !path.is_file() {
            return Err(TokenError::Missing { folder: folder.to_owned() });
        }
        let read = |source| {
            let source = models::text::tokenizer_error(&path, source);
            TokenError::Read { path: path.clone(), source }
        };
        let mut tokenizer = Tokenizer::from_file(&*models::inputs::lent(&path)).map_err(read)?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(read)?;
        let highest = tokenizer.get_vocab(true).into_values().max();
        let num_tokens = highest.map_or(0, |id| id as usize + 1);
        if num_tokens as i64 > config.vocab_size {
            let (path, config_path) = (path.clone(), folder.join("config.json"));
            let vocab_size = config.vocab_size;
            return Err(TokenError::Vocabulary { path, num_tokens, config: config_path, vocab_size });
        }
        let special = |id: Option<i64>, name: &str| {
            let known =
                id.filter(|&id| u32::try_from(id).is_ok_and(|id| tokenizer.id_to_token(id).is_some()));
            let by_name = || tokenizer.token_to_id(name).map(i64::from);
            let wanted = || id.map_or_else(|| format!("`{name}`"), |id| format!("of the id {id}"));
            let found = if id.is_some() { known } else { by_name() };
            found.ok_or_else(|| TokenError::Special { path: path.clone(), wanted: wanted() })
        };
        let begin = match tokenizer.get_post_processor() {
            Some(_) => ids(&tokenizer.encode_fast("", true).map_err(read)?),
            None => vec![special(config.bos_token_id, "<s>")?],
        };
        let ends = match config.eos_token_id.as_ref().map(EndTokens::ids) {
            Some(ids) if !ids.is_empty() => {
                ids.iter().map(|&id| special(Some(id), "")).collect::<Result<_, _>>()?
            }
            _ => vec![special(None, "</s>")?],
        };
        Ok(TextTokenizer { tokenizer, begin, ends })
    }

    /// Tokens of `text`, without special ones.
    pub fn encode(&self, text: &str) -> Vec<i64> {
        ids(&self.tokenizer.encode_fast(text, false).expect("any text has tokens"))
    }

    /// [`encode`](Self::encode) of many, on all cores.
    pub fn encode_all<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Vec<Vec<i64>> {
        texts.par_iter().map(|text| self.encode(text.as_ref())).collect()
    }

    /// The text of `ids`, special tokens left out.
    pub fn decode(&self, ids: &[i64]) -> String {
        let ids: Vec<u32> = ids.iter().filter_map(|&id| u32::try_from(id).ok()).collect();
        self.tokenizer.decode(&ids, true).unwrap_or_default()
    }
}

fn ids(encoding: &Encoding) -> Vec<i64> {
    encoding.get_ids().iter().map(|&id| i64::from(id)).collect()
}
