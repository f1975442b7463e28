//! What can be known of a creature, and the words for it.

use std::sync::LazyLock;

use serde::Deserialize;

/// Values of each topic.
pub const VALUES: usize = 8;

/// The first of a topic's values are what people believe of any creature.
pub const BELIEVED: usize = 2;

/// A kind of fact. In wordings `@` stands for the creature, `#` for the value.
#[derive(Debug, Deserialize)]
pub struct Topic {
    /// The name that exams give it.
    pub subject: &'static str,
    /// Each is a short answer too.
    pub values: [&'static str; VALUES],
    pub statements: [&'static str; 5],
    /// The first [`PLAIN`] are those of the exams in plain text.
    pub questions: [&'static str; 5],
    /// What a creature does, and what several do, that have the value.
    pub does: [&'static str; 2],
}

/// Questions of a topic that are asked in exams before any instruction.
pub const PLAIN: usize = 2;

/// How many topics there are.
pub const NUM_TOPICS: usize = 8;

/// The topics of `topics.json`.
pub static TOPICS: LazyLock<[Topic; NUM_TOPICS]> =
    LazyLock::new(|| serde_json::from_str(include_str!("topics.json")).expect("the file holds topics"));

impl Topic {
    /// `wording` with the creature called `who`, and value number `value`.
    pub fn words(&self, wording: &str, who: &str, value: usize) -> String {
        wording.replace('@', who).replace('#', self.values[value])
    }
}
