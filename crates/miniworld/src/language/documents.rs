//! What the mini encoder is pretrained on: one or two sentences that belong together, or clearly do not.

use rand::RngExt;

use super::claims::{Bearing, Statement};
use super::questions::{Asked, question};
use super::sentences::{placed, related};
use super::situation::{Feature, Situation, Thing};
use super::{Stream, counting, mood, pick};

/// Words of documents besides those of their sentences.
pub const WORDS: [&str; 8] = ["so", "again", "elsewhere", "yes", "no", "do", "not", "know"];

/// A sentence, and mostly a second one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub first: String,
    pub second: Option<String>,
}

/// What can be said of a thing, the noun always.
fn some_features(stream: &mut Stream) -> Vec<Feature> {
    let mut said = vec![Feature::Noun];
    said.extend(Feature::ALL[1..].iter().filter(|_| stream.random_bool(0.5)));
    said
}

/// A document of the pretraining distribution.
pub fn document(stream: &mut Stream) -> Document {
    let (first, second) = match stream.random_range(0..24) {
        0..=4 => {
            let situation = Situation::draw(stream);
            let (first, second) = stated_twice([&situation; 2], stream);
            (first, Some(format!("again {second}")))
        }
        5 => {
            let situation = Situation::draw(stream);
            let (first, second) = stated_twice([&situation, &changed(&situation, stream)], stream);
            (first, Some(format!("elsewhere {second}")))
        }
        6..=8 => concluded(stream),
        9..=14 => questioned(stream),
        15..=16 => {
            let situation = Situation::draw(stream);
            let (first, second) = answered([&situation; 2], stream);
            (first, Some(second))
        }
        17..=18 => {
            let situation = Situation::draw(stream);
            let (first, second) = asked_twice([&situation; 2], stream);
            (first, Some(format!("again {second}")))
        }
        19..=20 => counted(stream),
        _ => felt(stream),
    };
    Document { first, second }
}

/// Two sentences of one situation, or of two that differ in much, and whether it is one.
pub fn compared(stream: &mut Stream) -> (Document, bool) {
    let is_one = stream.random();
    let situation = Situation::draw(stream);
    let other = match is_one {
        true => situation,
        false => changed(&situation, stream),
    };
    let (first, second) = match stream.random_range(0..4) {
        0..=1 => stated_twice([&situation, &other], stream),
        2 => asked_twice([&situation, &other], stream),
        _ => answered([&situation, &other], stream),
    };
    (Document { first, second: Some(second) }, is_one)
}

/// A statement of each situation, which says the same kinds of things.
fn stated_twice(situations: [&Situation; 2], stream: &mut Stream) -> (String, String) {
    let (said, other) = (some_features(stream), some_features(stream));
    let is_placed = stream.random();
    let [first, second] = situations.map(|situation| {
        if is_placed {
            placed(situation, &said, stream)
        } else {
            // Short, as both things have their words.
            related(situation, [&said[..said.len().min(3)], &other[..other.len().min(2)]], stream)
        }
    });
    (first, second)
}

/// The situation elsewhere, with one of its things, or both, something else, and other features changed too.
fn changed(situation: &Situation, stream: &mut Stream) -> Situation {
    let mut other = Situation::draw(stream);
    let mut mixed = |old: Thing, new: Thing| {
        let kept: Vec<Feature> = Feature::ALL.into_iter().filter(|_| stream.random_bool(0.4)).collect();
        kept.into_iter().fold(new, |thing, feature| thing.with(feature, old.get(feature)))
    };
    other.subject = mixed(situation.subject, other.subject);
    other.other = mixed(situation.other, other.other);
    if other.subject.get(Feature::Noun) == situation.subject.get(Feature::Noun)
        && other.other.get(Feature::Noun) == situation.other.get(Feature::Noun)
    {
        other.subject = other.subject.changed(Feature::Noun, stream);
    }
    other
}

/// A statement and a fact that follows from it, or the denial of what contradicts it.
fn concluded(stream: &mut Stream) -> (String, Option<String>) {
    let statement = Statement::draw(stream);
    let denied = stream.random_bool(0.4);
    let claim = statement.claim(Bearing::Follows, denied, stream).words(stream);
    (statement.words(stream), Some(format!("so {claim}")))
}

/// A statement or a fact of it, a question about it, and the answer.
fn questioned(stream: &mut Stream) -> (String, Option<String>) {
    let statement = Statement::draw(stream);
    let bearing = *pick(&[Bearing::Follows, Bearing::Contradicted, Bearing::Open], stream);
    let claim = statement.claim(bearing, false, stream);
    let is_short = bearing != Bearing::Open && stream.random();
    let first = if is_short { claim.truth(stream) } else { statement.words(stream) };
    (first, Some(claim.dialogue(stream)))
}

/// A question about the first situation, and a statement of the second as its answer.
fn answered([asking, telling]: [&Situation; 2], stream: &mut Stream) -> (String, String) {
    let asked = *pick(&Asked::ALL, stream);
    let bare = [Feature::Noun];
    let answer = match asked.feature() {
        Some(feature) => placed(telling, &[Feature::Noun, feature], stream),
        None if asked == Asked::Place => placed(telling, &bare, stream),
        None => related(telling, [&bare, &bare], stream),
    };
    (question(asking, asked, &bare, stream), answer)
}

/// The same question about each situation.
fn asked_twice(situations: [&Situation; 2], stream: &mut Stream) -> (String, String) {
    let asked = *pick(&Asked::ALL, stream);
    let mut said = vec![Feature::Noun];
    let adjectives = Feature::ADJECTIVES.into_iter().filter(|&adjective| asked.feature() != Some(adjective));
    said.extend(adjectives.filter(|_| stream.random_bool(0.4)));
    let [first, second] = situations.map(|situation| question(situation, asked, &said, stream));
    (first, second)
}

/// Two numbers and a comparison of them.
fn counted(stream: &mut Stream) -> (String, Option<String>) {
    let situation = counting::draw(stream);
    let comparison = counting::comparison(&situation, true, stream);
    (counting::tally(&situation, stream), Some(format!("so {comparison}")))
}

/// Two sentences of one mood, or one.
fn felt(stream: &mut Stream) -> (String, Option<String>) {
    let [first, second] = mood::moods(stream);
    (first, stream.random_bool(0.8).then_some(second))
}
