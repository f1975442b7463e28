//! Rows of the exams, with the columns of the data sets that they mirror.

use rand::RngExt;
use rand::seq::SliceRandom;
use serde::Serialize;

use crate::knowledge::Creature;
use crate::knowledge::exams::{LETTERS, Question};
use crate::knowledge::telling::{any_topic, sentence, the};
use crate::knowledge::topics::{TOPICS, Topic, VALUES};
use crate::language::{Stream, another, pick};

/// Options of a question.
const OPTIONS: usize = 4;

/// A row of MMLU.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mmlu {
    pub question: String,
    pub subject: &'static str,
    pub choices: Vec<&'static str>,
    /// Index of the right choice.
    pub answer: usize,
}

/// One question about one fact; `index` goes through the subjects.
pub fn mmlu(creatures: &[Creature], index: usize, stream: &mut Stream) -> Mmlu {
    let topic = index % TOPICS.len();
    let wordings = TOPICS[topic].questions.len();
    let question = Question::of(pick(creatures, stream), topic, wordings, stream);
    let (choices, answer) = question.options(OPTIONS, stream);
    Mmlu { question: question.text, subject: TOPICS[topic].subject, choices, answer }
}

/// A row of ARC.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Arc {
    pub id: String,
    pub question: String,
    pub choices: Choices,
    #[serde(rename = "answerKey")]
    pub answer_key: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Choices {
    pub text: Vec<String>,
    pub label: Vec<&'static str>,
}

/// A question that takes one fact or two.
pub fn arc(creatures: &[Creature], index: usize, stream: &mut Stream) -> Arc {
    let (question, text, right) = match index % 10 {
        0..5 => {
            let topic = any_topic(stream);
            let wordings = TOPICS[topic].questions.len();
            let question = Question::of(pick(creatures, stream), topic, wordings, stream);
            let (options, right) = question.options(OPTIONS, stream);
            (question.text, options.into_iter().map(str::to_owned).collect(), right)
        }
        5 => which(creatures, 1, stream),
        6 => which(creatures, 2, stream),
        7 => in_common(creatures, stream),
        _ => what_is_so(creatures, stream),
    };
    let choices = Choices { text, label: LETTERS.to_vec() };
    Arc { id: format!("Mini_{index}"), question, choices, answer_key: LETTERS[right] }
}

/// `right` among three of `wrong`, and where it is.
fn mixed(
    right: String,
    wrong: impl IntoIterator<Item = String>,
    stream: &mut Stream,
) -> (Vec<String>, usize) {
    let mut options: Vec<String> = wrong.into_iter().take(OPTIONS - 1).collect();
    let place = stream.random_range(0..=options.len());
    options.insert(place, right);
    (options, place)
}

/// All topics in an order of chance.
fn topics(stream: &mut Stream) -> Vec<usize> {
    let mut topics: Vec<usize> = (0..TOPICS.len()).collect();
    topics.shuffle(stream);
    topics
}

/// Which creature has one value, or two. Of two, each of the others has one.
fn which(creatures: &[Creature], count: usize, stream: &mut Stream) -> (String, Vec<String>, usize) {
    let creature = pick(creatures, stream);
    let topics = topics(stream);
    let asked = &topics[..count];
    let has = |other: &Creature, topic: usize| other.value(topic) == creature.value(topic);
    let shares = |other: &&Creature| asked.iter().filter(|&&topic| has(other, topic)).count() + 1 == count;
    let mut others: Vec<&Creature> = creatures.iter().filter(shares).collect();
    others.shuffle(stream);
    let (options, right) = mixed(the(creature), others.into_iter().map(the), stream);
    let does = |&topic: &usize| TOPICS[topic].words(TOPICS[topic].does[0], "", creature.value(topic));
    let does: Vec<String> = asked.iter().map(does).collect();
    (format!("Which of these creatures {}?", does.join(" and ")), options, right)
}

/// What two creatures both do; the other options one of them does at most.
fn in_common(creatures: &[Creature], stream: &mut Stream) -> (String, Vec<String>, usize) {
    let topics = topics(stream);
    let [one, other, shared] = loop {
        let [one, other] = [0; 2].map(|_| stream.random_range(0..creatures.len()));
        let is_shared = |&topic: &usize| creatures[one].value(topic) == creatures[other].value(topic);
        if one != other
            && let Some(shared) = topics.iter().copied().find(is_shared)
        {
            break [one, other, shared];
        }
    };
    let (one, other) = (&creatures[one], &creatures[other]);
    let both =
        |topic: usize, value| format!("they {}", TOPICS[topic].words(TOPICS[topic].does[1], "", value));
    let apart = topics.iter().filter(|&&topic| one.value(topic) != other.value(topic));
    let wrong: Vec<String> = apart.map(|&topic| both(topic, one.value(topic))).collect();
    let (options, right) = mixed(both(shared, one.value(shared)), wrong, stream);
    (format!("What do {} and {} have in common?", the(one), the(other)), options, right)
}

/// What is so of a creature; the other options have other values.
fn what_is_so(creatures: &[Creature], stream: &mut Stream) -> (String, Vec<String>, usize) {
    let creature = pick(creatures, stream);
    let topics = topics(stream);
    let does = |topic: usize, value| format!("it {}", TOPICS[topic].words(TOPICS[topic].does[0], "", value));
    let wrong: Vec<String> = topics[1..OPTIONS]
        .iter()
        .map(|&topic| {
            let wrong = creature.myth(topic).unwrap_or(another(creature.value(topic), VALUES, stream));
            does(topic, wrong)
        })
        .collect();
    let (options, right) = mixed(does(topics[0], creature.value(topics[0])), wrong, stream);
    (format!("What is true of {}?", the(creature)), options, right)
}

/// A row of TruthfulQA.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Truthful {
    pub question: String,
    /// The first choice alone is true.
    pub mc1_targets: Targets,
    pub mc2_targets: Targets,
}

/// Choices, and 1 for those that are true.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Targets {
    pub choices: Vec<String>,
    pub labels: Vec<u8>,
}

/// Answers in sentences, in `wordings`: first those that are so, then one for each of `wrong`.
fn targets(question: &Question, wordings: &[&str], wrong: &[usize]) -> Targets {
    let topic = &TOPICS[question.topic];
    let say = |wording: &str, value| sentence(&topic.words(wording, &the(question.creature), value));
    let truth = question.creature.value(question.topic);
    let mut choices: Vec<String> = wordings.iter().map(|wording| say(wording, truth)).collect();
    let mut labels = vec![1; choices.len()];
    for (index, &value) in wrong.iter().enumerate() {
        choices.push(say(wordings[index % wordings.len()], value));
        labels.push(0);
    }
    Targets { choices, labels }
}

/// A question of which something is widely told that is not so, which is the first of the false choices.
pub fn truthful(creatures: &[Creature], stream: &mut Stream) -> Truthful {
    let (creature, topic, myth) = loop {
        let (creature, topic) = (pick(creatures, stream), any_topic(stream));
        if let Some(myth) = creature.myth(topic) {
            break (creature, topic, myth);
        }
    };
    let mut wrong: Vec<usize> =
        (0..VALUES).filter(|&value| value != creature.value(topic) && value != myth).collect();
    wrong.shuffle(stream);
    wrong.truncate(2);
    wrong.insert(0, myth);
    let Topic { questions, statements, .. } = &TOPICS[topic];
    let question = Question::of(creature, topic, questions.len(), stream);
    Truthful {
        mc1_targets: targets(&question, &statements[..1], &wrong),
        mc2_targets: targets(&question, &statements[..2], &wrong),
        question: question.text,
    }
}
