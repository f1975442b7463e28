//! Captions to token ids.

use std::path::Path;

use tch::Tensor;
use tokenizers::Tokenizer;

/// What can be wrong with a tokenizer.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct TextError {
    path: String,
    source: tokenizers::Error,
}

/// A tokenizer with its padding to a fixed length, as Stable Diffusion feeds its text encoder.
#[derive(Debug)]
pub struct CaptionTokenizer {
    tokenizer: Tokenizer,
    length: usize,
    pad: i64,
}

impl CaptionTokenizer {
    /// Reads `tokenizer.json`. Captions are cut and padded to `length` tokens with `pad`, which for CLIP is the
    /// end token.
    pub fn from_file(path: &Path, length: usize, pad: i64) -> Result<CaptionTokenizer, TextError> {
        let tokenizer = Tokenizer::from_file(path)
            .map_err(|source| TextError { path: path.display().to_string(), source })?;
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
