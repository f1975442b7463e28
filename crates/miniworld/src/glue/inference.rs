//! Whether one sentence follows from another, or answers a question: MNLI, RTE and QNLI.

use rand::RngExt;

use super::example::{Example, pair};
use crate::language::claims::{Bearing, Statement};
use crate::language::questions::{Asked, question};
use crate::language::sentences::{placed, related};
use crate::language::situation::{Feature, Situation};
use crate::language::words::PLACES;
use crate::language::{Stream, another, counting, pick};

/// Entailment (0), neutral (1), contradiction (2).
pub fn three_way(class: usize, stream: &mut Stream) -> Example {
    let bearing = [Bearing::Follows, Bearing::Open, Bearing::Contradicted][class];
    stated(bearing, class, stream)
}

/// Entailment (0) or not (1), a third of them from comparing numbers.
pub fn two_way(class: usize, stream: &mut Stream) -> Example {
    if stream.random_bool(1.0 / 3.0) {
        let situation = counting::draw(stream);
        let comparison = counting::comparison(&situation, class == 0, stream);
        return pair(counting::tally(&situation, stream), comparison, class);
    }
    let bearing = match class {
        0 => Bearing::Follows,
        _ => *pick(&[Bearing::Open, Bearing::Open, Bearing::Contradicted], stream),
    };
    stated(bearing, class, stream)
}

fn stated(bearing: Bearing, class: usize, stream: &mut Stream) -> Example {
    let statement = Statement::draw(stream);
    let denied = stream.random_bool(0.2);
    let claim = statement.claim(bearing, denied, stream).words(stream);
    pair(statement.words(stream), claim, class)
}

/// A question with a sentence that answers it (0) or only seems to (1).
pub fn answering(class: usize, stream: &mut Stream) -> Example {
    let asked = *pick(
        &[Asked::Color, Asked::Size, Asked::Pattern, Asked::Place, Asked::Count, Asked::Subject],
        stream,
    );
    let mut situation = Situation::draw(stream);
    if asked == Asked::Count && !situation.subject.is_many() {
        situation.subject = situation.subject.with(Feature::Count, 1);
    }
    let adjectives: Vec<Feature> =
        Feature::ADJECTIVES.into_iter().filter(|&adjective| asked.feature() != Some(adjective)).collect();
    let known = [Feature::Noun, *pick(&adjectives, stream)];
    let question = question(&situation, asked, &known, stream);
    let answers = class == 0;
    // A sentence that does not answer either speaks of something else or says something else.
    let is_of_other = !answers && stream.random();
    let said_instead = if answers || is_of_other { asked } else { instead(asked, &known, stream) };
    let told = if is_of_other { of_another(&situation, asked, &known, stream) } else { situation };
    pair(question, telling(&told, asked, said_instead, &known, stream), class)
}

/// What a sentence may tell in place of what is asked.
fn instead(asked: Asked, known: &[Feature], stream: &mut Stream) -> Asked {
    let others: Vec<Asked> = [Asked::Color, Asked::Size, Asked::Pattern, Asked::Subject]
        .into_iter()
        .filter(|&other| other != asked && other.feature().is_none_or(|feature| !known.contains(&feature)))
        .collect();
    // Where something is among things is told by what is there; where it is, is no answer to that.
    if asked == Asked::Subject { Asked::Place } else { *pick(&others, stream) }
}

/// The situation with something changed that the question names.
fn of_another(situation: &Situation, asked: Asked, known: &[Feature], stream: &mut Stream) -> Situation {
    let mut changed = *situation;
    match asked {
        Asked::Subject if stream.random() => changed = situation.reversed(),
        Asked::Subject => changed.other = situation.other.changed(*pick(known, stream), stream),
        Asked::Count if stream.random() => changed.place = another(situation.place, PLACES.len(), stream),
        _ => changed.subject = situation.subject.changed(*pick(known, stream), stream),
    }
    changed
}

/// A sentence that tells `told` of the subject, in words for a question for `asked`.
fn telling(
    situation: &Situation,
    asked: Asked,
    told: Asked,
    known: &[Feature],
    stream: &mut Stream,
) -> String {
    let mut said = known.to_vec();
    said.extend(told.feature());
    match told {
        Asked::Subject | Asked::Relation => {
            let said = if asked == Asked::Subject { [&known[..1], known] } else { [known, &known[..1]] };
            related(situation, said, stream)
        }
        Asked::Place | Asked::Count => placed(situation, &said, stream),
        // The other thing may have what is asked for, and must not be taken for the one that is asked of.
        _ if asked != Asked::Place && stream.random() => {
            let other: Vec<Feature> = std::iter::once(Feature::Noun).chain(asked.feature()).collect();
            let other: Vec<Feature> = other.into_iter().filter(|&said| said != Feature::Count).collect();
            related(situation, [&said, &other], stream)
        }
        _ if asked == Asked::Place => related(situation, [&said, &known[..1]], stream),
        _ => placed(situation, &said, stream),
    }
}
