//! The mini world in words: situations drawn by seed, and the sentences, questions and documents that speak of them.
//!
//! Every word is of a closed vocabulary; one meaning has several wordings, so that comparing two sentences needs more
//! than comparing their words.

pub mod claims;
pub mod counting;
pub mod documents;
pub mod mood;
pub mod questions;
pub mod sentences;
pub mod situation;
pub mod words;

use std::collections::BTreeSet;

use rand::RngExt;

/// The random numbers that sentences are drawn with.
pub type Stream = rand_chacha::ChaCha8Rng;

/// One of `options`, all equally likely. Panics when there are none.
pub fn pick<'a, T>(options: &'a [T], stream: &mut Stream) -> &'a T {
    &options[stream.random_range(0..options.len())]
}

/// A number below `count` other than `value`.
pub fn another(value: usize, count: usize, stream: &mut Stream) -> usize {
    (value + stream.random_range(1..count)) % count
}

/// Words to a sentence; punctuation follows its word without a blank.
pub fn sentence(words: &[impl AsRef<str>]) -> String {
    let mut text = String::new();
    for word in words.iter().map(AsRef::as_ref).filter(|word| !word.is_empty()) {
        if !text.is_empty() && !matches!(word, "," | "?" | ".") {
            text.push(' ');
        }
        text += word;
    }
    text
}

/// Every word that a sentence or document can have and every word of captions, sorted.
pub fn vocabulary() -> Vec<String> {
    let own = words::all().into_iter().chain(sentences::WORDS.iter().copied());
    let own = own.chain(questions::WORDS.iter().copied()).chain(documents::WORDS.iter().copied());
    let own = own.chain(counting::WORDS.iter().copied());
    let own = own.chain(mood::words()).flat_map(str::split_whitespace).map(str::to_owned);
    own.chain(crate::vocabulary()).collect::<BTreeSet<_>>().into_iter().collect()
}
