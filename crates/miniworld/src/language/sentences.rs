//! Statements about a situation, in several wordings each.

use rand::RngExt;

use super::situation::{Feature, Situation, Thing};
use super::words::{COUNTS, KINDS, NOUNS, PLACES, RELATIONS, SIZES, VERBS};
use super::{Stream, pick, sentence};
use crate::instance::{COLORS, PATTERNS};

/// Words of statements besides those of what they speak of.
pub const WORDS: [&str; 12] =
    ["the", "a", "an", "some", "and", ",", "there", "we", "see", "not", "it", "they"];

/// How a phrase begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Article {
    The,
    /// "a", or a number, or "some".
    A,
}

/// The form of `[one, many]` that `thing` takes.
pub fn agreeing(forms: [&'static str; 2], thing: &Thing) -> &'static str {
    forms[usize::from(thing.is_many())]
}

/// The adjectives among `said`, in the usual order.
fn adjectives(thing: &Thing, said: &[Feature], stream: &mut Stream) -> Vec<&'static str> {
    let mut words = Vec::new();
    if said.contains(&Feature::Size) {
        words.push(*pick(&SIZES[thing.get(Feature::Size)], stream));
    }
    if said.contains(&Feature::Pattern) {
        words.push(PATTERNS[thing.get(Feature::Pattern)]);
    }
    if said.contains(&Feature::Color) {
        words.push(COLORS[thing.get(Feature::Color)].0);
    }
    words
}

/// "the two small red cats": `thing` with what is `said` of it. Without [`Feature::Noun`] its kind is named.
pub fn phrase(thing: &Thing, said: &[Feature], article: Article, stream: &mut Stream) -> Vec<&'static str> {
    let mut words = adjectives(thing, said, stream);
    words.push(if said.contains(&Feature::Noun) {
        let noun = &NOUNS[thing.get(Feature::Noun)];
        agreeing([noun.one, noun.many], thing)
    } else {
        agreeing(KINDS[thing.kind()], thing)
    });
    let count = said.contains(&Feature::Count).then_some(COUNTS[thing.get(Feature::Count)]);
    match (article, thing.is_many()) {
        (Article::The, many) => {
            if many {
                words.splice(0..0, count);
            }
            words.insert(0, "the");
        }
        (Article::A, true) => words.insert(0, count.unwrap_or("some")),
        (Article::A, false) if count.is_some() && stream.random() => words.insert(0, "one"),
        (Article::A, false) => {
            let is_vowel = words[0].starts_with(['a', 'e', 'i', 'o', 'u']);
            words.insert(0, if is_vowel { "an" } else { "a" });
        }
    }
    words
}

