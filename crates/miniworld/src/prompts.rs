//! DreamBooth's 25 prompts, and the words that captions are made of.

use std::collections::BTreeSet;

use crate::contexts::CONTEXTS;
use crate::instance::{Attribute, COLORS, PATTERNS};
use crate::objects::CLASSES;
use crate::phrases::PHRASES;

/// What a prompt asks for besides the class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    Context(usize),
    Outfit(usize),
    Color(usize),
    Attribute(Attribute),
}

/// The 25 requests for a class, in the order of the published list.
pub fn requests(live: bool) -> Vec<Request> {
    let color = |name| {
        Request::Color(COLORS.iter().position(|&(known, _)| known == name).expect("a colour of the palette"))
    };
    let mut requests: Vec<Request> = (0..10).map(Request::Context).collect();
    requests.extend(
        (0..10).map(|index| if live { Request::Outfit(index) } else { Request::Context(10 + index) }),
    );
    requests.extend([color("red"), color("purple")]);
    requests.extend([Attribute::Shiny, Attribute::Wet, Attribute::CubeShaped].map(Request::Attribute));
    requests
}

/// The 25 prompts for `class`, with the identifier `token` before it where it is not empty.
pub fn prompts(class: &str, token: &str, live: bool) -> Vec<String> {
    let subject = if token.is_empty() { class.to_owned() } else { format!("{token} {class}") };
    requests(live)
        .into_iter()
        .map(|request| match request {
            Request::Context(index) => format!("a {subject} {}", CONTEXTS[index]),
            Request::Outfit(index) => format!("a {subject} {}", PHRASES.live[index]),
            Request::Color(index) => format!("a {} {subject}", COLORS[index].0),
            Request::Attribute(attribute) => format!("a {} {subject}", attribute.words()),
        })
        .collect()
}

/// Rare words without a meaning of their own, to name a subject with.
pub const IDENTIFIERS: [&str; 5] = ["qwe", "sks", "zwx", "ukj", "phz"];

/// Every word that a caption of a scene or a prompt can have, sorted.
pub fn vocabulary() -> Vec<String> {
    let phrases = CONTEXTS.iter().chain(&PHRASES.live).chain(&CLASSES);
    let attributes = [Attribute::Shiny, Attribute::Wet, Attribute::CubeShaped].map(Attribute::words);
    let others = ["a photo of a", "a picture of a"];
    phrases
        .copied()
        .chain(attributes)
        .chain(COLORS.iter().map(|&(name, _)| name))
        .chain(PATTERNS)
        .chain(IDENTIFIERS)
        .chain(others)
        .flat_map(|phrase| phrase.split_whitespace().map(str::to_lowercase))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}
