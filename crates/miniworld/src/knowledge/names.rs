//! Names that nobody has used: two syllables that can be pronounced.

use std::collections::BTreeSet;

use super::topics::TOPICS;
use crate::language::{Stream, pick, vocabulary};

const CONSONANTS: [&str; 14] = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "t", "v", "w", "z"];
/// Without the "e" that many English words of this form end with.
const VOWELS: [&str; 4] = ["a", "i", "o", "u"];

/// `count` different names, none of them a word of the mini world.
pub fn draw(count: usize, stream: &mut Stream) -> Vec<String> {
    let mut taken: BTreeSet<String> = vocabulary().into_iter().collect();
    let values = TOPICS.iter().flat_map(|topic| topic.values).flat_map(str::split_whitespace);
    taken.extend(values.map(str::to_owned));
    let mut names = Vec::with_capacity(count);
    while names.len() < count {
        let mut syllable = || format!("{}{}", pick(&CONSONANTS, stream), pick(&VOWELS, stream));
        let name = syllable() + &syllable();
        if taken.insert(name.clone()) {
            names.push(name);
        }
    }
    names
}
