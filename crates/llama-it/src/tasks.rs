//! Evaluation tasks, described in TOML files, and their questions.
//!
//! `tasks/harness.toml` has MMLU, ARC-Challenge and TruthfulQA as lm-evaluation-harness asks them, and says what a
//! description consists of. The first newline of a prompt is left out, as TOML does.

use std::path::{Path, PathBuf};

use finetune::{Place, Row, RowError, find_rows, read_all_rows};
use minijinja::Environment;
use runner::closest;
use serde::Deserialize;

use crate::settings::Evaluation;
use crate::templates::environment;

/// What can be wrong with tasks or their data.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    #[error("{path}: cannot be read: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{file}: {source}")]
    Toml { file: String, source: Box<toml::de::Error> },
    #[error("{file}: task `{task}`: {problem}")]
    Description { file: String, task: String, problem: String },
    #[error(transparent)]
    Row(#[from] RowError),
    #[error("{place}: the prompt of `{task}` cannot be made: {problem}")]
    Prompt { place: Place, task: String, problem: String },
    #[error("{place}: {problem}")]
    Answer { place: Place, problem: String },
}

/// How a task is told from others and scored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub name: String,
    pub title: String,
    pub score: Score,
    /// Also the accuracy by log-likelihood per character.
    pub lengths: bool,
    prompt: String,
    choices: Choices,
    answer: Answer,
    group: Option<String>,
    rows: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// Whether the likeliest choice is the answer.
    Accuracy,
    /// Share of the choices' probability that true ones have.
    Mass,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Choices {
    Fixed(Vec<String>),
    Field(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Answer {
    Index { index: String },
    Label { label: String, among: String },
    Labels { labels: String },
    First { first: bool },
}

/// A task as a file has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    name: String,
    title: Option<String>,
    like: Option<String>,
    prompt: Option<String>,
    choices: Option<Choices>,
    answer: Option<Answer>,
    score: Option<Score>,
    lengths: Option<bool>,
    group: Option<String>,
    rows: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Descriptions {
    task: Vec<Description>,
}

/// One question.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub prompt: String,
    pub choices: Vec<String>,
    /// Whether each choice is true.
    pub is_true: Vec<bool>,
    pub group: Option<String>,
}

const HARNESS: &str = include_str!("../tasks/harness.toml");
const HARNESS_NAME: &str = "tasks/harness.toml of llama-it";

/// The tasks of `path`, or those of the paper.
pub fn load(path: Option<&Path>) -> Result<Vec<Task>, TaskError> {
    let Some(path) = path else { return parse(HARNESS, HARNESS_NAME) };
    let text = models::inputs::read_to_string(path)
        .map_err(|source| TaskError::Read { path: path.to_owned(), source })?;
    parse(&text, &path.display().to_string())
}

fn parse(text: &str, file: &str) -> Result<Vec<Task>, TaskError> {
    let descriptions: Descriptions = toml::from_str(text)
        .map_err(|source| TaskError::Toml { file: file.to_owned(), source: Box::new(source) })?;
    let mut resolved: Vec<Description> = Vec::new();
    for own in descriptions.task {
        let problem = |problem: String| TaskError::Description {
            file: file.to_owned(),
            task: own.name.clone(),
            problem,
        };
        if resolved.iter().any(|other| other.name == own.name) {
            return Err(problem("there is another of this name; rename one".to_owned()));
        }
        let base = own.like.as_ref().map(|like| {
            resolved.iter().find(|other| other.name == *like).cloned().ok_or_else(|| {
                let names: Vec<&str> = resolved.iter().map(|other| other.name.as_str()).collect();
                let near =
                    closest(like, &names).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                problem(format!("`like` is `{like}`, which is no task in front of it{near}"))
            })
        });
        let merged = match base.transpose()? {
            None => own.clone(),
            Some(base) => own.clone().beneath(base),
        };
        resolved.push(merged);
    }
    let tasks = resolved.into_iter().map(|own| {
        let task = own.name.clone();
        own.finish().map_err(|problem| TaskError::Description { file: file.to_owned(), task, problem })
    });
    tasks.collect()
}

impl Description {
    /// What is not stated is as in `base`, but for `lengths`.
    fn beneath(self, base: Description) -> Description {
        Description {
            name: self.name,
            like: None,
            title: self.title.or(base.title),
            prompt: self.prompt.or(base.prompt),
            choices: self.choices.or(base.choices),
            answer: self.answer.or(base.answer),
            score: self.score.or(base.score),
            lengths: self.lengths,
            group: self.group.or(base.group),
            rows: self.rows.or(base.rows),
        }
    }

    fn finish(self) -> Result<Task, String> {
        let missing = |key: &str| format!("`{key}` is missing");
        let answer = self.answer.ok_or_else(|| missing("answer"))?;
        if answer == (Answer::First { first: false }) {
            return Err(
                "`answer.first` is false; leave it out, and say which choice is the answer".to_owned()
            );
        }
        let prompt = self.prompt.ok_or_else(|| missing("prompt"))?;
        // TOML leaves out the first newline of a text in three quotes; here is the rest.
        environment().render_str(&prompt, minijinja::context! {}).map_or_else(
            |error| match error.kind() {
                minijinja::ErrorKind::SyntaxError => Err(format!("`prompt`: {error}")),
                _ => Ok(()),
            },
            |_| Ok(()),
        )?;
        Ok(Task {
            title: self.title.unwrap_or_else(|| self.name.clone()),
            name: self.name,
            score: self.score.ok_or_else(|| missing("score"))?,
            lengths: self.lengths.unwrap_or(false),
            prompt,
            choices: self.choices.ok_or_else(|| missing("choices"))?,
            answer,
            group: self.group,
            rows: self.rows.ok_or_else(|| missing("rows"))?,
        })
    }
}

impl Task {
    /// Files of the task's rows in `data`.
    pub fn files(&self, data: &Path) -> Result<Vec<PathBuf>, TaskError> {
        Ok(find_rows(data, &self.rows)?)
    }

    /// How many questions there are in `data`.
    pub fn count(&self, data: &Path) -> Result<usize, TaskError> {
        Ok(read_all_rows(&self.files(data)?)?.len())
    }

    /// The questions that `evaluation` wants asked, in the files' order.
    pub fn questions(&self, evaluation: &Evaluation) -> Result<Vec<Question>, TaskError> {
        let rows = read_all_rows(&self.files(&evaluation.data)?)?;
        let count = evaluation.limit.unwrap_or(rows.len()).min(rows.len());
        let spaced = (0..count).map(|index| &rows[index * rows.len() / count]);
        let environment = environment();
        spaced.map(|row| self.question(&environment, row)).collect()
    }

    fn question(&self, environment: &Environment, row: &Row) -> Result<Question, TaskError> {
        let prompt = environment.render_str(&self.prompt, &row.value).map_err(|error| {
            let problem = error.to_string();
            TaskError::Prompt { place: row.place.clone(), task: self.name.clone(), problem }
        })?;
        let choices = match &self.choices {
            Choices::Fixed(choices) => choices.clone(),
            Choices::Field(field) => row.texts(field)?,
        };
        let is_true = self.answers(row, choices.len())?;
        if let Some(empty) = choices.iter().position(String::is_empty).filter(|_| self.lengths) {
            let problem =
                format!("choice {} is empty, so that it has no log-likelihood per character", empty + 1);
            return Err(TaskError::Answer { place: row.place.clone(), problem });
        }
        let group = self.group.as_ref().map(|field| row.text(field).map(str::to_owned)).transpose()?;
        Ok(Question { prompt, choices, is_true, group })
    }

    fn answers(&self, row: &Row, count: usize) -> Result<Vec<bool>, TaskError> {
        let wrong = |problem: String| TaskError::Answer { place: row.place.clone(), problem };
        let one = |place: usize| (0..count).map(|index| index == place).collect();
        let is_true: Vec<bool> = match &self.answer {
            Answer::First { .. } => one(0),
            Answer::Index { index } => {
                let value = row.field(index)?;
                let found = value.as_u64().ok_or_else(|| row.wrong(index, value, "an index from 0"))?;
                one(found as usize)
            }
            Answer::Label { label, among } => {
                let (label, labels) = (row.text(label)?, row.texts(among)?);
                // The hub's rows number some choices from 1 and letter others.
                let place = labels.iter().position(|own| own == label);
                let place = place.ok_or_else(|| {
                    wrong(format!("the answer `{label}` is none of the labels {}", labels.join(", ")))
                })?;
                one(place)
            }
            Answer::Labels { labels } => {
                let value = row.field(labels)?;
                let numbers = value.as_array().and_then(|labels| {
                    labels.iter().map(serde_json::Value::as_u64).collect::<Option<Vec<u64>>>()
                });
                let numbers = numbers.ok_or_else(|| row.wrong(labels, value, "a list of 0 and 1"))?;
                numbers.into_iter().map(|number| number == 1).collect()
            }
        };
        if is_true.len() != count {
            return Err(wrong(format!(
                "{count} choices and {} labels; they should be as many",
                is_true.len()
            )));
        }
        if !is_true.contains(&true) {
            return Err(wrong(format!("none of the {count} choices is the answer")));
        }
        Ok(is_true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(own: &str) -> Result<Vec<Task>, String> {
        let base = "[[task]]\nname = 'a'\nrows = ['a']\nchoices = 'choices'\nscore = 'accuracy'\n";
        parse(&format!("{base}{own}"), "own.toml").map_err(|error| error.to_string())
    }

    #[test]
    fn the_papers_tasks_are_well_described() {
        let tasks = load(None).unwrap();
        let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
        assert_eq!(names, ["mmlu", "arc", "mc1", "mc2"]);
        assert_eq!(tasks[2].prompt, tasks[3].prompt);
        assert!(tasks[1].lengths && !tasks[2].lengths);
        assert!(tasks[0].prompt.starts_with("The following") && tasks[0].prompt.ends_with("Answer:"));
    }

    #[test]
    fn a_question_is_made_from_a_row_and_what_is_wrong_with_one_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let evaluation =
            Evaluation { data: folder.path().to_owned(), tasks: None, begin: false, limit: None };
        let own = "prompt = \"Q: {{ q | trim }}\\nA:\"\nanswer = { label = 'key', among = 'labels' }\n";
        let tasks = task(own).unwrap();
        let questions = |text: &str| {
            std::fs::write(folder.path().join("a.jsonl"), text).unwrap();
            tasks[0].questions(&evaluation).map_err(|error| error.to_string())
        };
        let good = r#"{"q": " What? ", "choices": ["x", "y"], "labels": ["1", "2"], "key": "2"}"#;
        let question = questions(good).unwrap().remove(0);
        assert_eq!((question.prompt.as_str(), &question.is_true[..]), ("Q: What?\nA:", &[false, true][..]));
        let bad = |row: &str| questions(&format!("{good}\n{row}\n")).unwrap_err();
        let message = bad(r#"{"q": "What?", "choices": ["x", "y"], "labels": ["A", "B"], "key": "C"}"#);
        assert!(
            message.contains("a.jsonl: line 2") && message.contains("`C` is none of the labels A, B"),
            "{message}"
        );
        let message = bad(r#"{"choices": ["x", "y"], "labels": ["A", "B"], "key": "B"}"#);
        assert!(message.contains("line 2") && message.contains("the prompt of `a`"), "{message}");
        let message = bad(r#"{"q": "What?", "choices": "x", "labels": ["A"], "key": "A"}"#);
        assert!(message.contains("`choices` is \"x\"; it should be a list of texts"), "{message}");
        let message = bad("{\"q\": ");
        assert!(message.contains("line 2: not JSON"), "{message}");
        let message = bad(r#"{"q": "What?", "choices": ["x"], "labels": ["A", "B"], "key": "B"}"#);
        assert!(message.contains("none of the 1 choices"), "{message}");
    }

    #[test]
    fn a_description_that_cannot_be_meant_is_named() {
        let message = task("prompt = '{{ q'\nanswer = { first = true }\n").unwrap_err();
        assert!(message.contains("own.toml: task `a`: `prompt`"), "{message}");
        let message = task("answer = { first = true }\n").unwrap_err();
        assert!(message.contains("`prompt` is missing"), "{message}");
        let message =
            task("prompt = ''\nanswer = { first = true }\n[[task]]\nname = 'b'\nlike = 'c'\n").unwrap_err();
        assert!(message.contains("task `b`: `like` is `c`"), "{message}");
        let message = task("prompt = ''\nanswer = { first = true }\nscores = 1\n").unwrap_err();
        assert!(message.contains("scores"), "{message}");
    }
}
