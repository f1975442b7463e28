//! What sentences speak of: two things, where they are, and how they stand to each other.

use rand::RngExt;

use super::words::{COUNTS, NOUNS, PLACES, RELATIONS, SIZES};
use super::{Stream, another};
use crate::instance::{COLORS, PATTERNS};

/// What can be said of a thing alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    Noun,
    Color,
    Size,
    Pattern,
    Count,
}

impl Feature {
    pub const ALL: [Feature; 5] =
        [Feature::Noun, Feature::Color, Feature::Size, Feature::Pattern, Feature::Count];
    pub const ADJECTIVES: [Feature; 3] = [Feature::Color, Feature::Size, Feature::Pattern];

    /// How many values the feature has.
    pub fn values(self) -> usize {
        match self {
            Feature::Noun => NOUNS.len(),
            Feature::Color => COLORS.len(),
            Feature::Size => SIZES.len(),
            Feature::Pattern => PATTERNS.len(),
            Feature::Count => COUNTS.len(),
        }
    }
}

/// One thing, or several that are alike: a value for each feature, in the order of [`Feature::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thing([usize; 5]);

impl Thing {
    fn draw(stream: &mut Stream) -> Thing {
        let mut thing = Thing(Feature::ALL.map(|feature| stream.random_range(0..feature.values())));
        if stream.random_bool(0.55) {
            thing.0[Feature::Count as usize] = 0;
        }
        thing
    }

    pub fn get(&self, feature: Feature) -> usize {
        self.0[feature as usize]
    }

    pub fn with(mut self, feature: Feature, value: usize) -> Thing {
        self.0[feature as usize] = value;
        self
    }

    /// The thing with another value of `feature`.
    pub fn changed(self, feature: Feature, stream: &mut Stream) -> Thing {
        self.with(feature, another(self.get(feature), feature.values(), stream))
    }

    pub fn is_many(&self) -> bool {
        self.get(Feature::Count) > 0
    }

    /// Index into [`super::words::KINDS`].
    pub fn kind(&self) -> usize {
        NOUNS[self.get(Feature::Noun)].kind
    }
}

/// See the module's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    pub subject: Thing,
    /// Its kind and its colour are not those of the subject.
    pub other: Thing,
    /// Where the subject is, seen from the other: an index into [`RELATIONS`].
    pub relation: usize,
    /// Where both are: an index into [`PLACES`].
    pub place: usize,
}

impl Situation {
    pub fn draw(stream: &mut Stream) -> Situation {
        let subject = Thing::draw(stream);
        let other = loop {
            let other = Thing::draw(stream);
            if other.kind() != subject.kind() && other.get(Feature::Color) != subject.get(Feature::Color) {
                break other;
            }
        };
        Situation {
            subject,
            other,
            relation: stream.random_range(0..RELATIONS.len()),
            place: stream.random_range(0..PLACES.len()),
        }
    }

    /// The same, seen from the other thing.
    pub fn turned(self) -> Situation {
        let relation = RELATIONS[self.relation].converse;
        Situation { subject: self.other, other: self.subject, relation, place: self.place }
    }

    /// The situation with the subject where the other thing was: the relation the wrong way round.
    pub fn reversed(self) -> Situation {
        Situation { relation: RELATIONS[self.relation].converse, ..self }
    }
}
