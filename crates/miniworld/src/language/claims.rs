//! A statement, and what follows from it, is left open by it, or contradicts it.

use rand::RngExt;

use super::sentences::{Fact, answering, asking, claim, placed, related};
use super::situation::{Feature, Situation};
use super::words::{KINDS, PLACES};
use super::{Stream, another, pick};

/// How a claim stands to a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearing {
    Follows,
    Open,
    Contradicted,
}

/// What is stated: either where the subject is, or how subject and other stand to each other.
#[derive(Debug, Clone)]
pub struct Statement {
    pub situation: Situation,
    /// What is said of the subject and of the other, the noun first.
    said: [Vec<Feature>; 2],
    tells_place: bool,
}

/// One fact that a statement may or may not support.
#[derive(Debug, Clone)]
pub struct Claim {
    /// What is claimed, the thing that it is about as the subject.
    claimed: Situation,
    /// What is true of it.
    truth: Situation,
    fact: Fact,
    said: Vec<Feature>,
    denied: bool,
    bearing: Bearing,
}

/// The noun and `count` of the adjectives.
fn noun_and(count: usize, stream: &mut Stream) -> Vec<Feature> {
    let skipped = stream.random_range(0..3);
    let turned = (0..count).map(|index| Feature::ADJECTIVES[(skipped + index) % 3]);
    std::iter::once(Feature::Noun).chain(turned).collect()
}

impl Statement {
    pub fn draw(stream: &mut Stream) -> Statement {
        let situation = Situation::draw(stream);
        let tells_place = stream.random_bool(0.4);
        let said = if tells_place {
            let mut said = noun_and(2, stream);
            said.push(Feature::Count);
            [said, Vec::new()]
        } else {
            let first = stream.random_range(1..3);
            [noun_and(first, stream), noun_and(1, stream)]
        };
        Statement { situation, said, tells_place }
    }

    pub fn words(&self, stream: &mut Stream) -> String {
        let [subject, other] = &self.said;
        if self.tells_place {
            placed(&self.situation, subject, stream)
        } else {
            related(&self.situation, [subject, other], stream)
        }
    }

    /// A fact about the subject, or the other where `of_other`, that is told or not.
    fn fact(&self, is_told: bool, of_other: bool, stream: &mut Stream) -> Fact {
        let said = &self.said[usize::from(of_other)];
        let mut facts: Vec<Fact> = Feature::ADJECTIVES
            .into_iter()
            .filter(|feature| said.contains(feature) == is_told)
            .map(Fact::Feature)
            .collect();
        if self.tells_place == is_told {
            facts.push(Fact::Place);
        } else {
            // The relation is what the many words of such a statement are for.
            facts.extend([Fact::Relation; 2]);
        }
        // Where there is a single thing, the article does not always tell the number.
        let thing = if of_other { self.situation.other } else { self.situation.subject };
        if is_told && said.contains(&Feature::Count) && thing.is_many() {
            facts.push(Fact::Feature(Feature::Count));
        }
        *pick(&facts, stream)
    }

    /// A claim of this `bearing`.
    pub fn claim(&self, bearing: Bearing, denied: bool, stream: &mut Stream) -> Claim {
        let of_other = !self.tells_place && stream.random_bool(0.4);
        let fact = self.fact(bearing != Bearing::Open, of_other, stream);
        let truth = if of_other { self.situation.turned() } else { self.situation };
        let is_altered = match bearing {
            Bearing::Follows => denied,
            Bearing::Contradicted => !denied,
            Bearing::Open => stream.random(),
        };
        let claimed = if is_altered { altered(&truth, fact, stream) } else { truth };
        let mut said = vec![Feature::Noun];
        let known = self.said[usize::from(of_other)].iter().copied();
        let known: Vec<Feature> = known
            .filter(|&known| Feature::ADJECTIVES.contains(&known) && fact != Fact::Feature(known))
            .collect();
        if !known.is_empty() && stream.random_bool(0.4) {
            said.push(*pick(&known, stream));
        }
        let has_kind = truth.subject.kind() + 1 < KINDS.len();
        if has_kind && fact != Fact::Feature(Feature::Count) && stream.random_bool(0.3) {
            said.remove(0);
        }
        Claim { claimed, truth, fact, said, denied, bearing }
    }
}

/// The situation with another value of `fact`; a colour is often the other thing's.
fn altered(situation: &Situation, fact: Fact, stream: &mut Stream) -> Situation {
    let mut altered = *situation;
    match fact {
        Fact::Feature(Feature::Color) if stream.random() => {
            let color = situation.other.get(Feature::Color);
            altered.subject = situation.subject.with(Feature::Color, color);
        }
        Fact::Feature(feature) => altered.subject = situation.subject.changed(feature, stream),
        Fact::Place => altered.place = another(situation.place, PLACES.len(), stream),
        Fact::Relation => altered = situation.reversed(),
    }
    altered
}

impl Claim {
    pub fn words(&self, stream: &mut Stream) -> String {
        claim(&self.claimed, self.fact, &self.said, self.denied, stream)
    }

    /// What is true of the thing that the claim is about.
    pub fn truth(&self, stream: &mut Stream) -> String {
        claim(&self.truth, self.fact, &self.said, false, stream)
    }

    /// The claim, which is not denied, as a question, and its answer, by a word alone or in full.
    pub fn dialogue(&self, stream: &mut Stream) -> String {
        let question = asking(&self.claimed, self.fact, &self.said, stream);
        let answer = match self.bearing {
            Bearing::Open => return format!("{question} we do not know"),
            _ => answering(&self.truth, self.fact, stream),
        };
        let word = if self.bearing == Bearing::Follows { "yes" } else { "no" };
        if stream.random() { format!("{question} {word}") } else { format!("{question} {word}, {answer}") }
    }
}
