//! Draws by seed, and words to a sentence.

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
