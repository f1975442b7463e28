//! Texts to learn from, made of the rows of a data set: by Alpaca's template, one of the experiment file, or the model's own.

use std::path::{Path, PathBuf};

use finetune::{Place, Row, RowError, read_all_rows};
use minijinja::Environment;

use crate::alpaca::{self, Instruction};
use crate::chat::{ChatError, ChatTemplate, Turn, messages};
use crate::settings::InstructSettings;
use crate::templates::{Columns, TEMPLATE, parse_template};

/// What can be wrong with a row or a template.
#[derive(Debug, thiserror::Error)]
pub enum ConversationError {
    #[error(transparent)]
    Row(#[from] RowError),
    #[error(transparent)]
    Chat(#[from] ChatError),
    #[error("{place}: {problem}")]
    Problem { place: Place, problem: String },
}

/// A text to learn from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// At least one.
    pub turns: Vec<Turn>,
    /// The text has all its special tokens; else the tokenizer's begin is put in front, and an end token behind.
    pub is_complete: bool,
    /// What is asked first, for reports.
    pub instruction: String,
    pub input: String,
}

impl From<Instruction> for Conversation {
    fn from(own: Instruction) -> Conversation {
        let turn = Turn { given: own.prompt(), wanted: own.output };
        Conversation { turns: vec![turn], is_complete: false, instruction: own.instruction, input: own.input }
    }
}

/// How a row becomes a text.
pub enum Wording {
    Alpaca,
    /// A template of what is given; a row's columns are its variables.
    Template(Environment<'static>),
    Chat(ChatTemplate),
}

/// Files of the texts, and of the chat template where it is used.
pub fn files(settings: &InstructSettings) -> Result<Vec<PathBuf>, RowError> {
    let mut files = alpaca::files(&settings.instructions)?;
    if settings.chat_template {
        files.extend(ChatTemplate::files(&settings.model));
    }
    Ok(files)
}

/// How many texts there are.
pub fn count(path: &Path) -> Result<usize, RowError> {
    Ok(read_all_rows(&alpaca::files(path)?)?.len())
}

/// All texts at `path`, see [`alpaca::files`], in the files' order.
pub fn read(
    path: &Path,
    wording: &Wording,
    columns: &Columns,
) -> Result<Vec<Conversation>, ConversationError> {
    let rows = read_all_rows(&alpaca::files(path)?)?;
    rows.iter().map(|row| wording.conversation(row, columns)).collect()
}

impl Wording {
    /// Errors: see [`ChatTemplate::open`].
    pub fn of(settings: &InstructSettings) -> Result<Wording, ChatError> {
        Ok(match &settings.template {
            Some(template) => Wording::Template(parse_template(template).expect("`check` has parsed it")),
            None if settings.chat_template => Wording::Chat(ChatTemplate::open(&settings.model)?),
            None => Wording::Alpaca,
        })
    }

