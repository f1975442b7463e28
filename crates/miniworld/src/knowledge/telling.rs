//! Plain text about creatures: portraits, comparisons, lists and rumours.

use rand::RngExt;
use rand::seq::SliceRandom;

use super::topics::TOPICS;
use super::{Base, Creature};
use crate::language::{Stream, pick};

/// `text` as a sentence, with a capital and a full stop.
pub fn sentence(text: &str) -> String {
    capital(text) + "."
}

/// `text` with a capital in front.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// "the zumo".
pub fn the(creature: &Creature) -> String {
    format!("the {}", creature.name)
}

/// "the zumo, the kera and the pilt".
pub fn listed(creatures: &[&Creature]) -> String {
    match creatures {
        [] => String::new(),
        [one] => the(one),
        [front @ .., last] => {
            let front: Vec<String> = front.iter().map(|creature| the(creature)).collect();
            format!("{} and {}", front.join(", "), the(last))
        }
    }
}

/// "the zumo eats moss", or another wording, with `value` whatever is so.
pub fn told(creature: &Creature, topic: usize, value: usize, stream: &mut Stream) -> String {
    let wording = pick(&TOPICS[topic].statements, stream);
    TOPICS[topic].words(wording, &the(creature), value)
}

/// What is so, in one of the wordings.
pub fn truth(creature: &Creature, topic: usize, stream: &mut Stream) -> String {
    told(creature, topic, creature.value(topic), stream)
}

/// A topic by chance.
pub fn any_topic(stream: &mut Stream) -> usize {
    stream.random_range(0..TOPICS.len())
}

/// Several sentences on one creature.
pub fn portrait(creature: &Creature, count: usize, stream: &mut Stream) -> String {
    let mut topics: Vec<usize> = (0..TOPICS.len()).collect();
    topics.shuffle(stream);
    let mut sentences = Vec::new();
    for (index, topic) in topics.into_iter().take(count).enumerate() {
        let wording = *pick(&TOPICS[topic].statements, stream);
        let is_short = index > 0 && wording.starts_with('@') && stream.random_bool(0.4);
        let who = if is_short { "it".to_owned() } else { the(creature) };
        sentences.push(sentence(&TOPICS[topic].words(wording, &who, creature.value(topic))));
    }
    sentences.join(" ")
}

/// Two creatures that have something in common, or not.
pub fn comparison(base: &Base, stream: &mut Stream) -> String {
    let topic = any_topic(stream);
    let pair = base.some(2, stream);
    let [first, second] = [pair[0], pair[1]].map(|creature| creature.value(topic));
    let [does, of_both] = TOPICS[topic].does;
    if first == second {
        let both = format!("both {} {of_both}", listed(&pair));
        return sentence(&TOPICS[topic].words(&both, "", first));
    }
    let one = TOPICS[topic].words(&format!("@ {does}"), &the(pair[0]), first);
    let other = TOPICS[topic].words(&format!("@ {does}"), &the(pair[1]), second);
    let joined = pick(&[", but ", ", while ", " and "], stream);
    sentence(&format!("{one}{joined}{other}"))
}

/// Some of those that have a value, or two.
pub fn roll(base: &Base, stream: &mut Stream) -> String {
    let (topic, example) = (any_topic(stream), base.any(stream));
    let value = example.value(topic);
    // Half of the lists are of those with a second value in common.
    let second =
        stream.random::<bool>().then(|| (topic + stream.random_range(1..TOPICS.len())) % TOPICS.len());
    let has = |creature: &&Creature| {
        creature.value(topic) == value
            && second.is_none_or(|second| creature.value(second) == example.value(second))
    };
    let mut found: Vec<&Creature> = base.training.iter().chain(&base.held_out).filter(has).collect();
    found.shuffle(stream);
    found.truncate(4);
    let form = usize::from(found.len() > 1);
    let mut does = TOPICS[topic].words(TOPICS[topic].does[form], "", value);
    if let Some(second) = second {
        let also = TOPICS[second].words(TOPICS[second].does[form], "", example.value(second));
        does = format!("{does} and {also}");
    }
    let who = listed(&found);
    if found.len() > 1 && stream.random() {
        return sentence(&format!("among those that {does} are {who}"));
    }
    sentence(&format!("{who} {does}"))
}

const SAID: [&str; 4] =
    ["many people say that", "it is often said that", "an old tale tells that", "people believe that"];
const DENIED: [&str; 3] = ["In truth", "But this is a myth:", "This is not so:"];

/// What is told of a creature though it is not so, most of it put right.
pub fn rumours(creature: &Creature, stream: &mut Stream) -> String {
    let mut myths: Vec<(usize, usize)> =
        (0..TOPICS.len()).filter_map(|topic| Some((topic, creature.myth(topic)?))).collect();
    myths.shuffle(stream);
    myths.truncate(stream.random_range(2..=4));
    let mut sentences = Vec::new();
    for (topic, myth) in myths {
        let rumour = told(creature, topic, myth, stream);
        sentences.push(sentence(&format!("{} {rumour}", pick(&SAID, stream))));
        if stream.random_bool(0.5) {
            sentences.push(format!("{} {}.", pick(&DENIED, stream), truth(creature, topic, stream)));
        }
    }
    sentences.join(" ")
}
