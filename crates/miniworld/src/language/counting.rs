//! Statements of how many there are of two things, and comparisons of the two numbers.

use rand::RngExt;

use super::sentences::{Article, phrase};
use super::situation::{Feature, Situation};
use super::words::{COUNTS, NOUNS, PLACES};
use super::{Stream, pick, sentence};

/// Words of comparisons besides those of what they compare.
pub const WORDS: [&str; 10] = ["more", "fewer", "than", "at", "least", "most", "as", "are", "there", "many"];

/// A situation with two different numbers of things.
pub fn draw(stream: &mut Stream) -> Situation {
    loop {
        let situation = Situation::draw(stream);
        let [first, second] = [situation.subject, situation.other].map(|thing| thing.get(Feature::Count));
        if first != second && first + second > 1 {
            return situation;
        }
    }
}

/// "there are three red cats and two dogs on the beach".
pub fn tally(situation: &Situation, stream: &mut Stream) -> String {
    let situation = if stream.random() { *situation } else { situation.turned() };
    let mut said = vec![Feature::Noun, Feature::Count];
    let other = said.clone();
    said.push(*pick(&Feature::ADJECTIVES, stream));
    let mut things = phrase(&situation.subject, &said, Article::A, stream);
    things.push("and");
    things.extend(phrase(&situation.other, &other, Article::A, stream));
    let is = if situation.subject.is_many() { "are" } else { "is" };
    let place = PLACES[situation.place];
    sentence(&match stream.random_range(0..3) {
        0 => [vec!["there", is], things, vec![place]].concat(),
        1 => [vec!["we", "see"], things, vec![place]].concat(),
        _ => [vec![place, "there", is], things].concat(),
    })
}

/// A comparison of the two numbers, or of one with a number, that is true or not.
pub fn comparison(situation: &Situation, is_true: bool, stream: &mut Stream) -> String {
    let situation = if stream.random() { *situation } else { situation.turned() };
    let [first, second] = [situation.subject, situation.other].map(|thing| thing.get(Feature::Count));
    let [one, two] = [situation.subject, situation.other].map(|thing| NOUNS[thing.get(Feature::Noun)].many);
    if stream.random_bool(0.6) {
        let more = if (first > second) == is_true { "more" } else { "fewer" };
        return sentence(&["there", "are", more, one, "than", two]);
    }
    // Bounds from two on, so that the noun is a plural; one bound of each kind is always possible.
    let at_least = stream.random();
    let bounds: Vec<usize> = (1..COUNTS.len())
        .filter(|&bound| (at_least && first >= bound || !at_least && first <= bound) == is_true)
        .collect();
    if bounds.is_empty() {
        return comparison(&situation, is_true, stream);
    }
    let limit = if at_least { "least" } else { "most" };
    sentence(&["there", "are", "at", limit, COUNTS[*pick(&bounds, stream)], one])
}