    fn conversation(&self, row: &Row, columns: &Columns) -> Result<Conversation, ConversationError> {
        let at_row = |problem: String| ConversationError::Problem { place: row.place.clone(), problem };
        match self {
            Wording::Alpaca => Ok(instruction(row, columns)?.into()),
            Wording::Template(environment) => {
                let template = environment.get_template(TEMPLATE).expect("it was added");
                let given = template.render(&row.value).map_err(|error| {
                    let columns: Vec<&str> =
                        row.value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
                    let columns = columns.join(", ");
                    at_row(format!("`template` cannot be filled: {error}; the row has {columns}"))
                })?;
                let wanted = row.text(columns.output())?.to_owned();
                let turns = vec![Turn { given: given.clone(), wanted }];
                Ok(Conversation { turns, is_complete: false, instruction: given, input: String::new() })
            }
            Wording::Chat(template) => {
                let messages = match &columns.messages {
                    Some(column) => messages(row, column)?,
                    None => instruction(row, columns)?.into(),
                };
                let asked = messages.iter().find(|message| message.role == "user");
                Ok(Conversation {
                    turns: template.turns(&messages).map_err(at_row)?,
                    is_complete: true,
                    instruction: asked.map_or(String::new(), |message| message.content.clone()),
                    input: String::new(),
                })
            }
        }
    }
}

/// A row of Alpaca's form.
fn instruction(row: &Row, columns: &Columns) -> Result<Instruction, RowError> {
    let input = columns.input.as_deref();
    Ok(Instruction {
        instruction: row.text(columns.instruction.as_deref().unwrap_or("instruction"))?.to_owned(),
        // A column that is named has to be there.
        input: match row.field(input.unwrap_or("input")) {
            Err(_) if input.is_none() => String::new(),
            _ => row.text(input.unwrap_or("input"))?.to_owned(),
        },
        output: row.text(columns.output())?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::fixture::{lora, trial, world};
    use crate::settings::Settings;

    /// The settings of a trial with `more`, or what is wrong with them.
    fn settings(folder: &Path, more: serde_json::Value) -> Result<Settings, String> {
        let mut config = trial(folder, lora(), 1);
        more.as_object().unwrap().iter().for_each(|(key, value)| config[key] = value.clone());
        Settings::read(&config).map_err(|error| error.to_string())
    }

    #[test]
    fn columns_and_templates_make_the_same_texts_of_every_kind_of_file() {
        let folder = tempfile::tempdir().unwrap();
        let template = "Problem: {{ query }} ({{ type }})\nSolution:";
        let wording = || Wording::Template(parse_template(template).unwrap());
        let columns = Columns { output: Some("response".to_owned()), ..Columns::default() };
        let rows = [
            ("rows.jsonl", "{\"query\": \"1, 2?\", \"response\": \" \\\"3\\\"\", \"type\": \"a\"}\n"),
            ("rows.json", "[{\"query\": \"1, 2?\", \"response\": \" \\\"3\\\"\", \"type\": \"a\"}]"),
            ("rows.csv", "type,query,response\r\na,\"1, 2?\",\" \"\"3\"\"\"\r\n"),
            ("rows.tsv", "type\tresponse\tquery\na\t \"3\"\t1, 2?\n"),
        ];
        for (name, text) in rows {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            let turn =
                Turn { given: "Problem: 1, 2? (a)\nSolution:".to_owned(), wanted: " \"3\"".to_owned() };
            let read = |wording, columns| read(&path, &wording, columns).map_err(|error| error.to_string());
            assert_eq!(read(wording(), &columns).unwrap()[0].turns, [turn], "{name}");
            let renamed = Columns { instruction: Some("query".to_owned()), ..columns.clone() };
            let alpaca = read(Wording::Alpaca, &renamed).unwrap();
            assert!(alpaca[0].turns[0].given.contains("### Instruction:\n1, 2?\n\n### Response:"), "{name}");
            let missing = read(wording(), &Columns::default()).unwrap_err();
            assert!(
                missing.contains(name) && missing.contains("`output` is missing; the row has"),
                "{missing}"
            );
        }
    }

    #[test]
    fn what_a_row_lacks_and_cells_that_do_not_fit_the_header_are_named_with_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let said = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            let wording = Wording::Template(parse_template("{{ q }}").unwrap());
            read(&path, &wording, &Columns::default()).unwrap_err().to_string()
        };
        let template =
            said("a.jsonl", "{\"q\": \"x\", \"output\": \"y\"}\n{\"p\": \"x\", \"output\": \"y\"}\n");
        assert!(template.contains("a.jsonl: line 2: `template` cannot be filled"), "{template}");
        assert!(template.contains("the row has output, p"), "{template}");
        let short = said("a.csv", "q,output\nx,\"a\nb\"\nx\n");
        assert!(short.contains("a.csv: line 4: 1 cell(s), and the header has 2"), "{short}");
        let long = said("a.tsv", "q\toutput\nx\ty\tz\n");
        assert!(long.contains("a.tsv: line 2: 3 cell(s), and the header has 2"), "{long}");
        let twice = said("a.csv", "q,q\nx,y\n");
        assert!(twice.contains("the header names `q` twice"), "{twice}");
        let empty = said("a.csv", "q,output\n");
        assert!(empty.contains("a.csv: has no rows"), "{empty}");
    }

    #[test]
    fn settings_that_nothing_would_read_and_templates_that_are_none_are_refused() {
        let world = world();
        for (more, said) in [
            (json!({"template": "{{ q"}), "template: syntax error"),
            (
                json!({"template": "{{ q }}", "chat_template": true}),
                "template: `chat_template` is true as well",
            ),
            (json!({"columns": {"messages": "said"}}), "columns.messages: found `said`, which nothing reads"),
            (
                json!({"template": "{{ q }}", "columns": {"input": "q"}}),
                "columns.input: found `q`, which nothing reads: `template` names",
            ),
            (
                json!({"chat_template": true, "columns": {"messages": "a", "output": "b"}}),
                "columns.output: found `b`, which nothing reads: `columns.messages` has",
            ),
            (json!({"columns": {"outputs": "b"}}), "outputs"),
        ] {
            let message = settings(world.path(), more).unwrap_err();
            assert!(message.contains(said), "{message}");
        }
        let chat = settings(world.path(), json!({"chat_template": true})).unwrap();
        assert_eq!(chat.loss_on(), crate::settings::LossOn::Response);
    }

    #[test]
    fn without_exams_a_trial_is_scored_by_its_loss_on_the_test_set() {
        let world = world();
        let mut config = trial(world.path(), lora(), 1);
        config.as_object_mut().unwrap().remove("evaluation");
        config["template"] = json!("{{ instruction }} {{ input }} ->");
        let (outcomes, answers) = crate::invariance::run(&[config]);
        let metrics: Vec<&str> = outcomes[0].metrics.keys().map(String::as_str).collect();
        assert_eq!(metrics, ["mean_distance", "num_parameters", "test_loss", "train_loss"]);
        assert!(answers[0].contains("Say") && answers[0].contains(" ->"), "{}", answers[0]);
    }
}
