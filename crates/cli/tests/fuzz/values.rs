//! Mutations of JSON, TOML and of safetensors, whose header is JSON.

use serde_json::{Map, Value, json};

use crate::random::Random;

/// Words that stand for numbers which JSON cannot hold, until the text is written.
const WORDS: [(&str, &str, &str); 4] = [
    ("@not a number@", "NaN", "nan"),
    ("@infinity@", "Infinity", "inf"),
    ("@beyond a float@", "1e999", "1e999"),
    ("@beyond an integer@", "99999999999999999999999", "99999999999999999999999"),
];

type Mutated = Option<(Vec<u8>, String)>;

pub fn json(original: &[u8], random: &mut Random) -> Mutated {
    let mut value = serde_json::from_slice(original).ok()?;
    let what = mutate(&mut value, random);
    let text = serde_json::to_string_pretty(&value).ok()?;
    Some((with_words(text, |(_, json, _)| json), what))
}

/// A line's value, or what is before it.
pub fn json_lines(original: &[u8], random: &mut Random) -> Mutated {
    let text = std::str::from_utf8(original).ok()?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let at = random.below(lines.len().min(20));
    let mut value = serde_json::from_str(lines.get(at)?).ok()?;
    let what = mutate(&mut value, random);
    lines[at] = value.to_string();
    Some((with_words(lines.join("\n") + "\n", |(_, json, _)| json), format!("line {}: {what}", at + 1)))
}

pub fn toml(original: &[u8], random: &mut Random) -> Mutated {
    let table: toml::Table = toml::from_str(std::str::from_utf8(original).ok()?).ok()?;
    let mut value = serde_json::to_value(table).ok()?;
    let what = mutate(&mut value, random);
    let text = toml::to_string(&without_nulls(value)).ok()?;
    Some((with_words(text, |(_, _, toml)| toml), what))
}

/// The header's JSON, its length, or values.
pub fn safetensors(original: &[u8], random: &mut Random) -> Mutated {
    let length = u64::from_le_bytes(original.get(..8)?.try_into().ok()?) as usize;
    let header = original.get(8..8 + length)?;
    let tensors = &original[8 + length..];
    let joined =
        |length: u64, header: &[u8], tensors: &[u8]| [&length.to_le_bytes()[..], header, tensors].concat();
    match random.below(6) {
        0 => {
            let wrong = *random.pick(&[0, 1, length as u64 + 1, length as u64 - 1, 1 << 40, u64::MAX]);
            Some((joined(wrong, header, tensors), format!("header of {wrong} bytes")))
        }
        1 | 2 => {
            let mut changed = tensors.to_vec();
            let bits: [u8; 2] =
                *random.pick(&[[0xc0, 0x7f], [0x80, 0x7f], [0x80, 0xff], [0x00, 0x7e], [0xff, 0xff]]);
            let at = random.below(changed.len() / 4) * 4;
            changed.get_mut(at + 2..at + 4)?.copy_from_slice(&bits);
            Some((joined(length as u64, header, &changed), format!("a value with the bits {bits:x?}")))
        }
        _ => {
            let mut value = serde_json::from_slice(header).ok()?;
            let what = mutate(&mut value, random);
            let header = with_words(value.to_string(), |(_, json, _)| json);
            Some((joined(header.len() as u64, &header, tensors), format!("header: {what}")))
        }
    }
}

fn with_words(
    mut text: String,
    chosen: impl Fn((&str, &'static str, &'static str)) -> &'static str,
) -> Vec<u8> {
    for word in WORDS {
        text = text.replace(&format!("\"{}\"", word.0), chosen(word));
    }
    text.into_bytes()
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, own)| !own.is_null())
            .map(|(key, own)| (key, without_nulls(own)))
            .collect(),
        Value::Array(items) => items.into_iter().filter(|own| !own.is_null()).map(without_nulls).collect(),
        other => other,
    }
}

/// Changes one place, sometimes two, and says which.
pub fn mutate(value: &mut Value, random: &mut Random) -> String {
    let mut what = once(value, random);
    if random.percent(10) {
        what += "; ";
        what += &once(value, random);
    }
    what
}

fn once(value: &mut Value, random: &mut Random) -> String {
    let mut places = Vec::new();
    pointers(value, "", &mut places);
    let place = random.pick(&places).clone();
    let (parent, key) = place.rsplit_once('/').unwrap_or(("", ""));
    let key = key.replace("~1", "/").replace("~0", "~");
    let in_table = value.pointer_mut(parent).and_then(Value::as_object_mut).filter(|_| !place.is_empty());
    if let Some(table) = in_table
        && random.percent(30)
    {
        return rekey(table, &key, random);
    }
    let target = value.pointer_mut(&place).expect("the place was found");
    let new = other(target, random);
    let shown = new.to_string().chars().take(60).collect::<String>();
    *target = new;
    format!("{place} = {shown}")
}

/// Deletes, renames or adds a key.
fn rekey(table: &mut Map<String, Value>, key: &str, random: &mut Random) -> String {
    match random.below(3) {
        0 => {
            table.remove(key);
            format!("`{key}` deleted")
        }
        1 => {
            let own = table.remove(key).unwrap_or_default();
            let name = *random.pick(&["renamed", "", "é", "a.b", "nan", "x\ty"]);
            table.insert(name.to_owned(), own);
            format!("`{key}` renamed to `{name}`")
        }
        _ => {
            let own = table.get(key).cloned().unwrap_or_default();
            table.insert(format!("{key}_of_nobody"), own);
            format!("`{key}_of_nobody` added")
        }
    }
}

fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(map) => {
            for (key, own) in map {
                pointers(own, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        // The first items are like the others.
        Value::Array(items) => {
            for (index, own) in items.iter().enumerate().take(4) {
                pointers(own, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn other(old: &Value, random: &mut Random) -> Value {
    if let Value::Array(items) = old
        && random.percent(50)
    {
        let mut items = items.clone();
        let at = random.below(items.len());
        match random.below(4) {
            0 => items.clear(),
            1 if !items.is_empty() => drop(items.remove(at)),
            2 => items.extend(items.get(at).cloned()),
            _ => items.reverse(),
        }
        return items.into();
    }
    if let Some(number) = old.as_i64()
        && random.percent(40)
    {
        return random
            .pick(&[
                number.wrapping_add(1),
                number.wrapping_sub(1),
                number.wrapping_neg(),
                number.wrapping_mul(2),
                number / 2,
                number.wrapping_mul(1000),
            ])
            .to_owned()
            .into();
    }
    match random.below(18) {
        0 => Value::Null,
        1 => json!(0),
        2 => json!(-1),
        3 => json!(1),
        4 => json!(1_000_000_000_000_i64),
        5 => json!(i64::MAX),
        6 => json!(u64::MAX),
        7 => json!(1e-300),
        8 => json!(1e300),
        9 => json!(0.5),
        10 => json!(""),
        11 => json!("a word\u{0}\n\t \"'é🦀"),
        12 => json!(true),
        13 => json!([old, [old]]),
        14 => json!({ "inner": old }),
        15 => json!([]),
        _ => json!(random.pick(&WORDS).0),
    }
}
