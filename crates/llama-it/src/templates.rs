//! Templates of experiment files, and the columns of rows that become texts.

use minijinja::{Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};

/// Which columns are read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// Absent: `instruction`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
    /// Absent: `input`, which rows need not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// The response; absent: `output`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// A list of messages, each with `role` and `content`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<String>,
}

impl Columns {
    /// The column with the response.
    pub fn output(&self) -> &str {
        self.output.as_deref().unwrap_or("output")
    }

    /// Says which columns are named though nothing would read them.
    pub fn check(&self, template: Option<&str>, chat_template: bool) -> Result<(), (&'static str, String)> {
        let unread = |name: &str| format!("found `{name}`, which nothing reads");
        if let (Some(name), false) = (&self.messages, chat_template) {
            let right = "messages need `chat_template = true`";
            return Err(("columns.messages", format!("{}: {right}", unread(name))));
        }
        let singles = [
            ("columns.instruction", &self.instruction, template.is_some()),
            ("columns.input", &self.input, template.is_some()),
            ("columns.output", &self.output, false),
        ];
        for (key, name, is_in_template) in singles {
            let Some(name) = name else { continue };
            if is_in_template {
                return Err((key, format!("{}: `template` names its columns itself", unread(name))));
            }
            if self.messages.is_some() {
                return Err((key, format!("{}: `columns.messages` has whole conversations", unread(name))));
            }
        }
        Ok(())
    }
}

/// The name of the one template of [`parse_template`].
pub const TEMPLATE: &str = "template";

/// The template of an experiment file, or why it is none.
pub fn parse_template(template: &str) -> Result<Environment<'static>, String> {
    let mut environment = environment();
    environment.add_template_owned(TEMPLATE, template.to_owned()).map_err(|error| {
        format!("{error}; it is in Jinja's language, as in \"Q: {{{{ question }}}}\\nA:\"")
    })?;
    Ok(environment)
}

/// Jinja as exams and templates have it: a name that is not there is an error.
pub fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_keep_trailing_newline(true);
    environment
}
