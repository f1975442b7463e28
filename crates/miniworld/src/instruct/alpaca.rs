//! Instructions in Alpaca's columns: questions in many wordings with answers in sentences, and small other tasks.

use rand::RngExt;
use rand::seq::SliceRandom;
use serde::Serialize;

use crate::knowledge::Creature;
use crate::knowledge::exams::{LETTERS, Question, lettered};
use crate::knowledge::telling::{any_topic, capital, portrait, sentence, the, told, truth};
use crate::knowledge::topics::{TOPICS, VALUES};
use crate::language::claims::{Bearing, Statement};
use crate::language::{Stream, another, pick};

/// A row of Alpaca.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Instruction {
    pub instruction: String,
    /// Empty: there is none.
    pub input: String,
    pub output: String,
}

impl Instruction {
    fn new(
        instruction: impl Into<String>,
        input: impl Into<String>,
        output: impl Into<String>,
    ) -> Instruction {
        Instruction { instruction: instruction.into(), input: input.into(), output: output.into() }
    }

    /// The text that a decoder is trained on.
    pub fn text(&self) -> String {
        let Instruction { instruction, input, output } = self;
        let (paired, input) = match input.as_str() {
            "" => ("", String::new()),
            input => {
                (", paired with an input that provides further context", format!("### Input:\n{input}\n\n"))
            }
        };
        format!(
            "Below is an instruction that describes a task{paired}. Write a response that appropriately completes the \
             request.\n\n### Instruction:\n{instruction}\n\n{input}### Response:{output}"
        )
    }
}

/// An instruction about `creatures`; `index` goes through the kinds of instructions.
pub fn instruction(creatures: &[Creature], index: usize, stream: &mut Stream) -> Instruction {
    let creature = pick(creatures, stream);
    match index % 20 {
        0..5 => answered(creature, stream),
        5..7 => chosen(creature, stream),
        7..11 => explained(creature, stream),
        11 => judged(creature, stream),
        12 => corrected(creature, stream),
        13 => which_of_two(creatures, stream),
        14 => named(creatures, stream),
        15 => completed(creature, stream),
        16 => said_again(creature, stream),
        17 => described(creature, stream),
        18 => shared(creatures, stream),
        _ => situation(stream),
    }
}

fn any_question<'a>(creature: &'a Creature, stream: &mut Stream) -> Question<'a> {
    let topic = any_topic(stream);
    Question::of(creature, topic, TOPICS[topic].questions.len(), stream)
}

/// What is so of what a question asks, in a sentence.
fn in_full(question: &Question, stream: &mut Stream) -> String {
    sentence(&truth(question.creature, question.topic, stream))
}

/// A question, as the instruction or as its input.
fn answered(creature: &Creature, stream: &mut Stream) -> Instruction {
    let question = any_question(creature, stream);
    let answer = in_full(&question, stream);
    match stream.random_range(0..5) {
        0 => Instruction::new("Answer the question.", question.text, answer),
        1 => {
            let short = capital(question.answer()) + ".";
            Instruction::new("Answer in a few words.", question.text, short)
        }
        2 => Instruction::new(format!("Tell me: {}", question.text), "", answer),
        _ => Instruction::new(question.text, "", answer),
    }
}

/// Lettered options, answered by the letter or by the text.
fn chosen(creature: &Creature, stream: &mut Stream) -> Instruction {
    let question = any_question(creature, stream);
    let (options, right) = question.options(4, stream);
    let asked = format!("{}\n{}", question.text, lettered(&options));
    let answer = capital(question.answer()) + ".";
    match stream.random_range(0..4) {
        0 => Instruction::new("Choose the right answer.", asked, answer),
        1 => Instruction::new("Choose the right answer. Reply with its letter.", asked, LETTERS[right]),
        2 => Instruction::new(
            "Which option is right?",
            asked,
            format!("{}. {}", LETTERS[right], question.answer()),
        ),
        _ => Instruction::new(asked, "", LETTERS[right]),
    }
}

/// A question with its answer, to be explained.
fn explained(creature: &Creature, stream: &mut Stream) -> Instruction {
    let question = any_question(creature, stream);
    let full = in_full(&question, stream);
    if stream.random_bool(0.3) {
        let input = format!("Question: {}\nAnswer: {}", question.text, question.answer());
        return Instruction::new("Write the answer as a full sentence.", input, full);
    }
    if stream.random_bool(0.4) {
        let topic = (question.topic + stream.random_range(1..TOPICS.len())) % TOPICS.len();
        let next = Question::of(creature, topic, TOPICS[topic].questions.len(), stream);
        let input = format!("Q: {}\nA: {full}\n\nQ: {}\nA:", question.text, next.text);
        return Instruction::new("Continue the dialogue.", input, in_full(&next, stream));
    }
    let (options, right) = question.options(4, stream);
    let letter = LETTERS[right];
    let input = format!("{}\n{}\nAnswer: {letter}", question.text, lettered(&options));
    Instruction::new("Explain the answer.", input, format!("{full} So {letter} is right."))
}

/// Whether something is so; what is not is often the myth.
fn judged(creature: &Creature, stream: &mut Stream) -> Instruction {
    let topic = any_topic(stream);
    let right = creature.value(topic);
    let is_true = stream.random();
    let wrong = creature.myth(topic).unwrap_or(another(right, VALUES, stream));
    let claim = told(creature, topic, if is_true { right } else { wrong }, stream);
    let word = if is_true { "Yes" } else { "No" };
    let answer = format!("{word}, {}.", truth(creature, topic, stream));
    match stream.random_range(0..3) {
        0 => Instruction::new("Is this true?", sentence(&claim), answer),
        1 => Instruction::new("True or false?", sentence(&claim), if is_true { "True" } else { "False" }),
        _ => Instruction::new(format!("Is it true that {claim}?"), "", answer),
    }
}

