//! The mini world in words: situations drawn by seed, and the sentences, questions and documents that speak of them.
//!
//! Every word is of a closed vocabulary; one meaning has several wordings, so that comparing two sentences needs more
//! than comparing their words.

pub mod claims;
pub mod counting;
pub mod documents;
mod drawing;
pub mod mood;
pub mod questions;
pub mod sentences;
pub mod situation;
pub mod words;

use std::collections::BTreeSet;

pub use drawing::{Stream, another, pick, sentence};

/// Every word that a sentence or document can have and every word of captions, sorted.
pub fn vocabulary() -> Vec<String> {
    let lists: [&[&str]; 4] = [&sentences::WORDS, &questions::WORDS, &documents::WORDS, &counting::WORDS];
    let phrases = words::all().into_iter().chain(lists.concat()).chain(mood::words());
    let words = phrases.flat_map(str::split_whitespace).map(str::to_owned);
    words.chain(crate::vocabulary()).collect::<BTreeSet<_>>().into_iter().collect()
}
