//! Reading a resolved config into a typed struct, with errors that know the path of the key.

use std::ops::Range;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::settings::error::SettingError;
use crate::settings::words::of_value;

/// Reads `config` as `T`, strictly when `T` has `deny_unknown_fields`.
///
/// The error has the path of the offending key below `config`. Inside tagged enums, whose fields serde buffers,
/// the path may end at the enum.
pub fn settings<T: DeserializeOwned>(config: &Value) -> Result<T, SettingError> {
    settings_beside(config, &[])
}

/// As [`settings`], of a part of a config: an unknown key of it is compared with the keys of the `other` parts too.
pub fn settings_beside<T: DeserializeOwned>(config: &Value, other: &[&str]) -> Result<T, SettingError> {
    // Most configs are right, and read so they take a tenth of the time.
    if is_toml(config)
        && let Ok(read) = T::deserialize(config)
    {
        return Ok(read);
    }
    // TOML text keeps spans where serde_json's values do not: an error's span leads back to its key.
    let text = toml::to_string(config).map_err(|error| SettingError::new("", error.to_string()))?;
    toml::from_str(&text).map_err(|error| locate(&text, &error, other))
}

/// Whether TOML can say a value: it knows no null, and no integer beyond 63 bits.
fn is_toml(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Number(number) => !number.is_u64() || number.is_i64(),
        Value::Bool(_) | Value::String(_) => true,
        Value::Array(items) => items.iter().all(is_toml),
        Value::Object(table) => table.values().all(is_toml),
    }
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
    crate::settings::source::visit_keys(table.get_ref(), &mut |path, span| {
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
}
