//! Identity of a trial: a hash of everything that its result depends on, and of nothing else.

use std::collections::BTreeMap;

use serde_json::{Number, Value, json};

use crate::settings::leaves;
use crate::workload::Workload;

/// Version of the code's protocol. A change that alters what a config computes raises it, so that old
/// results are not taken for new ones.
pub const PROTOCOL_VERSION: u32 = 1;

/// First 16 hex digits of the blake3 of config, inputs, task and protocol version. `config` is a trial's [`material`] part.
pub fn trial_id(task: &str, config: &Value, inputs: &str) -> String {
    short_hash(canonical(&body(task, config, inputs)).as_bytes())
}

/// What is hashed.
pub(crate) fn body(task: &str, config: &Value, inputs: &str) -> Value {
    json!({"config": config, "inputs": inputs, "protocol": PROTOCOL_VERSION, "task": task})
}

/// The part of a resolved config that a result depends on: without what the workload says, and without paths, for whose
/// contents the inputs stand.
pub(crate) fn material(workload: &dyn Workload, config: &Value) -> Value {
    let mut config = workload.material(config.clone());
    for path in workload.paths() {
        let pointer = format!("/{}", path.replace('.', "/"));
        let (table, key) = pointer.rsplit_once('/').expect("it begins so");
        config.pointer_mut(table).and_then(Value::as_object_mut).and_then(|table| table.remove(key));
    }
    config
}

/// Every leaf of a table by its dotted path, in its [`canonical`] text.
pub(crate) fn flat(table: &Value) -> BTreeMap<String, String> {
    let leaves = table.as_object().into_iter().flat_map(leaves);
    leaves.map(|(path, value)| (path.join("."), canonical(value))).collect()
}

pub(crate) fn short_hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..16].to_string()
}

/// JSON text with sorted keys and one spelling for each number: `1`, `1.0` and `1e0` are equal.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => text.push_str(&value.to_string()),
        Value::Number(number) => text.push_str(&number_text(number)),
        Value::Array(items) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                text.push_str(if place > 0 { "," } else { "" });
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::Object(table) => {
            let mut entries: Vec<_> = table.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            text.push('{');
            for (place, (key, value)) in entries.into_iter().enumerate() {
                text.push_str(if place > 0 { "," } else { "" });
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_canonical(value, text);
            }
            text.push('}');
        }
    }
}

/// Shortest text that reads back as the same number; whole numbers have no point.
pub(crate) fn number_text(number: &Number) -> String {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53: below it every whole f64 is an exact integer
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < EXACT => {
            (float as i64).to_string()
        }
        _ => number.to_string(),
    }
}

/// Shortest text that reads back as the same number; nothing for one that is not finite.
pub(crate) fn float(value: f64) -> String {
    Number::from_f64(value).map(|number| number_text(&number)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_have_one_spelling_and_keys_one_order() {
        let left: Value = serde_json::from_str(r#"{"b": 1.0, "a": [1e-3, -0.0, "x\""]}"#).unwrap();
        let right: Value = serde_json::from_str(r#"{"a": [0.001, 0, "x\""], "b": 1}"#).unwrap();
        assert_eq!(canonical(&left), canonical(&right));
        assert_eq!(canonical(&left), r#"{"a":[0.001,0,"x\""],"b":1}"#);
    }

    #[test]
    fn an_id_is_stable_across_versions_of_this_code() {
        let config = json!({"seed": 1, "method": {"name": "delora", "rank": 16}});
        let text = r#"{"config":{"method":{"name":"delora","rank":16},"seed":1},"inputs":"digest","protocol":1,"task":"toy"}"#;
        assert_eq!(trial_id("toy", &config, "digest"), short_hash(text.as_bytes()));
        assert_eq!(trial_id("toy", &config, "digest"), "6f5fbd3250511678");
    }

    #[test]
    fn config_inputs_and_task_each_change_the_id() {
        let id = |task: &str, rank: u32, inputs: &str| trial_id(task, &json!({"rank": rank}), inputs);
        let all = [id("a", 1, "x"), id("a", 2, "x"), id("a", 1, "y"), id("b", 1, "x")];
        assert_eq!(std::collections::BTreeSet::from(all.clone()).len(), all.len());
        assert!(all.iter().all(|id| id.len() == 16));
    }

    proptest! {
        #[test]
        fn canonical_text_reads_back_as_the_same_number(float in proptest::num::f64::NORMAL) {
            let text = canonical(&json!(float));
            prop_assert_eq!(text.parse::<f64>().unwrap(), float);
        }
    }
}