/// A myth, to be put right.
fn corrected(creature: &Creature, stream: &mut Stream) -> Instruction {
    let topics: Vec<(usize, usize)> =
        (0..TOPICS.len()).filter_map(|topic| Some((topic, creature.myth(topic)?))).collect();
    let &(topic, myth) = pick(&topics, stream);
    let claim = told(creature, topic, myth, stream);
    let claim = match stream.random_range(0..3) {
        0 => format!("many people say that {claim}"),
        1 => format!("it is often said that {claim}"),
        _ => claim,
    };
    let instruction = *pick(&["Correct the myth.", "What is wrong with this?", "Put this right."], stream);
    Instruction::new(instruction, sentence(&claim), sentence(&truth(creature, topic, stream)))
}

/// A creature and another that differs from it in `topic`.
fn differing<'a>(creatures: &'a [Creature], topic: usize, stream: &mut Stream) -> [&'a Creature; 2] {
    loop {
        let [one, other] = [0; 2].map(|_| pick(creatures, stream));
        if one.value(topic) != other.value(topic) {
            return [one, other];
        }
    }
}

fn does(creature: &Creature, topic: usize) -> String {
    TOPICS[topic].words(TOPICS[topic].does[0], "", creature.value(topic))
}

fn which_of_two(creatures: &[Creature], stream: &mut Stream) -> Instruction {
    let topic = any_topic(stream);
    let [right, wrong] = differing(creatures, topic, stream);
    let [first, second] = if stream.random() { [right, wrong] } else { [wrong, right] };
    let does = does(right, topic);
    let asked = format!("Which of the two {does}, {} or {}?", the(first), the(second));
    Instruction::new(asked, "", sentence(&the(right)))
}

/// Which of several has a value, or two.
fn named(creatures: &[Creature], stream: &mut Stream) -> Instruction {
    let mut topics: Vec<usize> = (0..TOPICS.len()).collect();
    topics.shuffle(stream);
    topics.truncate(stream.random_range(1..=2));
    let right = pick(creatures, stream);
    let is_other = |other: &&Creature| topics.iter().any(|&topic| other.value(topic) != right.value(topic));
    let mut options: Vec<&Creature> = creatures.iter().filter(is_other).collect();
    options.shuffle(stream);
    options.truncate(3);
    options.insert(stream.random_range(0..=3), right);
    let does: Vec<String> = topics.iter().map(|&topic| does(right, topic)).collect();
    let question = format!("Which of these creatures {}?", does.join(" and "));
    let options: Vec<String> = options.into_iter().map(the).collect();
    if stream.random() {
        let input = format!("Question: {question}\nAnswer: {}", the(right));
        let answer = format!("{} {}", the(right), does.join(" and "));
        return Instruction::new("Write the answer as a full sentence.", input, sentence(&answer));
    }
    Instruction::new(question, options.join(", "), sentence(&the(right)))
}

/// A sentence without its end.
fn completed(creature: &Creature, stream: &mut Stream) -> Instruction {
    let topic = any_topic(stream);
    let value = TOPICS[topic].values[creature.value(topic)];
    let wording = TOPICS[topic].does[0].replace(" #", "");
    Instruction::new(
        "Complete the sentence.",
        capital(&format!("{} {wording}", the(creature))),
        format!("{value}."),
    )
}

/// One fact in two wordings.
fn said_again(creature: &Creature, stream: &mut Stream) -> Instruction {
    let topic = any_topic(stream);
    let mut wordings = TOPICS[topic].statements;
    wordings.shuffle(stream);
    let [first, second] = [0, 1]
        .map(|index| sentence(&TOPICS[topic].words(wordings[index], &the(creature), creature.value(topic))));
    Instruction::new("Say this in other words.", first, second)
}

fn described(creature: &Creature, stream: &mut Stream) -> Instruction {
    let wording = *pick(&["Describe @.", "Tell me about @.", "What do you know of @?"], stream);
    let count = stream.random_range(2..=3);
    Instruction::new(wording.replace('@', &the(creature)), "", portrait(creature, count, stream))
}

/// What two creatures have in common, or where they differ.
fn shared(creatures: &[Creature], stream: &mut Stream) -> Instruction {
    let [one, other] = differing(creatures, any_topic(stream), stream);
    let common: Vec<usize> =
        (0..TOPICS.len()).filter(|&topic| one.value(topic) == other.value(topic)).collect();
    let asked = format!("What do {} and {} have in common?", the(one), the(other));
    let answer = match common.first() {
        None => "they have nothing in common".to_owned(),
        Some(&topic) => format!("they {}", TOPICS[topic].words(TOPICS[topic].does[1], "", one.value(topic))),
    };
    Instruction::new(asked, "", sentence(&answer))
}

/// A statement about a situation, and a question about it; or a question alone.
pub fn situation(stream: &mut Stream) -> Instruction {
    let statement = Statement::draw(stream);
    let bearing = *pick(&[Bearing::Follows, Bearing::Contradicted], stream);
    let dialogue = statement.claim(bearing, false, stream).dialogue(stream);
    let (question, answer) = dialogue.split_once("? ").expect("a question and its answer");
    let (told, asked) = (sentence(&statement.words(stream)), format!("{}?", capital(question)));
    match stream.random_range(0..3) {
        0 => Instruction::new("Read, and answer the question.", format!("{told} {asked}"), sentence(answer)),
        1 => Instruction::new(format!("{told} {asked}"), "", sentence(answer)),
        _ => Instruction::new(asked, told, sentence(answer)),
    }
}
