//! Which linear layers a trial adapts: those of a role, or those that a name, a glob or a regular expression fits.

use std::fmt;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::site::{LinearShape, Role};

/// One entry of a trial's `targets`, written as a text:
///
/// - a role, as in `query`;
/// - `regex:` and a regular expression, which the whole name of a layer has to fit;
/// - any other text: a layer's name, or what it ends with behind a dot, in which `*` stands for any characters.
///
/// ```
/// use delora_core::{LinearShape, Role, Target};
///
/// let layer = LinearShape { role: Role::Value, in_features: 8, out_features: 8, has_bias: false };
/// let fits = |text: &str| Target::parse(text).unwrap().fits("model.layers.1.self_attn.v_proj", &layer);
/// assert!(fits("value") && fits("v_proj") && fits("*.layers.1.*") && fits(r"regex:.*\.[01]\..*_proj"));
/// assert!(!fits("query") && !fits("proj") && !fits("layers.0.*") && !fits("regex:v_proj"));
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// Layers of this role.
    Role(Role),
    /// Layers by their names.
    Named(Pattern),
}

/// What names of layers fit.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// What was written.
    text: String,
    /// What the whole name of a layer has to fit.
    expression: Regex,
}

const REGEX: &str = "regex:";

impl Target {
    /// All layers of these roles.
    pub fn roles(roles: &[Role]) -> Vec<Target> {
        roles.iter().map(|&role| Target::Role(role)).collect()
    }

    /// Errors: a regular expression that is none.
    pub fn parse(text: &str) -> Result<Target, String> {
        if let Some(role) = Role::ALL.into_iter().find(|role| role.to_string() == text) {
            return Ok(Target::Role(role));
        }
        let expression = match text.strip_prefix(REGEX) {
            Some(expression) => format!("^(?:{expression})$"),
            None => {
                let parts: Vec<String> = text.split('*').map(regex::escape).collect();
                format!(r"^(?:.*\.)?{}$", parts.join(".*"))
            }
        };
        let expression =
            Regex::new(&expression).map_err(|error| format!("`{text}` is no regular expression: {error}"))?;
        Ok(Target::Named(Pattern { text: text.to_owned(), expression }))
    }

    /// The layer of this very name.
    pub fn layer(name: &str) -> Target {
        let expression = Regex::new(&format!("^{}$", regex::escape(name))).expect("an escaped name is one");
        Target::Named(Pattern { text: name.to_owned(), expression })
    }

    /// Whether it means the layer `name`.
    pub fn fits(&self, name: &str, shape: &LinearShape) -> bool {
        match self {
            Target::Role(role) => shape.role == *role,
            Target::Named(pattern) => pattern.expression.is_match(name),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Target, String> {
        Target::parse(&text)
    }
}

impl From<Target> for String {
    fn from(target: Target) -> String {
        target.to_string()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Target::Role(role) => role.fmt(formatter),
            Target::Named(pattern) => formatter.write_str(&pattern.text),
        }
    }
}

impl PartialEq for Target {
    fn eq(&self, other: &Target) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Target {}
