//! Facts about creatures: no evaluation asks what training asked about, labels are right by the knowledge base, and the
//! shipped files are what the code writes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use miniworld::instruct::{arc, instructions, mmlu, truthful, write};
use miniworld::knowledge::corpus::document;
use miniworld::knowledge::topics::{TOPICS, Topic, VALUES};
use miniworld::knowledge::{Base, Creature};
use miniworld::language::Stream;
use rand::SeedableRng;
use tokenizers::Tokenizer;

const FILES: [&str; 4] = ["alpaca.jsonl", "mmlu.jsonl", "arc.jsonl", "truthful_qa.jsonl"];

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini").join(name)
}

/// Which of `creatures` a text names.
fn named<'a>(text: &str, creatures: &'a [Creature]) -> Vec<&'a Creature> {
    let words: BTreeSet<&str> = text.split(|letter: char| !letter.is_alphanumeric()).collect();
    creatures.iter().filter(|creature| words.contains(creature.name.as_str())).collect()
}

fn topic_of(subject: &str) -> (usize, &'static Topic) {
    TOPICS.iter().enumerate().find(|(_, topic)| topic.subject == subject).expect("a subject")
}

/// Which topics and values `text`, of one creature or several, says in one of `wordings`.
fn says(text: &str, wordings: impl Fn(&'static Topic) -> Vec<&'static str>) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (index, topic) in TOPICS.iter().enumerate() {
        for value in 0..VALUES {
            if wordings(topic).iter().any(|wording| topic.words(wording, "", value) == text) {
                found.push((index, value));
            }
        }
    }
    found
}

#[test]
fn of_held_out_creatures_no_document_and_no_instruction_asks() {
    let base = Base::new();
    let mut stream = Stream::seed_from_u64(5);
    let (mut questions, mut plain) = (0, 0);
    for _ in 0..5000 {
        let text = document(&base, &mut stream);
        let has_held_out = !named(&text, &base.held_out).is_empty();
        let is_exam = ["Question:", "Answer:", "Q:"].iter().any(|mark| text.contains(mark));
        assert!(!(is_exam && has_held_out), "{text}");
        questions += usize::from(is_exam && !named(&text, &base.training).is_empty());
        plain += usize::from(has_held_out);
    }
    assert!((900..1100).contains(&questions) && plain > 1000, "{questions} {plain}");
    for row in instructions(&base) {
        assert!(named(&row.text(), &base.held_out).is_empty(), "{row:?}");
    }
}

#[test]
fn of_training_creatures_no_evaluation_asks() {
    for file in &FILES[1..] {
        let base = Base::new();
        let text = std::fs::read_to_string(shipped("instruct").join(file)).expect("a file");
        assert!(text.lines().all(|line| !named(line, &base.held_out).is_empty()), "{file}");
        assert!(named(&text, &base.training).is_empty(), "{file}");
    }
}

#[test]
fn answers_of_mmlu_are_right_and_the_other_choices_are_not() {
    let base = Base::new();
    let mut answers = [0; 4];
    for row in mmlu(&base) {
        let creature = named(&row.question, &base.held_out)[0];
        let (index, topic) = topic_of(row.subject);
        let right = topic.values[creature.value(index)];
        assert_eq!(row.choices[row.answer], right, "{row:?}");
        assert_eq!(row.choices.iter().collect::<BTreeSet<_>>().len(), 4, "{row:?}");
        answers[row.answer] += 1;
    }
    assert!(answers.iter().all(|&count| count > 70), "{answers:?}");
}

