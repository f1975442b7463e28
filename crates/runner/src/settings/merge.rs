//! Merging settings by key path, and conversion from TOML.

use serde_json::{Map, Number, Value};

pub type Table = Map<String, Value>;

/// Sets the value at `path`, keeping everything beside it.
///
/// A value on the way that is no table is replaced. So is a selection such as `{ first = 3 }` by the keys of a
/// plain table and the other way round: a setting is either chosen by the task or written out.
pub fn set_path(table: &mut Table, path: &[&str], value: Value) {
    let Some((key, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        table.insert(key.to_string(), value);
        return;
    }
    let slot = table.entry(key.to_string()).or_insert_with(|| Value::Object(Table::new()));
    let keeps = slot.as_object().is_some_and(|inner| {
        inner.is_empty() || rest.len() > 1 || is_selection(inner) == SELECTION.contains(&rest[0])
    });
    if !keeps {
        *slot = Value::Object(Table::new());
    }
    let inner = slot.as_object_mut().expect("the slot was just made a table");
    set_path(inner, rest, value);
}

/// Keys of a table that chooses among the values that a task knows, as in `subject = { first = 3 }`.
pub(crate) const SELECTION: [&str; 3] = ["first", "skip", "without"];

pub(crate) fn is_selection(table: &Table) -> bool {
    !table.is_empty() && table.keys().all(|key| SELECTION.contains(&key.as_str()))
}

/// The value at a dotted path.
pub fn get_path<'a>(config: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(config, |value, key| value.get(key))
}

/// Every leaf below `table` with its path; an empty table is a leaf.
pub fn leaves(table: &Table) -> Vec<(Vec<&str>, &Value)> {
    let mut found = Vec::new();
    for (key, value) in table {
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                for (mut path, leaf) in leaves(inner) {
                    path.insert(0, key);
                    found.push((path, leaf));
                }
            }
            _ => found.push((vec![key.as_str()], value)),
        }
    }
    found
}

/// JSON form of a TOML value; the error is a path and a message.
pub fn from_toml(value: toml::Value, path: &str) -> Result<Value, (String, String)> {
    let below = |key: &str| if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Boolean(flag) => Value::Bool(flag),
        toml::Value::Float(number) => Value::Number(
            Number::from_f64(number)
                .ok_or_else(|| (path.to_string(), format!("found {number}; a setting is a finite number")))?,
        ),
        toml::Value::Datetime(date) => {
            return Err((path.to_string(), format!("found the date {date}; write it as a string")));
        }
        toml::Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| from_toml(item, path)).collect::<Result<_, _>>()?)
        }
        toml::Value::Table(table) => {
            let mut object = Table::new();
            for (key, value) in table {
                if key.contains('.') || key.is_empty() {
                    return Err((below(&key), "a key is not empty and has no dot in it".to_string()));
                }
                let value = from_toml(value, &below(&key))?;
                object.insert(key, value);
            }
            Value::Object(object)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(base: Value, path: &[&str], value: Value) -> Value {
        let Value::Object(mut table) = base else { panic!("a table") };
        set_path(&mut table, path, value);
        Value::Object(table)
    }

    #[test]
    fn setting_one_field_keeps_the_others() {
        let base = json!({"optimizer": {"name": "adamw", "weight_decay": 0.01}, "steps": 3});
        let merged = set(base, &["optimizer", "name"], json!("sgd"));
        assert_eq!(merged, json!({"optimizer": {"name": "sgd", "weight_decay": 0.01}, "steps": 3}));
    }

    #[test]
    fn a_written_out_value_replaces_a_selection_and_a_list() {
        let folder =
            |base| set(set(base, &["subject", "folder"], json!("a")), &["subject", "class"], json!("b"));
        let expected = json!({"subject": {"folder": "a", "class": "b"}});
        assert_eq!(folder(json!({"subject": {"first": 3, "skip": 2}})), expected);
        assert_eq!(folder(json!({"subject": ["dog", "cat"]})), expected);
        assert_eq!(set(expected, &["subject", "first"], json!(2)), json!({"subject": {"first": 2}}));
    }

    #[test]
    fn a_selection_merges_with_a_selection() {
        let merged = set(json!({"subject": {"first": 3, "skip": 2}}), &["subject", "first"], json!(1));
        assert_eq!(merged, json!({"subject": {"first": 1, "skip": 2}}));
    }

    #[test]
    fn non_finite_numbers_and_dates_are_no_settings() {
        let table = |text: &str| toml::Value::Table(text.parse().unwrap());
        assert_eq!(from_toml(table("a.b = nan"), "").unwrap_err().0, "a.b");
        assert!(from_toml(table("a = 2020-01-01"), "").unwrap_err().1.contains("string"));
        assert_eq!(from_toml(table("a = [1, 2.5]"), "").unwrap(), json!({"a": [1, 2.5]}));
    }
}
