//! Pairs that mean the same or not: MRPC's paraphrases, QQP's questions, STS-B's degrees of similarity.

use rand::RngExt;
use rand_distr::{Distribution, Normal};

use super::example::{Example, Label, pair};
use crate::language::questions::{Asked, question};
use crate::language::sentences::{placed, related};
use crate::language::situation::{Feature, Situation, Thing};
use crate::language::words::PLACES;
use crate::language::{Stream, another, pick};

/// The noun and one or two adjectives.
fn said(stream: &mut Stream) -> Vec<Feature> {
    let skipped = stream.random_range(0..3);
    let count = stream.random_range(1..3);
    let adjectives = (0..count).map(|index| Feature::ADJECTIVES[(skipped + index) % 3]);
    std::iter::once(Feature::Noun).chain(adjectives).collect()
}

/// Two statements of one situation (1), or of two that differ in one to three things said (0).
pub fn paraphrase(class: usize, stream: &mut Stream) -> Example {
    let situation = Situation::draw(stream);
    let (first, second) = (said(stream), said(stream)[..2].to_vec());
    if stream.random_bool(0.4) {
        let mut first = first;
        first.push(Feature::Count);
        let changed = differing(class, &situation, stream, |old, stream| elsewhere(old, &first, stream));
        return pair(placed(&situation, &first, stream), placed(&changed, &first, stream), class);
    }
    let said = [&first[..], &second[..]];
    let changed = differing(class, &situation, stream, |old, stream| rearranged(old, said, stream));
    pair(related(&situation, said, stream), related(&changed, said, stream), class)
}

/// The situation as it is (1), or after one to three changes (0).
fn differing(
    class: usize,
    situation: &Situation,
    stream: &mut Stream,
    change: impl Fn(&Situation, &mut Stream) -> Situation,
) -> Situation {
    let changes = if class == 1 { 0 } else { stream.random_range(1..4) };
    let mut changed = *situation;
    for _ in 0..changes {
        changed = change(&changed, stream);
    }
    // Changes may have undone each other.
    if class == 0 && changed == *situation { change(situation, stream) } else { changed }
}

/// The situation in another place, or with another value of something that is said of its subject.
fn elsewhere(situation: &Situation, said: &[Feature], stream: &mut Stream) -> Situation {
    let mut changed = *situation;
    let feature = *pick(said, stream);
    // The number of a single thing is not always told.
    let is_silent = feature == Feature::Count && !situation.subject.is_many();
    if is_silent || stream.random_bool(0.25) {
        changed.place = another(situation.place, PLACES.len(), stream);
    } else {
        changed.subject = situation.subject.changed(feature, stream);
    }
    changed
}

/// The situation with one thing changed: the relation, a feature, or what the two things have been swapped.
fn rearranged(situation: &Situation, said: [&[Feature]; 2], stream: &mut Stream) -> Situation {
    let Situation { subject, other, .. } = *situation;
    match stream.random_range(0..4) {
        0 => situation.reversed(),
        1 if said.iter().all(|said| said.contains(&Feature::Color)) => {
            let colors = [subject, other].map(|thing| thing.get(Feature::Color));
            let subject = subject.with(Feature::Color, colors[1]);
            Situation { subject, other: other.with(Feature::Color, colors[0]), ..*situation }
        }
        1 | 2 => Situation { subject: subject.changed(*pick(said[0], stream), stream), ..*situation },
        _ => Situation { other: other.changed(*pick(said[1], stream), stream), ..*situation },
    }
}

/// Two questions for the same (1), or for something else (0).
pub fn same_question(class: usize, stream: &mut Stream) -> Example {
    let situation = Situation::draw(stream);
    let asked = *pick(&Asked::ALL, stream);
    let mut said = vec![Feature::Noun];
    let adjectives: Vec<Feature> =
        Feature::ADJECTIVES.into_iter().filter(|&adjective| asked.feature() != Some(adjective)).collect();
    said.push(*pick(&adjectives, stream));
    let first = question(&situation, asked, &said, stream);
    if class == 1 {
        return pair(first, question(&situation, asked, &said, stream), class);
    }
    let mut changed = situation;
    match asked {
        Asked::Relation | Asked::Subject if stream.random() => changed = situation.reversed(),
        Asked::Subject => changed.other = situation.other.changed(*pick(&said, stream), stream),
        Asked::Count if stream.random() => {
            changed.place = another(situation.place, PLACES.len(), stream);
        }
        Asked::Color | Asked::Size | Asked::Pattern | Asked::Place if stream.random_bool(0.3) => {
            // Something else is asked of the same thing.
            let others = [Asked::Color, Asked::Size, Asked::Pattern, Asked::Place];
            let others: Vec<Asked> = others
                .into_iter()
                .filter(|&other| other != asked && other.feature().is_none_or(|other| !said.contains(&other)))
                .collect();
            return pair(first, question(&situation, *pick(&others, stream), &said, stream), class);
        }
        _ => changed.subject = situation.subject.changed(*pick(&said, stream), stream),
    }
    pair(first, question(&changed, asked, &said, stream), class)
}

/// Two statements of which `level` of 5 points agree: the noun counts two, or one if it is of the same kind; colour,
/// size and place count one each. Judges disagree a little.
pub fn similarity(level: usize, stream: &mut Stream) -> Example {
    let said = [Feature::Noun, Feature::Color, Feature::Size];
    let noise = Normal::new(0.0, 0.3).expect("a positive deviation");
    loop {
        let first = Situation::draw(stream);
        let mut second = first;
        for feature in said {
            if stream.random() {
                second.subject = second.subject.changed(feature, stream);
            }
        }
        if stream.random() {
            second.place = another(first.place, PLACES.len(), stream);
        }
        if points(&first.subject, &second.subject) + usize::from(first.place == second.place) != level {
            continue;
        }
        let score = (level as f64 + noise.sample(stream)).clamp(0.0, 5.0);
        let texts = vec![placed(&first, &said, stream), placed(&second, &said, stream)];
        return Example { texts, label: Label::Score(((score * 10.0).round() / 10.0) as f32) };
    }
}

fn points(first: &Thing, second: &Thing) -> usize {
    let agree = |feature| usize::from(first.get(feature) == second.get(feature));
    agree(Feature::Noun)
        + usize::from(first.kind() == second.kind())
        + agree(Feature::Color)
        + agree(Feature::Size)
}
