//! serde's and TOML's messages in the words of someone who writes an experiment file.

use crate::settings::error::SettingError;

/// A message of serde about a value that does not fit: what was found, and what would be right.
pub(crate) fn of_value(key: &str, message: &str) -> SettingError {
    if let Some(name) = message.strip_prefix("missing field ") {
        return SettingError::new(key, format!("{name} is missing"));
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let mut quoted = rest.split('`').skip(1).step_by(2);
        let name = quoted.next().unwrap_or_default();
        return SettingError::unknown_name(key, "value", name, &quoted.collect::<Vec<_>>());
    }
    let fit = ["invalid type: ", "invalid value: "].iter().find_map(|start| message.strip_prefix(start));
    match fit.and_then(|rest| rest.split_once(", expected ")) {
        Some((found, right)) => {
            SettingError::new(key, format!("found {}; write {}", found_text(found), right_text(right)))
        }
        None => SettingError::new(key, message),
    }
}

/// "integer `3`" as 3, "string \"a\"" as "a".
fn found_text(found: &str) -> String {
    match found {
        "sequence" => "a list".to_string(),
        "map" => "a table".to_string(),
        "string \"\"" => "an empty text".to_string(),
        _ => {
            let kinds = ["string ", "integer ", "floating point ", "boolean "];
            let value = kinds.iter().find_map(|kind| found.strip_prefix(kind)).unwrap_or(found);
            value.trim_matches('`').to_string()
        }
    }
}

fn right_text(right: &str) -> String {
    let text = match right {
        "f64" | "f32" => "a number",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or above",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "a boolean" | "bool" => "true or false",
        "a string" | "string" | "str" => "a text in quotes",
        "a sequence" => "a list, as in [0, 1]",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    };
    text.to_string()
}

/// A message of the TOML reader.
pub(crate) fn of_syntax(message: &str) -> String {
    match message {
        "duplicate key" => "this name stands twice; keep one of them".to_string(),
        "string values must be quoted, expected literal string" => {
            "no value, or a text without quotes; write `key = \"text\"` or `key = 3`".to_string()
        }
        "missing comma between array elements, expected `,`" => {
            "the list before this is not closed with `]`, or lacks a comma".to_string()
        }
        "unexpected key or value, expected newline, `#`" => {
            "there is more on this line after the value; a decimal point is `.`, a comment begins with `#`"
                .to_string()
        }
        other => format!("this is no TOML: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_and_expected_are_in_plain_words() {
        let text = |message: &str| of_value("", message).message;
        for (message, plain) in [
            ("invalid type: string \"fast\", expected f64", "found \"fast\"; write a number"),
            ("invalid type: boolean `true`, expected a string", "found true; write a text in quotes"),
            ("invalid value: integer `-1`, expected u64", "found -1; write a whole number, 0 or above"),
            ("invalid type: map, expected a sequence", "found a table; write a list, as in [0, 1]"),
            ("missing field `rate`", "`rate` is missing"),
            ("anything else", "anything else"),
        ] {
            assert_eq!(text(message), plain);
        }
        let unknown = "unknown variant `maximise`, expected `maximize` or `minimize`";
        assert_eq!(text(unknown), "`maximise`: unknown value; did you mean `maximize`?");
    }
}
