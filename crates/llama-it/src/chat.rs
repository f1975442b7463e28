//! Conversations in a model's own words: the `chat_template` that its checkpoint ships.
//!
//! Reference: transformers' `apply_chat_template`. What a template may call besides Jinja's own are Python's methods of texts,
//! lists and tables, and `raise_exception`. A template that asks whether `strftime_now` is defined is told no, so that a text
//! does not depend on the day.

use std::path::{Path, PathBuf};

use finetune::{Row, RowError};
use minijinja::{Environment, ErrorKind, context};
use regex::{Captures, Regex};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::alpaca::Instruction;

/// What can be wrong with a checkpoint's template.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    #[error(
        "{folder}: has no chat template; it should be in chat_template.jinja or under `chat_template` of tokenizer_config.json, as \
         checkpoints of chat models have it. Set `template` for one of your own",
        folder = folder.display()
    )]
    Missing { folder: PathBuf },
    #[error("{path}: cannot be read: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: {problem}", path = path.display())]
    Template { path: PathBuf, problem: String },
}

/// What is given, and what is to be said then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    pub given: String,
    pub wanted: String,
}

/// What one says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    pub role: String,
    pub content: String,
}

impl From<Instruction> for Vec<Message> {
    /// A question and its answer; an input stands behind the instruction.
    fn from(own: Instruction) -> Vec<Message> {
        let asked = match own.input.is_empty() {
            true => own.instruction,
            false => format!("{}\n\n{}", own.instruction, own.input),
        };
        let message = |role: &str, content| Message { role: role.to_owned(), content };
        vec![message("user", asked), message(ASSISTANT, own.output)]
    }
}

const ASSISTANT: &str = "assistant";
/// Roles as ShareGPT's data sets call them.
const OTHER_NAMES: [(&str, &str); 3] = [("human", "user"), ("gpt", ASSISTANT), ("chatgpt", ASSISTANT)];

/// The messages in a column of a row: tables with `role` and `content`, or with ShareGPT's `from` and `value`.
pub fn messages(row: &Row, column: &str) -> Result<Vec<Message>, RowError> {
    const WANTED: &str = "a list of messages, each with `role` and `content`";
    let value = row.field(column)?;
    let text = |message: &Value, keys: [&str; 2]| {
        keys.iter().find_map(|key| message.get(*key)?.as_str()).map(str::to_owned)
    };
    let message = |message: &Value| {
        let role = text(message, ["role", "from"])?;
        let known = OTHER_NAMES.iter().find(|(other, _)| *other == role).map(|(_, own)| (*own).to_owned());
        Some(Message { role: known.unwrap_or(role), content: text(message, ["content", "value"])? })
    };
    let all = value.as_array().and_then(|all| all.iter().map(message).collect::<Option<Vec<_>>>());
    all.ok_or_else(|| row.wrong(column, value, WANTED))
}

/// A checkpoint's template, with its special tokens.
pub struct ChatTemplate {
    environment: Environment<'static>,
    begin: Option<String>,
    end: Option<String>,
}

/// `template` with blocks of Jinja's own in place of transformers' `{% generation %}`, which marks what the assistant says and
/// writes nothing.
fn without_marks(template: &str) -> String {
    let mark = Regex::new(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}").expect("a pattern of this file");
    let block = |found: &Captures| {
        let word = if found.get(2).is_some() { "endif" } else { "if true" };
        format!("{{%{} {word} {}%}}", &found[1], &found[3])
    };
    mark.replace_all(template, block).into_owned()
}

/// What is read of `tokenizer_config.json`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenizerConfig {
    chat_template: Option<Templates>,
    bos_token: Option<Token>,
    eos_token: Option<Token>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Templates {
    One(String),
    Named(Vec<Named>),
}

#[derive(Deserialize)]
struct Named {
    name: String,
    template: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Token {
    Text(String),
    Added { content: String },
}

impl Token {
    fn text(self) -> String {
        match self {
            Token::Text(text) | Token::Added { content: text } => text,
        }
    }
}

const FILE: &str = "chat_template.jinja";
const CONFIG: &str = "tokenizer_config.json";
const NAME: &str = "chat_template";

impl ChatTemplate {
    /// The files of the checkpoint in `folder` that its template is read from.
    pub fn files(folder: &Path) -> Vec<PathBuf> {
        [FILE, CONFIG].map(|name| folder.join(name)).into_iter().filter(|path| path.is_file()).collect()
    }

    /// The template of the checkpoint in `folder`. Of several that it names, the one named `default`.
    pub fn open(folder: &Path) -> Result<ChatTemplate, ChatError> {
        let read = |path: &Path| {
            models::inputs::read_to_string(path)
                .map_err(|source| ChatError::Read { path: path.to_owned(), source })
        };
        let [file, config_path] = [FILE, CONFIG].map(|name| folder.join(name));
        let config = match config_path.is_file() {
            false => TokenizerConfig::default(),
            true => serde_json::from_str(&read(&config_path)?).map_err(|error| ChatError::Template {
                path: config_path.clone(),
                problem: format!("{error}; copy it again from the checkpoint's repository"),
            })?,
        };
        let of_config = match config.chat_template {
            Some(Templates::One(text)) => Some(text),
            Some(Templates::Named(all)) => {
                all.into_iter().find(|own| own.name == "default").map(|own| own.template)
            }
            None => None,
        };
        let (path, text) = match (file.is_file(), of_config) {
            (true, _) => (file.clone(), read(&file)?),
            (false, Some(text)) => (config_path, text),
            (false, None) => return Err(ChatError::Missing { folder: folder.to_owned() }),
        };
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<String, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        environment
            .add_template_owned(NAME, without_marks(&text))
            .map_err(|error| ChatError::Template { path, problem: format!("`chat_template`: {error}") })?;
        let text = |token: Option<Token>| token.map(Token::text);
        Ok(ChatTemplate { environment, begin: text(config.bos_token), end: text(config.eos_token) })
    }

    fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, String> {
        let (bos_token, eos_token) = (&self.begin, &self.end);
        let template = self.environment.get_template(NAME).expect("it was added");
        template
            .render(context! { messages, add_generation_prompt, bos_token, eos_token })
            .map_err(|error| format!("the model's chat template refuses the conversation: {error:#}"))
    }

    /// The conversation, cut in front of and behind what the assistant says. What follows the last of it is left out.
    ///
    /// An error says why not: no word of the assistant; what the template refuses; a template that changes what it wrote of
    /// earlier messages when others follow.
    pub fn turns(&self, messages: &[Message]) -> Result<Vec<Turn>, String> {
        let mut turns = Vec::new();
        let mut done = String::new();
        for (index, _) in messages.iter().enumerate().filter(|(_, message)| message.role == ASSISTANT) {
            let [asked, answered] =
                [self.render(&messages[..index], true)?, self.render(&messages[..=index], false)?];
            let given = asked.strip_prefix(&done);
            let (Some(given), Some(wanted)) = (given, answered.strip_prefix(&asked)) else {
                return Err(format!(
                    "the model's chat template changes what it wrote of earlier messages at message {}, so that the answers cannot \
                     be told from the rest; use data of one answer each, or set `template`",
                    index + 1
                ));
            };
            turns.push(Turn { given: given.to_owned(), wanted: wanted.to_owned() });
            done = answered;
        }
        match turns.is_empty() {
            true => Err(format!("no message has the role `{ASSISTANT}`, so there is nothing to learn")),
            false => Ok(turns),
        }
    }
}