/// "small, striped and red".
fn listed(adjectives: &[&'static str]) -> Vec<&'static str> {
    let mut words = Vec::new();
    for (index, adjective) in adjectives.iter().enumerate() {
        match adjectives.len() - index {
            _ if index == 0 => {}
            1 => words.push("and"),
            _ => words.push(","),
        }
        words.push(adjective);
    }
    words
}

fn either(stream: &mut Stream) -> Article {
    *pick(&[Article::The, Article::A], stream)
}

/// That the subject, with what is `said` of it, is where it is.
pub fn placed(situation: &Situation, said: &[Feature], stream: &mut Stream) -> String {
    let (thing, place) = (&situation.subject, PLACES[situation.place]);
    let verb = agreeing(*pick(&VERBS, stream), thing);
    let is = agreeing(VERBS[0], thing);
    let mentioned: Vec<Feature> =
        said.iter().copied().filter(|feature| Feature::ADJECTIVES.contains(feature)).collect();
    let words = match stream.random_range(0..6) {
        0 => [phrase(thing, said, either(stream), stream), vec![verb, place]].concat(),
        1 => [vec!["there", is], phrase(thing, said, Article::A, stream), vec![place]].concat(),
        2 => [vec![place, "there", is], phrase(thing, said, Article::A, stream)].concat(),
        3 => [vec!["we", "see"], phrase(thing, said, Article::A, stream), vec![place]].concat(),
        4 => [vec![place, verb], phrase(thing, said, either(stream), stream)].concat(),
        _ if mentioned.is_empty() => [phrase(thing, said, Article::The, stream), vec![verb, place]].concat(),
        _ => {
            let bare: Vec<Feature> =
                said.iter().copied().filter(|feature| !mentioned.contains(feature)).collect();
            let list = listed(&adjectives(thing, &mentioned, stream));
            [phrase(thing, &bare, Article::The, stream), vec![place, is], list].concat()
        }
    };
    sentence(&words)
}

/// How subject and other stand to each other, with what is said of each. Either may come first.
pub fn related(situation: &Situation, said: [&[Feature]; 2], stream: &mut Stream) -> String {
    let (situation, said) =
        if stream.random() { (*situation, said) } else { (situation.turned(), [said[1], said[0]]) };
    let relation = *pick(&RELATIONS[situation.relation].wordings, stream);
    let verb = agreeing(*pick(&VERBS, stream), &situation.subject);
    let article = either(stream);
    let subject = phrase(&situation.subject, said[0], article, stream);
    let other = phrase(&situation.other, said[1], article, stream);
    let words = match stream.random_range(0..4) {
        0 | 1 => [subject, vec![verb, relation], other].concat(),
        2 => [vec![relation], other, vec![verb], subject].concat(),
        _ => [vec!["we", "see"], subject, vec![relation], other].concat(),
    };
    sentence(&words)
}

/// What a claim says of the subject of a situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    Feature(Feature),
    Place,
    Relation,
}

/// A statement of one fact, in the parts that a question puts in another order.
struct Parts {
    subject: Vec<&'static str>,
    verb: &'static str,
    rest: Vec<&'static str>,
}

/// One fact of the subject of `situation`, whose phrase has what is `said`.
fn parts(situation: &Situation, fact: Fact, said: &[Feature], stream: &mut Stream) -> Parts {
    let thing = &situation.subject;
    let subject = match fact {
        Fact::Feature(Feature::Count) => vec!["there"],
        _ => phrase(thing, said, Article::The, stream),
    };
    let rest = match fact {
        Fact::Feature(Feature::Count) => {
            phrase(thing, &[said, &[Feature::Count]].concat(), Article::A, stream)
        }
        Fact::Feature(Feature::Noun) => phrase(thing, &[Feature::Noun], Article::A, stream),
        Fact::Feature(feature) => adjectives(thing, &[feature], stream),
        Fact::Place => vec![PLACES[situation.place]],
        Fact::Relation => {
            let relation = *pick(&RELATIONS[situation.relation].wordings, stream);
            [vec![relation], phrase(&situation.other, &[Feature::Noun], Article::The, stream)].concat()
        }
    };
    Parts { subject, verb: agreeing(VERBS[0], thing), rest }
}

/// "the small cat is not on the beach", where small is `said`, the place is the fact, and it is denied.
pub fn claim(
    situation: &Situation,
    fact: Fact,
    said: &[Feature],
    denied: bool,
    stream: &mut Stream,
) -> String {
    let Parts { subject, verb, rest } = parts(situation, fact, said, stream);
    let not = if denied { "not" } else { "" };
    sentence(&[subject, vec![verb, not], rest].concat())
}

/// "is the small cat on the beach?"
pub fn asking(situation: &Situation, fact: Fact, said: &[Feature], stream: &mut Stream) -> String {
    let Parts { subject, verb, rest } = parts(situation, fact, said, stream);
    sentence(&[vec![verb], subject, rest, vec!["?"]].concat())
}

/// "it is on the beach", of something that was named before.
pub fn answering(situation: &Situation, fact: Fact, stream: &mut Stream) -> String {
    let Parts { subject, verb, rest } = parts(situation, fact, &[Feature::Noun], stream);
    let subject = if subject == ["there"] { "there" } else { agreeing(["it", "they"], &situation.subject) };
    sentence(&[vec![subject, verb], rest].concat())
}
