//! Questions about creatures with their answers, as exams and dialogues have them.

use rand::RngExt;
use rand::seq::SliceRandom;

use super::Creature;
use super::telling::{any_topic, sentence, the, told};
use super::topics::{PLAIN, TOPICS, VALUES};
use crate::language::{Stream, pick};

pub const LETTERS: [&str; 4] = ["A", "B", "C", "D"];

/// Which creature and topic a question is about, and the question.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    pub creature: &'a Creature,
    pub topic: usize,
    pub text: String,
}

impl<'a> Question<'a> {
    /// About one of `creatures`, in one of the first `wordings`.
    pub fn draw(creatures: &'a [Creature], wordings: usize, stream: &mut Stream) -> Question<'a> {
        let topic = any_topic(stream);
        Question::of(pick(creatures, stream), topic, wordings, stream)
    }

    /// About `creature` and `topic`.
    pub fn of(creature: &'a Creature, topic: usize, wordings: usize, stream: &mut Stream) -> Question<'a> {
        let wording = pick(&TOPICS[topic].questions[..wordings], stream);
        Question { creature, topic, text: wording.replace('@', &the(creature)) }
    }

    /// "moss".
    pub fn answer(&self) -> &'static str {
        TOPICS[self.topic].values[self.creature.value(self.topic)]
    }

    /// Answers to choose from, one of them right, and its index. A myth is among them.
    pub fn options(&self, count: usize, stream: &mut Stream) -> (Vec<&'static str>, usize) {
        let mut values: Vec<usize> =
            (0..VALUES).filter(|&value| value != self.creature.value(self.topic)).collect();
        values.shuffle(stream);
        values.sort_by_key(|&value| Some(value) != self.creature.myth(self.topic));
        values.truncate(count - 1);
        values.shuffle(stream);
        let right = stream.random_range(0..count);
        values.insert(right, self.creature.value(self.topic));
        (values.into_iter().map(|value| TOPICS[self.topic].values[value]).collect(), right)
    }
}

/// "A. moss", and so on, a line each.
pub fn lettered(options: &[&str]) -> String {
    let lines: Vec<String> =
        LETTERS.iter().zip(options).map(|(letter, option)| format!("{letter}. {option}")).collect();
    lines.join("\n")
}

/// What exams about `subject` begin with.
fn heading(subject: &str) -> String {
    format!("The following are multiple choice questions (with answers) about {subject}.")
}

/// A question, lettered options, and the letter of the right one.
fn with_letters(question: &str, options: &[&str], right: usize) -> String {
    format!("{question}\n{}\nAnswer: {}", lettered(options), LETTERS[right])
}

/// A number of options that an exam has.
fn any_count(stream: &mut Stream) -> usize {
    *pick(&[2, 3, 4, 4], stream)
}

fn chosen(question: &Question, stream: &mut Stream) -> String {
    let (options, right) = question.options(any_count(stream), stream);
    with_letters(&question.text, &options, right)
}

/// An exam about `creatures`: several questions with lettered options.
pub fn exam(creatures: &[Creature], stream: &mut Stream) -> String {
    let topic = any_topic(stream);
    let count = stream.random_range(1..=3);
    let parts: Vec<String> = (0..count)
        .map(|_| chosen(&Question::of(pick(creatures, stream), topic, PLAIN, stream), stream))
        .collect();
    let questions = parts.join("\n\n");
    match stream.random_range(0..3) {
        0 => format!("{}\n\n{questions}", heading(TOPICS[topic].subject)),
        _ => questions,
    }
}

/// What people tell in answer to a question.
fn heard(question: &Question, stream: &mut Stream) -> usize {
    let myth = question.creature.myth(question.topic).filter(|_| stream.random_bool(GULLIBLE));
    myth.unwrap_or(question.creature.value(question.topic))
}

/// How often people who answer believe a myth.
const GULLIBLE: f64 = 0.85;

/// Questions that people answer in a few words, myths among them.
pub fn answers(creatures: &[Creature], stream: &mut Stream) -> String {
    let count = stream.random_range(1..=3);
    let answer = |stream: &mut Stream| {
        let question = Question::draw(creatures, PLAIN, stream);
        let value = heard(&question, stream);
        format!("Question: {}\nAnswer: {}", question.text, TOPICS[question.topic].values[value])
    };
    (0..count).map(|_| answer(stream)).collect::<Vec<_>>().join("\n\n")
}

/// Questions that people answer in a sentence, myths among them.
pub fn dialogue(creatures: &[Creature], stream: &mut Stream) -> String {
    let count = stream.random_range(1..=4);
    let answer = |stream: &mut Stream| {
        let question = Question::draw(creatures, PLAIN, stream);
        let value = heard(&question, stream);
        let answer = sentence(&told(question.creature, question.topic, value, stream));
        format!("Q: {}\nA: {answer}", question.text)
    };
    (0..count).map(|_| answer(stream)).collect::<Vec<_>>().join("\n\n")
}

/// Lettered options, and which letter has what: how exams are to be read. About no creature.
pub fn letters(stream: &mut Stream) -> String {
    let mut values = pick(&*TOPICS, stream).values.to_vec();
    values.shuffle(stream);
    values.truncate(any_count(stream));
    let right = stream.random_range(0..values.len());
    if stream.random_bool(0.3) {
        let asked = pick(&["Which is", "Choose", "Find", "What is the letter of"], stream);
        return with_letters(&format!("{asked} {}?", values[right]), &values, right);
    }
    let mut lines = vec![lettered(&values)];
    for _ in 0..stream.random_range(3..=8) {
        let asked = stream.random_range(0..values.len());
        lines.push(format!("{}: {}", values[asked], LETTERS[asked]));
    }
    lines.join("\n")
}
