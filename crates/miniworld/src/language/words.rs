//! The words for what a situation is made of.

use crate::instance::{COLORS, PATTERNS};

/// What a thing is.
#[derive(Debug)]
pub struct Noun {
    pub one: &'static str,
    pub many: &'static str,
    pub kind: usize,
}

/// What several nouns have in common, for one and for many.
pub const KINDS: [[&str; 2]; 4] =
    [["animal", "animals"], ["shoe", "shoes"], ["container", "containers"], ["thing", "things"]];

const fn noun(one: &'static str, many: &'static str, kind: usize) -> Noun {
    Noun { one, many, kind }
}

/// The object classes with a singular and a plural of one word.
pub const NOUNS: [Noun; 12] = [
    noun("cat", "cats", 0),
    noun("dog", "dogs", 0),
    noun("sneaker", "sneakers", 1),
    noun("boot", "boots", 1),
    noun("bowl", "bowls", 2),
    noun("can", "cans", 2),
    noun("teapot", "teapots", 2),
    noun("vase", "vases", 2),
    noun("backpack", "backpacks", 3),
    noun("candle", "candles", 3),
    noun("clock", "clocks", 3),
    noun("toy", "toys", 3),
];

/// Small and large, each in three words.
pub const SIZES: [[&str; 3]; 2] = [["small", "little", "tiny"], ["large", "big", "huge"]];

pub const COUNTS: [&str; 4] = ["one", "two", "three", "four"];

/// The contexts of pictures, in at most three words.
pub const PLACES: [&str; 12] = [
    "in the jungle",
    "in the snow",
    "on the beach",
    "on the street",
    "on the rug",
    "on the grass",
    "on the road",
    "on the water",
    "on the table",
    "in the room",
    "in the forest",
    "in the city",
];

/// Where a thing is, seen from another.
#[derive(Debug)]
pub struct Relation {
    pub wordings: [&'static str; 2],
    /// The same, seen from the first.
    pub converse: usize,
}

const fn relation(wordings: [&'static str; 2], converse: usize) -> Relation {
    Relation { wordings, converse }
}

pub const RELATIONS: [Relation; 6] = [
    relation(["left of", "to the left of"], 1),
    relation(["right of", "to the right of"], 0),
    relation(["above", "over"], 3),
    relation(["below", "under"], 2),
    relation(["behind", "in back of"], 5),
    relation(["in front of", "before"], 4),
];

/// Verbs of being somewhere, for one and for many.
pub const VERBS: [[&str; 2]; 4] = [["is", "are"], ["stands", "stand"], ["rests", "rest"], ["stays", "stay"]];

/// Words that can stand in each other's place, by table.
pub fn alike() -> Vec<Vec<&'static str>> {
    vec![
        NOUNS.iter().map(|noun| noun.one).collect(),
        NOUNS.iter().map(|noun| noun.many).collect(),
        SIZES.as_flattened().to_vec(),
        COUNTS.to_vec(),
        PLACES.iter().filter_map(|place| place.rsplit(' ').next()).collect(),
        vec!["left", "right"],
        vec!["above", "over", "below", "under", "behind", "before"],
        COLORS.iter().map(|&(name, _)| name).collect(),
        PATTERNS.to_vec(),
    ]
}

/// Every word of the tables above.
pub fn all() -> Vec<&'static str> {
    let mut words: Vec<&str> = NOUNS.iter().flat_map(|noun| [noun.one, noun.many]).collect();
    words.extend(KINDS.as_flattened());
    words.extend(SIZES.as_flattened());
    words.extend(COUNTS);
    words.extend(PLACES);
    words.extend(RELATIONS.iter().flat_map(|relation| relation.wordings));
    words.extend(VERBS.as_flattened());
    words.extend(COLORS.iter().map(|&(name, _)| name));
    words.extend(PATTERNS);
    words
}