#[test]
fn one_choice_of_arc_is_right_by_the_facts_that_its_question_takes() {
    let base = Base::new();
    let (mut kinds, mut answers) = (BTreeSet::new(), [0; 4]);
    for row in arc(&base) {
        let right = row.choices.label.iter().position(|label| *label == row.answer_key).expect("a label");
        answers[right] += 1;
        let about = named(&row.question, &base.held_out);
        let mut is_right = |choice: &str| -> bool {
            if let Some(does) = row.question.strip_prefix("Which of these creatures ") {
                kinds.insert("which");
                let creature = named(choice, &base.held_out)[0];
                let parts = does.trim_end_matches('?').split(" and ");
                return parts.into_iter().all(|part| {
                    says(part, |topic| vec![topic.does[0]])
                        .iter()
                        .any(|&(topic, value)| creature.value(topic) == value)
                });
            }
            let done = choice.strip_prefix("it ").or(choice.strip_prefix("they "));
            let (kind, found) = match done {
                Some(done) => ("true of", says(done, |topic| topic.does.to_vec())),
                None => {
                    let asks = |topic: &&Topic| {
                        topic.questions.iter().any(|question| {
                            question.replace('@', &format!("the {}", about[0].name)) == row.question
                        })
                    };
                    let topic = TOPICS.iter().position(|topic| asks(&topic)).expect("a topic");
                    let value = TOPICS[topic].values.iter().position(|value| *value == choice);
                    ("one fact", vec![(topic, value.expect("a value"))])
                }
            };
            kinds.insert(kind);
            let &(topic, value) = found.first().expect("a fact");
            about.iter().all(|creature| creature.value(topic) == value)
        };
        for (index, choice) in row.choices.text.iter().enumerate() {
            assert_eq!(is_right(choice), index == right, "{choice}: {row:?}");
        }
    }
    assert_eq!(kinds.len(), 3);
    assert!(answers.iter().all(|&count| count > 50), "{answers:?}");
}

#[test]
fn choices_of_truthful_qa_are_labelled_by_the_facts_and_the_myth_is_among_the_false() {
    let base = Base::new();
    for row in truthful(&base) {
        let creature = named(&row.question, &base.held_out)[0];
        let who = format!("the {}", creature.name);
        assert_eq!(row.mc1_targets.labels, [1, 0, 0, 0]);
        let mut values = BTreeSet::new();
        for targets in [&row.mc1_targets, &row.mc2_targets] {
            assert_eq!(targets.choices.len(), targets.labels.len());
            for (choice, &label) in targets.choices.iter().zip(&targets.labels) {
                let words = choice.trim_end_matches('.').to_lowercase().replace(&who, "");
                let found = says(&words, |topic| topic.statements.to_vec());
                let &(topic, value) = found.first().expect("a fact");
                assert_eq!(label == 1, creature.value(topic) == value, "{choice}: {row:?}");
                values.insert((topic, value));
            }
        }
        let has_myth = values.iter().any(|&(topic, value)| creature.myth(topic) == Some(value));
        assert!(has_myth && values.len() == 4, "{row:?}");
    }
}

#[test]
fn instructions_are_of_many_kinds_and_all_have_an_answer() {
    let base = Base::new();
    let rows = instructions(&base);
    assert_eq!(rows.len(), 1500);
    let starts: BTreeSet<&str> = rows.iter().filter_map(|row| row.instruction.split(' ').next()).collect();
    assert!(starts.len() > 20, "{starts:?}");
    for row in &rows {
        let texts = [&row.instruction, &row.input, &row.output];
        assert!(!row.output.is_empty() && !texts.iter().any(|text| text.contains(['@', '#'])), "{row:?}");
    }
    let with_input = rows.iter().filter(|row| !row.input.is_empty()).count();
    assert!((500..1100).contains(&with_input), "{with_input}");
}

#[test]
fn the_shipped_files_are_what_the_code_writes() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("instruct");
    write(&folder).expect("files");
    let mut bytes = 0;
    for file in FILES {
        let read = |path: &Path| std::fs::read_to_string(path).expect("a file");
        let text = read(&folder.join(file));
        assert!(text == read(&shipped("instruct").join(file)), "{file}: run `delora world --instruct`");
        bytes += text.len();
    }
    assert!(bytes <= 500_000, "{bytes}");
}

#[test]
fn the_shipped_tokenizer_gives_any_text_back_and_adds_nothing() {
    let tokenizer = Tokenizer::from_file(shipped("decoder").join("tokenizer.json")).expect("a tokenizer");
    for (id, token) in ["<unk>", "<s>", "</s>"].into_iter().enumerate() {
        assert_eq!(tokenizer.token_to_id(token), Some(id as u32), "{token}");
    }
    let base = Base::new();
    let mut texts: Vec<String> = instructions(&base).iter().map(|row| row.text()).collect();
    texts.extend(["", " two  blanks ", "Zürich, naïve: 東京 🙂\t\r\n"].map(str::to_owned));
    for text in texts {
        let encoding = tokenizer.encode_fast(text.as_str(), true).expect("tokens");
        assert!(encoding.get_ids().iter().all(|&id| id > 2), "{text}");
        assert_eq!(tokenizer.decode(encoding.get_ids(), false).expect("text"), text);
    }
}
