//! Reading a resolved config into a typed struct, with errors that know the path of the key.

use std::ops::Range;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::words::of_value;

/// A setting that cannot be used. The runner adds file and line of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct SettingError {
    /// Path in the resolved config, as in `method.rank`.
    pub key: String,
    /// What was found and what would be right.
    pub message: String,
}

impl SettingError {
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> SettingError {
        SettingError { key: key.into(), message: message.into() }
    }

    /// A key that is none of `known`, with the closest of them.
    pub fn unknown_key(key: impl Into<String>, known: &[&str]) -> SettingError {
        let key = key.into();
        let last = key.rsplit('.').next().unwrap_or_default().to_string();
        SettingError { message: unknown("key", &last, known), key }
    }

    /// A name that is none of `known`, with the closest of them; `what` says of what, as in "method".
    pub fn unknown_name(key: impl Into<String>, what: &str, name: &str, known: &[&str]) -> SettingError {
        let message = format!("`{name}`: {}", unknown(what, name, known));
        SettingError { key: key.into(), message }
    }

    /// The same error, its key taken relative to `prefix`.
    pub fn under(mut self, prefix: &str) -> SettingError {
        self.key = if self.key.is_empty() { prefix.to_string() } else { format!("{prefix}.{}", self.key) };
        self
    }
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    match closest(name, known) {
        Some(close) => format!("unknown {what}; did you mean `{close}`?"),
        None if known.is_empty() => format!("unknown {what}; none is allowed here"),
        None => format!("unknown {what}; known: {}", known.join(", ")),
    }
}

/// The name in `known` that is a typing error away from `name`.
pub fn closest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let limit = 1 + name.chars().count() / 4;
    let scored = known.iter().map(|candidate| (edit_distance(name, candidate), *candidate));
    scored
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Edits that turn `left` into `right`, a swap of neighbours counting as one (optimal string alignment).
fn edit_distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let substitute = rows[i][j] + usize::from(a != b);
            let mut best = substitute.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

/// Reads `config` as `T`, strictly when `T` has `deny_unknown_fields`.
///
/// The error has the path of the offending key below `config`. Inside tagged enums, whose fields serde buffers,
/// the path may end at the enum.
pub fn settings<T: DeserializeOwned>(config: &Value) -> Result<T, SettingError> {
    settings_beside(config, &[])
}

/// As [`settings`], of a part of a config: an unknown key of it is compared with the keys of the `other` parts too.
pub fn settings_beside<T: DeserializeOwned>(config: &Value, other: &[&str]) -> Result<T, SettingError> {
    // TOML text keeps spans where serde_json's values do not: an error's span leads back to its key.
    let text = toml::to_string(config).map_err(|error| SettingError::new("", error.to_string()))?;
    toml::from_str(&text).map_err(|error| locate(&text, &error, other))
}

fn locate(text: &str, error: &toml::de::Error, other: &[&str]) -> SettingError {
    let message = error.message();
    // What is missing has no place of its own; the error spans the table that lacks it, or the whole text.
    let exact = message.starts_with("missing field");
    let mut key = error.span().map(|span| path_at(text, span, exact)).unwrap_or_default();
    let Some((name, mut known)) = unknown_field(message) else { return of_value(&key, message) };
    if key.rsplit('.').next() != Some(name) {
        key = if key.is_empty() { name.to_string() } else { format!("{key}.{name}") };
    }
    if !key.contains('.') {
        known.extend(other);
    }
    SettingError::unknown_key(key, &known)
}

/// Name and alternatives in serde's "unknown field `a`, expected one of `b`, `c`".
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    Some((quoted.next()?, quoted.collect()))
}

/// Path of the innermost key that covers the start of `place` in a TOML text, or that spans just `place`.
fn path_at(text: &str, place: Range<usize>, exact: bool) -> String {
    let Ok(table) = toml::de::DeTable::parse(text) else { return String::new() };
    let mut best: Option<(usize, String)> = None;
    crate::source::visit_keys(table.get_ref(), &mut |path, span| {
        let covers = span.start <= place.start && place.start < span.end;
        let length = span.len();
        let inner = best.as_ref().is_none_or(|(shortest, _)| length <= *shortest);
        if inner && if exact { span == place } else { covers } {
            best = Some((length, path.join(".")));
        }
    });
    best.map(|(_, path)| path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        rank: u32,
        lambda: f64,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        steps: u64,
        method: Inner,
        optional: Option<bool>,
    }

    #[test]
    fn a_config_is_read_and_integers_pass_as_floats() {
        let config = json!({"steps": 3, "method": {"rank": 2, "lambda": 10}});
        let outer: Outer = settings(&config).unwrap();
        assert_eq!(outer, Outer { steps: 3, method: Inner { rank: 2, lambda: 10.0 }, optional: None });
    }

    #[test]
    fn a_misspelt_key_is_named_by_its_path_with_the_right_one() {
        let config = json!({"steps": 3, "method": {"rnak": 2, "lambda": 1.5}});
        let error = settings::<Outer>(&config).unwrap_err();
        assert_eq!(error.key, "method.rnak");
        assert_eq!(error.message, "unknown key; did you mean `rank`?");
    }

    #[test]
    fn a_wrong_type_is_named_by_its_path() {
        let config = json!({"steps": 3, "method": {"rank": 2, "lambda": "ten"}});
        let error = settings::<Outer>(&config).unwrap_err();
        assert_eq!(error.key, "method.lambda");
        assert!(
            error.message.contains("found \"ten\"") && error.message.contains("a number"),
            "{}",
            error.message
        );
    }

    #[test]
    fn a_missing_key_is_named_and_a_top_level_one_has_no_prefix() {
        let error = settings::<Outer>(&json!({"steps": 3, "method": {"rank": 2}})).unwrap_err();
        assert!(error.message.contains("`lambda` is missing"), "{}", error.message);
        assert_eq!(error.key, "method");
        let error = settings::<Outer>(&json!({"stesp": 3})).unwrap_err();
        assert_eq!((error.key.as_str(), error.message.contains("`steps`")), ("stesp", true));
    }

    #[test]
    fn far_names_are_listed_instead_of_guessed() {
        assert_eq!(closest("delroa", &["lora", "delora", "dora"]), Some("delora"));
        assert_eq!(closest("xyz", &["lora", "delora"]), None);
        let error = SettingError::unknown_name("method", "method", "xyz", &["lora", "delora"]);
        assert_eq!(error.to_string(), "method: `xyz`: unknown method; known: lora, delora");
    }
}
