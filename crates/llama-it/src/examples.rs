//! Training examples as token ids.

use crate::alpaca::Instruction;
use crate::settings::LossOn;
use crate::tokens::TextTokenizer;

/// A begin token, prompt and response, and an end token, as far as they fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    pub ids: Vec<i64>,
    /// Index of the first token that is to be predicted.
    pub first_target: usize,
}

impl Example {
    /// The example of `instruction`, cut to `max_length` tokens: a long one loses its end token.
    ///
    /// Under [`LossOn::Response`] the prompt is known and only what follows is to be predicted. Its tokens are those
    /// that the prompt has by itself, so a token that would span prompt and response counts as response.
    pub fn new(
        instruction: &Instruction,
        tokenizer: &TextTokenizer,
        max_length: usize,
        loss_on: LossOn,
    ) -> Example {
        let prompt = instruction.prompt();
        let text = tokenizer.encode(&format!("{prompt}{}", instruction.output));
        let first_target = match loss_on {
            LossOn::All => 1,
            LossOn::Response => {
                let alone = tokenizer.encode(&prompt);
                1 + alone.iter().zip(&text).take_while(|(left, right)| left == right).count()
            }
        };
        let mut ids = vec![tokenizer.begin];
        ids.extend(text);
        ids.push(tokenizer.end);
        ids.truncate(max_length);
        Example { first_target: first_target.min(ids.len()), ids }
    }

    /// Number of tokens to be predicted; 0 where the prompt alone fills the length.
    pub fn num_targets(&self) -> usize {
        self.ids.len() - self.first_target
    }
}
