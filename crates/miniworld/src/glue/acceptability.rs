//! CoLA's task: sentences as they should be (1), and with one error of agreement, article, order or number (0).

use rand::RngExt;

use super::example::{Example, single};
use crate::instance::COLORS;
use crate::language::sentences::{Article, agreeing, phrase, placed, related};
use crate::language::situation::{Feature, Situation};
use crate::language::words::{COUNTS, NOUNS, PLACES, RELATIONS, VERBS};
use crate::language::{Stream, counting, mood, pick, sentence};

pub fn judged(class: usize, stream: &mut Stream) -> Example {
    if class == 1 {
        return single(right(stream), class);
    }
    loop {
        let words: Vec<String> = right(stream).split(' ').map(str::to_owned).collect();
        let error = pick(&[agreement, agreement, number, article, order, doubled_verb], stream);
        if let Some(words) = error(words, stream) {
            return single(sentence(&words), class);
        }
    }
}

/// A sentence without an error.
fn right(stream: &mut Stream) -> String {
    let situation = Situation::draw(stream);
    let said = [Feature::Noun, Feature::Count, *pick(&Feature::ADJECTIVES, stream)];
    match stream.random_range(0..6) {
        0 => placed(&situation, &said, stream),
        1 => related(&situation, [&said, &said[..2]], stream),
        2 => counting::tally(&situation, stream),
        3 => mood::mood(stream.random(), stream),
        _ => attracted(&situation, &said, stream),
    }
}

/// "the cats behind the bowl are on the rug": the noun before the verb is not its subject.
fn attracted(situation: &Situation, said: &[Feature], stream: &mut Stream) -> String {
    let Situation { subject, other, relation, place } = situation;
    let mut words = phrase(subject, said, Article::The, stream);
    words.push(*pick(&RELATIONS[*relation].wordings, stream));
    words.extend(phrase(other, &said[..2], Article::The, stream));
    words.extend([agreeing(*pick(&VERBS, stream), subject), PLACES[*place]]);
    sentence(&words)
}

/// Places in `words` where `is_wanted` holds; one of them.
fn find(words: &[String], is_wanted: impl Fn(usize) -> bool, stream: &mut Stream) -> Option<usize> {
    let places: Vec<usize> = (0..words.len()).filter(|&index| is_wanted(index)).collect();
    (!places.is_empty()).then(|| *pick(&places, stream))
}

/// The other number of a verb or a noun.
fn flipped(word: &str) -> Option<&'static str> {
    let verbs = VERBS.iter().map(|&[one, many]| (one, many));
    let nouns = NOUNS.iter().map(|noun| (noun.one, noun.many));
    verbs.chain(nouns).find_map(|(one, many)| match word {
        _ if word == one => Some(many),
        _ if word == many => Some(one),
        _ => None,
    })
}

fn is_verb(word: &str) -> bool {
    VERBS.as_flattened().contains(&word)
}

fn is_noun(word: &str) -> bool {
    NOUNS.iter().any(|noun| word == noun.one || word == noun.many)
}

/// "the cats is".
fn agreement(mut words: Vec<String>, stream: &mut Stream) -> Option<Vec<String>> {
    let index = find(&words, |index| is_verb(&words[index]), stream)?;
    words[index] = flipped(&words[index])?.to_owned();
    Some(words)
}

/// "two cat", "a cats".
fn number(mut words: Vec<String>, stream: &mut Stream) -> Option<Vec<String>> {
    let is_counted = |index: usize| {
        // Up to two adjectives stand between.
        let before = words[index.saturating_sub(3)..index].iter().map(String::as_str);
        is_noun(&words[index])
            && before.rev().take_while(|word| !is_noun(word)).any(|word| COUNTS.contains(&word) || is_a(word))
    };
    let index = find(&words, is_counted, stream)?;
    words[index] = flipped(&words[index])?.to_owned();
    Some(words)
}

fn is_a(word: &str) -> bool {
    matches!(word, "a" | "an")
}

/// "an red cat", "the a cat", or no article at all.
fn article(mut words: Vec<String>, stream: &mut Stream) -> Option<Vec<String>> {
    let index = find(&words, |index| is_a(&words[index]), stream)?;
    match stream.random_range(0..3) {
        0 => words[index] = if words[index] == "a" { "an" } else { "a" }.to_owned(),
        1 => words.insert(index, "the".to_owned()),
        _ => drop(words.remove(index)),
    }
    Some(words)
}

/// "the cat red", "red the cat".
fn order(mut words: Vec<String>, stream: &mut Stream) -> Option<Vec<String>> {
    let is_color = |word: &str| COLORS.iter().any(|&(name, _)| name == word);
    let is_article = |word: &str| is_a(word) || word == "the";
    let is_swapped = |index: usize| {
        let (word, next) = (&words[index], words.get(index + 1).map_or("", String::as_str));
        is_noun(next) && (is_color(word) || is_article(word)) || is_article(word) && is_color(next)
    };
    let index = find(&words, is_swapped, stream)?;
    words.swap(index, index + 1);
    Some(words)
}

/// "the cat is stands on the rug".
fn doubled_verb(mut words: Vec<String>, stream: &mut Stream) -> Option<Vec<String>> {
    let index = find(&words, |index| is_verb(&words[index]), stream)?;
    let column = VERBS.iter().find_map(|forms| forms.iter().position(|form| words[index] == *form))?;
    let verb = pick(&VERBS, stream)[column];
    words.insert(index + 1, verb.to_owned());
    Some(words)
}
