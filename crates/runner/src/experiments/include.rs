//! An experiment file with the files that it includes beneath it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Result, RunnerError};
use crate::experiments::layers::HEADER;
use crate::settings::{Source, Table, from_toml, leaves, of_syntax, set_path};

const INCLUDE: &str = "include";

/// The settings of an experiment file and of what it includes, and where each was written.
///
/// A key in both is the file's own; the same key in two included files is an error that names both places.
pub(crate) fn read(path: &Path, text: &str) -> Result<(Table, Source)> {
    let (mut file, mut source) = parse(path, text)?;
    let Some(value) = file.remove(INCLUDE) else { return Ok((file, source)) };
    let mut merged = Table::new();
    let mut parts: Vec<(Table, Source)> = Vec::new();
    for name in names(&value, &source)? {
        let (table, part) = included(&name, &source)?;
        if parts.iter().any(|(_, other)| other.path() == part.path()) {
            return Err(at_include(&source, &format!("{name:?} stands twice; remove one")));
        }
        for (key, value) in leaves(&table) {
            let twice = parts.iter().find(|(other, _)| clashes(other, &key, value));
            if let Some((_, other)) = twice {
                let key = key.join(".");
                let message = format!("stands in {} too; keep one of them", other.place(&key));
                return Err(RunnerError::setting(part.place(&key), &key, &message));
            }
            put(&mut merged, &key, value);
        }
        parts.push((table, part));
    }
    leaves(&file).into_iter().for_each(|(key, value)| put(&mut merged, &key, value));
    parts.into_iter().for_each(|(_, part)| source.add(part));
    Ok((merged, source))
}

fn parse(path: &Path, text: &str) -> Result<(Table, Source)> {
    let source = Source::new(path, text)?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| RunnerError::Syntax {
        place: path.display().to_string(),
        message: of_syntax(error.message()),
    })?;
    let file = from_toml(toml::Value::Table(table), "")
        .map_err(|(key, message)| RunnerError::setting(source.place(&key), &key, &message))?;
    let Value::Object(file) = file else { unreachable!("a TOML document is a table") };
    Ok((file, source))
}

/// One included file, which holds settings and nothing else.
fn included(name: &str, source: &Source) -> Result<(Table, Source)> {
    let path: PathBuf = source.path().parent().unwrap_or(Path::new("")).join(name);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let message = format!("cannot read {}: {error}; paths are relative to this file", path.display());
        at_include(source, &message)
    })?;
    let (table, part) = parse(&path, &text)?;
    match table.keys().find(|key| HEADER.contains(&key.as_str())) {
        None => Ok((table, part)),
        Some(key) => {
            let message = format!(
                "an included file holds tables of settings only; this goes into {}",
                source.path().display()
            );
            Err(RunnerError::setting(part.place(key), key, &message))
        }
    }
}

fn names(value: &Value, source: &Source) -> Result<Vec<String>> {
    let items = value.as_array().filter(|items| items.iter().all(|item| item.is_string()));
    let Some(items) = items else {
        let message = format!("found {value}; write a list of files, as in [\"tasks/one.toml\"]");
        return Err(at_include(source, &message));
    };
    Ok(items.iter().filter_map(Value::as_str).map(String::from).collect())
}

fn at_include(source: &Source, message: &str) -> RunnerError {
    RunnerError::setting(source.place(INCLUDE), INCLUDE, message)
}

/// Sets a leaf; an empty table takes nothing away.
fn put(table: &mut Table, path: &[&str], value: &Value) {
    let empty = value.as_object().is_some_and(Table::is_empty);
    if !(empty && found(table, path).is_some_and(Value::is_object)) {
        set_path(table, path, value.clone());
    }
}

/// What `table` has at `path`, or the single value above it.
fn found<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    match table.get(path[0])? {
        Value::Object(inner) if path.len() > 1 => found(inner, &path[1..]),
        value => Some(value),
    }
}

/// Whether a leaf cannot stand beside what `table` has: both are empty tables or parts of one, or they clash.
fn clashes(table: &Table, path: &[&str], value: &Value) -> bool {
    found(table, path).is_some_and(|other| !(other.is_object() && value.is_object()))
}
