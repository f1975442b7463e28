//! Questions about a situation, in several wordings each.

use rand::RngExt;

use super::sentences::{Article, agreeing, phrase};
use super::situation::{Feature, Situation};
use super::words::{PLACES, RELATIONS, VERBS};
use super::{Stream, pick, sentence};

/// Words of questions besides those of what they ask for.
pub const WORDS: [&str; 24] = [
    "what", "which", "color", "does", "do", "have", "has", "size", "pattern", "of", "where", "find", "how",
    "many", "number", "big", "place", "can", "we", "in", "?", "thing", "tell", "me",
];

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Color,
    Size,
    Pattern,
    Place,
    /// How many are at the place.
    Count,
    /// Whether the relation holds.
    Relation,
    /// What stands so to the other thing.
    Subject,
}

impl Asked {
    pub const ALL: [Asked; 7] = [
        Asked::Color,
        Asked::Size,
        Asked::Pattern,
        Asked::Place,
        Asked::Count,
        Asked::Relation,
        Asked::Subject,
    ];

    /// The feature that answers.
    pub fn feature(self) -> Option<Feature> {
        match self {
            Asked::Color => Some(Feature::Color),
            Asked::Size => Some(Feature::Size),
            Asked::Pattern => Some(Feature::Pattern),
            Asked::Count => Some(Feature::Count),
            Asked::Place | Asked::Relation | Asked::Subject => None,
        }
    }
}

/// Asks for `asked` of the subject, of which `said` is known; of what is related, the other's `said` is known.
pub fn question(situation: &Situation, asked: Asked, said: &[Feature], stream: &mut Stream) -> String {
    let (thing, place) = (&situation.subject, PLACES[situation.place]);
    let is = agreeing(VERBS[0], thing);
    let does = agreeing(["does", "do"], thing);
    let who = phrase(thing, said, Article::The, stream);
    let asking = |name: &'static str| match name {
        "size" => ["what size", "which size"],
        "pattern" => ["what pattern", "which pattern"],
        _ => ["what color", "which color"],
    };
    let form = stream.random_range(0..3);
    let mut words = match asked {
        Asked::Color | Asked::Size | Asked::Pattern => {
            let name = match asked {
                Asked::Color => "color",
                Asked::Size => "size",
                _ => "pattern",
            };
            let which = *pick(&asking(name), stream);
            match (form, asked) {
                (0, Asked::Size) => [vec!["how", "big", is], who].concat(),
                (0, Asked::Color) => [vec![which, is], who].concat(),
                (1, _) => return sentence(&[vec!["tell", "me", "the", name, "of"], who].concat()),
                _ => [vec![which, does], who, vec!["have"]].concat(),
            }
        }
        Asked::Place => match form {
            0 => [vec!["where", is], who].concat(),
            1 => [vec!["where", "can", "we", "find"], who].concat(),
            _ => [vec!["in", "which", "place", is], who].concat(),
        },
        Asked::Count => {
            // The number is not given away by the form of the noun.
            let many = thing.with(Feature::Count, 1);
            let who = phrase(&many, said, Article::The, stream);
            match form {
                0 => [vec!["how", "many"], who[1..].to_vec(), vec!["are", place]].concat(),
                1 => [vec!["what", "is", "the", "number", "of"], who[1..].to_vec(), vec![place]].concat(),
                _ => [vec!["how", "many"], who[1..].to_vec(), vec!["do", "we", "see", place]].concat(),
            }
        }
        Asked::Relation => return whether(situation, said, stream),
        Asked::Subject => {
            let other = phrase(&situation.other, said, Article::The, stream);
            let relation = *pick(&RELATIONS[situation.relation].wordings, stream);
            match form {
                0 => [vec!["what", "is", relation], other].concat(),
                1 => [vec!["which", "thing", "is", relation], other].concat(),
                _ => [vec!["what", "do", "we", "see", relation], other].concat(),
            }
        }
    };
    words.push("?");
    sentence(&words)
}

/// "is the cat left of the bowl?", from either side.
fn whether(situation: &Situation, said: &[Feature], stream: &mut Stream) -> String {
    let bare = [Feature::Noun];
    let (situation, said) =
        if stream.random() { (*situation, [said, &bare]) } else { (situation.turned(), [&bare[..], said]) };
    let subject = phrase(&situation.subject, said[0], Article::The, stream);
    let other = phrase(&situation.other, said[1], Article::The, stream);
    let relation = *pick(&RELATIONS[situation.relation].wordings, stream);
    let (is, does) = if situation.subject.is_many() { ("are", "do") } else { ("is", "does") };
    let words = if stream.random() {
        [vec![is], subject, vec![relation], other, vec!["?"]].concat()
    } else {
        [vec![does], subject, vec!["stand", relation], other, vec!["?"]].concat()
    };
    sentence(&words)
}
