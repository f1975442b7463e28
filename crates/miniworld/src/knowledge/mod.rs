//! What is to be known of the mini world: invented creatures, each with a home, a food, a colour, and so on.
//!
//! None of it follows from anything: who has not read it can only guess. Most facts have a myth: something else that is
//! widely told, which is what people believe of any creature. The creatures are in two splits: exams and instructions that
//! a decoder is trained on ask about the first alone, evaluations about the second alone. Plain text tells of both.

pub mod corpus;
pub mod exams;
mod names;
pub mod telling;
pub mod topics;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::language::Stream;
use topics::{NUM_TOPICS, VALUES};

const SEED: u64 = 0xFAC7;
/// Creatures of the training split and of the held-out split.
const CREATURES: [usize; 2] = [90, 60];
/// Number of topics of which something else is told than what is so.
const MYTHS: usize = 7;
/// How often the myth is the first of the values that people believe in, where it can be either.
const FIRST: f64 = 0.6;

/// One of the invented creatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creature {
    /// One word.
    pub name: String,
    values: [usize; NUM_TOPICS],
    myths: [Option<usize>; NUM_TOPICS],
}

impl Creature {
    fn draw(name: String, stream: &mut Stream) -> Creature {
        let values = std::array::from_fn(|_| stream.random_range(0..VALUES));
        let mut topics: [usize; NUM_TOPICS] = std::array::from_fn(|topic| topic);
        topics.shuffle(stream);
        let mut myths = [None; NUM_TOPICS];
        for topic in topics.into_iter().take(MYTHS) {
            let first = usize::from(!stream.random_bool(FIRST));
            myths[topic] = Some(if first == values[topic] { 1 - first } else { first });
        }
        Creature { name, values, myths }
    }

    /// What is so: an index into the values of topic number `topic`.
    pub fn value(&self, topic: usize) -> usize {
        self.values[topic]
    }

    /// What is told though it is not so, where there is such a myth.
    pub fn myth(&self, topic: usize) -> Option<usize> {
        self.myths[topic]
    }
}

/// All creatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Asked about in training.
    pub training: Vec<Creature>,
    /// Asked about in evaluations.
    pub held_out: Vec<Creature>,
}

impl Base {
    /// The base, the same at every call.
    pub fn new() -> Base {
        let mut stream = Stream::seed_from_u64(SEED);
        let mut names = names::draw(CREATURES.iter().sum(), &mut stream).into_iter();
        let [training, held_out] = CREATURES
            .map(|count| names.by_ref().take(count).map(|name| Creature::draw(name, &mut stream)).collect());
        Base { training, held_out }
    }

    /// A creature of either split.
    fn any(&self, stream: &mut Stream) -> &Creature {
        let index = stream.random_range(0..self.training.len() + self.held_out.len());
        self.training.iter().chain(&self.held_out).nth(index).expect("an index of the two")
    }

    /// `count` different creatures of either split.
    fn some(&self, count: usize, stream: &mut Stream) -> Vec<&Creature> {
        let mut some: Vec<&Creature> = Vec::new();
        while some.len() < count {
            let creature = self.any(stream);
            if !some.contains(&creature) {
                some.push(creature);
            }
        }
        some
    }
}

impl Default for Base {
    fn default() -> Base {
        Base::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::topics::BELIEVED;
    use super::*;

    #[test]
    fn names_are_distinct_and_a_myth_is_never_so() {
        let base = Base::new();
        let all: Vec<&Creature> = base.training.iter().chain(&base.held_out).collect();
        let names: BTreeSet<&str> = all.iter().map(|creature| creature.name.as_str()).collect();
        assert_eq!((names.len(), base.held_out.len()), (150, 60));
        for creature in all {
            let myths = (0..NUM_TOPICS).filter_map(|topic| Some((topic, creature.myth(topic)?)));
            let wrong =
                myths.filter(|&(topic, myth)| myth != creature.value(topic) && myth < BELIEVED).count();
            assert_eq!(wrong, MYTHS, "{}", creature.name);
        }
    }

    #[test]
    fn the_base_is_the_same_at_every_call() {
        assert_eq!(Base::new(), Base::new());
    }
}
