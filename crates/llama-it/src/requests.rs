//! Questions as token ids, prompts apart from what may follow them.
//!
//! As lm-evaluation-harness does it: prompt and prompt with choice are tokenized by themselves, and the tokens of the
//! second behind as many as the first has are the continuation. Blanks at a prompt's end go to the continuation. What is
//! too long loses its beginning.

use std::collections::HashMap;

use crate::tasks::Question;
use crate::tokens::TextTokenizer;

/// Tokens, and continuations of them to be scored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    pub context: Vec<i64>,
    pub continuations: Vec<Vec<i64>>,
}

/// Where each choice of each question is: index of the prompt and of the continuation.
pub type Places = Vec<Vec<(usize, usize)>>;

/// A choice that leaves no room for a prompt.
#[derive(Debug, thiserror::Error)]
#[error(
    "question {question}: a choice of {tokens} tokens; the model takes {max_length}, and some of the prompt has to be in front of it"
)]
pub struct TooLong {
    /// From 1.
    pub question: usize,
    pub tokens: usize,
    pub max_length: usize,
}

/// The prompts of `questions`, equal ones and equal continuations once.
pub fn prompts(
    questions: &[Question],
    tokenizer: &TextTokenizer,
    begin: bool,
    max_length: usize,
) -> Result<(Vec<Prompt>, Places), TooLong> {
    let texts: Vec<String> = questions.iter().flat_map(texts_of).collect();
    let mut encoded = tokenizer.encode_all(&texts).into_iter();
    let mut of_question = |question: &Question| -> Vec<Vec<i64>> {
        encoded.by_ref().take(1 + question.choices.len()).collect()
    };
    let (mut prompts, mut places): (Vec<Prompt>, Places) = (Vec::new(), Vec::new());
    let mut known: HashMap<Vec<i64>, usize> = HashMap::new();
    for (index, question) in questions.iter().enumerate() {
        let mut ids = of_question(question).into_iter();
        let mut context = ids.next().expect("each question has a prompt");
        let length = context.len();
        if begin {
            context.splice(..0, tokenizer.begin.iter().copied());
        }
        let mut own = Vec::with_capacity(question.choices.len());
        for whole in ids {
            let continuation = whole[length.min(whole.len())..].to_vec();
            // The last token is only predicted.
            let excess = (context.len() + continuation.len()).saturating_sub(max_length + 1);
            if excess >= context.len() {
                let tokens = continuation.len();
                return Err(TooLong { question: index + 1, tokens, max_length });
            }
            let context = &context[excess..];
            let prompt = *known.entry(context.to_vec()).or_insert_with(|| {
                prompts.push(Prompt { context: context.to_vec(), continuations: Vec::new() });
                prompts.len() - 1
            });
            let continuations = &mut prompts[prompt].continuations;
            let place = continuations.iter().position(|other| *other == continuation);
            own.push((prompt, place.unwrap_or(continuations.len())));
            if place.is_none() {
                continuations.push(continuation);
            }
        }
        places.push(own);
    }
    Ok((prompts, places))
}

/// The prompt, and the prompt with each choice; tokenized, they give context and continuations.
fn texts_of(question: &Question) -> Vec<String> {
    // Blanks at the end of the prompt are tokenized with the choice.
    let prompt = question.prompt.trim_end();
    let whole = question.choices.iter().map(|choice| format!("{} {choice}", question.prompt));
    [prompt.to_owned()].into_iter().chain(whole).collect()
}
