//! Training examples as token ids.

use std::ops::Range;

use crate::conversations::Conversation;
use crate::settings::LossOn;
use crate::tokens::TextTokenizer;

/// The tokens of a conversation as far as they fit, and which of them are to be predicted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    pub ids: Vec<i64>,
    /// Indices of tokens that are to be predicted, in order; the first token is in none.
    pub targets: Vec<Range<usize>>,
}

impl Example {
    /// The example of `conversation`, cut to `max_length` tokens: a long one loses its end token.
    ///
    /// Under [`LossOn::Response`] only what is wanted is to be predicted. The tokens in front of it are those that the text up
    /// to there has by itself, so a token that would span what is given and what is wanted counts as wanted.
    pub fn new(
        conversation: &Conversation,
        tokenizer: &TextTokenizer,
        max_length: usize,
        loss_on: LossOn,
    ) -> Example {
        let (begin, end): (&[i64], &[i64]) = match conversation.is_complete {
            true => (&[], &[]),
            false => (&tokenizer.begin, &tokenizer.ends[..1]),
        };
        let mut text = String::new();
        let mut wanted: Vec<Range<usize>> = Vec::new();
        for turn in &conversation.turns {
            text.push_str(&turn.given);
            let start = text.len();
            text.push_str(&turn.wanted);
            wanted.push(start..text.len());
        }
        let tokens = tokenizer.encode(&text);
        let num_tokens = begin.len() + tokens.len() + end.len();
        let place = |at: usize| {
            let alone = tokenizer.encode(&text[..at]);
            begin.len() + alone.iter().zip(&tokens).take_while(|(left, right)| left == right).count()
        };
        // An end token is wanted too.
        let behind = |at: usize| if at == text.len() { num_tokens } else { place(at) };
        let targets: Vec<Range<usize>> = match loss_on {
            LossOn::All => std::iter::once(0..num_tokens).collect(),
            LossOn::Response => wanted.iter().map(|own| place(own.start)..behind(own.end)).collect(),
        };
        let mut ids = [begin, &tokens, end].concat();
        ids.truncate(max_length);
        // Nothing tells the first token.
        let within = |own: Range<usize>| own.start.clamp(1, ids.len().max(1))..own.end.min(ids.len());
        Example { targets: targets.into_iter().map(within).filter(|own| !own.is_empty()).collect(), ids }
    }

    /// An example whose tokens are all to be predicted, but for the first.
    pub fn of_all(ids: Vec<i64>) -> Example {
        Example { targets: std::iter::once(1..ids.len()).collect(), ids }
    }

    /// Number of tokens to be predicted; 0 where what is given alone fills the length.
    pub fn num_targets(&self) -> usize {
        self.targets.iter().map(ExactSizeIterator::len).sum()
    }
}
