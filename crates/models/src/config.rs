//! Config files of networks: every key is read, known to decide nothing here, or refused by name.
//!
//! A file's fields are those of the struct that implements [`Config`]; the table [`Config::OTHERS`] has all other keys that
//! public files have. So a key that nobody has thought of is an error, and no network reads its file in another way.

mod sizes;

use delora_core::field_names;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Map, Value};

pub(crate) use sizes::{bounded, depth, each_bounded, matrix, multiple, positive_number};

/// The struct of a config file.
pub trait Config: DeserializeOwned {
    /// What the file may have besides the struct's fields.
    const OTHERS: Others;

    /// Keys that the struct reads.
    fn fields() -> Vec<&'static str> {
        field_names::<Self>().to_vec()
    }

    /// Says what of the file is impossible or not supported that no key's own value tells, such as a part's keys.
    fn check_file(_file: &Map<String, Value>) -> Result<(), String> {
        Ok(())
    }

    /// Says which value cannot be: sizes that do not go together, counts of 0.
    fn check(&self) -> Result<(), String>;
}

/// Keys that are no fields. Keys of which the same is true stand in one text, with a space between.
pub struct Others {
    /// Keys that decide nothing here, in lists that say why.
    pub ignored: &'static [&'static [&'static str]],
    /// Keys that decide results, with the values that mean the network of this crate, as JSON.
    pub only: &'static [&'static [(&'static str, &'static [&'static str])]],
}

/// `null` is how the libraries write that a key is absent.
const ABSENT: Value = Value::Null;

/// The config of `file`; an error names the key, its value, and what would be right.
pub fn parse<C: Config>(file: &Value) -> Result<C, String> {
    let config: C = serde_json::from_value(file.clone()).map_err(|error| named::<C>(file, &error))?;
    let Some(keys) = file.as_object() else { return Ok(config) };
    check_keys::<C>(keys)?;
    config.check()?;
    Ok(config)
}

/// The config of `file`, with the error of [`parse`] as an error of JSON.
pub(crate) fn parse_json<C: Config>(file: &Value) -> Result<C, serde_json::Error> {
    parse(file).map_err(serde_json::Error::custom)
}

/// Refuses keys of `file` that are not known, and values of others that mean another network.
pub(crate) fn check_keys<C: Config>(file: &Map<String, Value>) -> Result<(), String> {
    let fields = C::fields();
    for (key, value) in file {
        let key = key.as_str();
        // What starts so says where the file comes from.
        let is_known = fields.contains(&key) || key.starts_with('_');
        if is_known || C::OTHERS.ignored.iter().copied().flatten().any(|keys| stands_in(keys, key)) {
            continue;
        }
        if QUANTIZED.contains(&key) && *value != ABSENT {
            let remedy = "take the checkpoint in F32, F16 or BF16";
            return Err(format!(
                "`{key}` is {}: its weights are quantized, which is not supported; {remedy}",
                shown(value)
            ));
        }
        match C::OTHERS.only.iter().copied().flatten().find(|(keys, _)| stands_in(keys, key)) {
            Some((_, right)) if right.iter().any(|right| is_same(value, right)) => {}
            Some((_, right)) => {
                let right = right.join(" or ");
                return Err(format!("`{key}` is {}; supported is {right}", shown(value)));
            }
            None if *value == ABSENT => {}
            None => {
                return Err(format!(
                    "unknown field `{key}`, which is {}: it may change results, so it is not skipped; fields are {}",
                    shown(value),
                    fields.join(", ")
                ));
            }
        }
    }
    C::check_file(file)
}

/// Whether `key` is one of `keys`, which have a space between.
fn stands_in(keys: &str, key: &str) -> bool {
    keys.split(' ').any(|other| other == key)
}

const QUANTIZED: [&str; 2] = ["quantization_config", "compression_config"];

/// `error` with the key whose value made it: without that key another error comes.
fn named<C: DeserializeOwned>(file: &Value, error: &serde_json::Error) -> String {
    let message = error.to_string();
    match culprit(&message, file, &|file| serde_json::from_value::<C>(file).err()) {
        Some((key, value)) => format!("`{key}` is {}: {message}", shown(&value)),
        None => message,
    }
}

/// The key, by its path, whose value makes `read` say `message`.
fn culprit(
    message: &str,
    file: &Value,
    read: &dyn Fn(Value) -> Option<serde_json::Error>,
) -> Option<(String, Value)> {
    let keys = file.as_object()?;
    let changes = |key: &String| {
        let mut others = keys.clone();
        others.remove(key);
        read(Value::Object(others)).is_none_or(|other| other.to_string() != message)
    };
    let is_missing = message.starts_with("missing field");
    let (key, value) = keys.iter().find(|(key, value)| (!is_missing || value.is_object()) && changes(key))?;
    let within = |part: Value| {
        let mut whole = keys.clone();
        whole.insert(key.clone(), part);
        read(Value::Object(whole))
    };
    let inner = culprit(message, value, &within);
    Some(inner.map_or((key.clone(), value.clone()), |(inner, value)| (format!("{key}.{inner}"), value)))
}

/// Whether `value` is what `right` says in JSON; 1 and 1.0 are the same.
fn is_same(value: &Value, right: &str) -> bool {
    let right: Value = serde_json::from_str(right).expect("tables hold JSON");
    match (value.as_f64(), right.as_f64()) {
        (Some(value), Some(right)) => value == right,
        _ => *value == right,
    }
}

/// `value` as a message has it.
pub(crate) fn shown(value: &Value) -> String {
    const LONGEST: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
