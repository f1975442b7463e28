//! Where each setting of an experiment was written: the line of every key in the file, and the `--set` options.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::error::{Result, RunnerError};
use crate::words::of_syntax;

/// Text positions of the keys of one experiment file.
#[derive(Clone, Debug)]
pub struct Source {
    path: PathBuf,
    /// Key path to line, counted from 1.
    lines: BTreeMap<String, usize>,
    /// Key path to the option as it was given, as in `--set rank=4`.
    sets: BTreeMap<String, String>,
}

impl Source {
    /// Indexes the keys of `text`; fails on TOML that does not parse.
    pub fn new(path: &Path, text: &str) -> Result<Source> {
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_at(text, span.start));
            RunnerError::Syntax {
                place: format!("{}:{line}", path.display()),
                message: of_syntax(error.message()),
            }
        })?;
        let mut lines = BTreeMap::new();
        visit_keys(table.get_ref(), &mut |path, span| {
            lines.entry(path.join(".")).or_insert_with(|| line_at(text, span.start));
        });
        Ok(Source { path: path.to_path_buf(), lines, sets: BTreeMap::new() })
    }

    /// Notes that `key` was given on the command line.
    pub fn add_set(&mut self, key: &str, value: &str) {
        self.sets.insert(key.to_string(), format!("--set {key}={value}"));
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Line of a key of the file, for sorting keys in the order they were written.
    pub fn line(&self, key: &str) -> usize {
        self.lines.get(key).copied().unwrap_or(usize::MAX)
    }

    /// File and line of `key`, or of its nearest parent that is in the file.
    pub fn place(&self, key: &str) -> String {
        let mut prefix = key;
        loop {
            if let Some(line) = self.lines.get(prefix) {
                return format!("{}:{line}", self.path.display());
            }
            match prefix.rsplit_once('.') {
                Some((parent, _)) => prefix = parent,
                None => return self.path.display().to_string(),
            }
        }
    }

    /// Place and written key of the setting at `key` of a resolved config.
    ///
    /// What was written last wins: `--set`, then the scale's table, then the method's table and the sections.
    pub fn find(&self, key: &str, method: Option<&str>, scale: &str) -> (String, String) {
        let mut prefix = key;
        while !prefix.is_empty() {
            let rest = &key[prefix.len()..];
            let written = spellings(prefix, method);
            if let Some((spelling, option)) = written.iter().find_map(|key| self.sets.get_key_value(key)) {
                return (option.clone(), format!("{spelling}{rest}"));
            }
            // `method` as a table holds settings of methods; only as a list does it name them.
            let names = |spelling: &String| prefix != "method.name" || !self.has_below(spelling);
            let scaled = written.iter().map(|key| format!("scale.{scale}.{key}"));
            for spelling in scaled.chain(written.iter().cloned()).filter(names) {
                if let Some(line) = self.lines.get(&spelling) {
                    return (format!("{}:{line}", self.path.display()), format!("{spelling}{rest}"));
                }
            }
            prefix = prefix.rsplit_once('.').map_or("", |(parent, _)| parent);
        }
        (self.path.display().to_string(), key.to_string())
    }

    fn has_below(&self, key: &str) -> bool {
        let below = format!("{key}.");
        self.lines.range(below.clone()..).next().is_some_and(|(next, _)| next.starts_with(&below))
    }
}

/// Ways in which the file or an option can spell a key of the resolved config.
fn spellings(key: &str, method: Option<&str>) -> Vec<String> {
    if key == "seed" {
        return vec!["seeds".to_string()];
    }
    if key == "method.name" {
        return vec!["method".to_string(), "scientific.method".to_string()];
    }
    match (key.strip_prefix("method"), method) {
        (Some(rest), Some(method)) if rest.is_empty() || rest.starts_with('.') => {
            let own = format!("method.{method}{rest}");
            let mut spellings = vec![own.clone(), format!("nuisance.{own}")];
            if rest.is_empty() {
                spellings.extend(["scientific.method", "method"].map(String::from));
            }
            spellings
        }
        _ => {
            let sections = ["scientific", "nuisance", "fixed"].map(|section| format!("{section}.{key}"));
            std::iter::once(key.to_string()).chain(sections).collect()
        }
    }
}

/// Calls `visit` with the path and the span of every key, and again with the span of its value.
pub(crate) fn visit_keys(table: &DeTable, visit: &mut dyn FnMut(&[String], Range<usize>)) {
    fn walk(table: &DeTable, path: &mut Vec<String>, visit: &mut dyn FnMut(&[String], Range<usize>)) {
        for (key, value) in table {
            path.push(key.get_ref().to_string());
            visit(path, key.span());
            visit(path, value.span());
            if let DeValue::Table(inner) = value.get_ref() {
                walk(inner, path, visit);
            }
            path.pop();
        }
    }
    walk(table, &mut Vec::new(), visit);
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}
