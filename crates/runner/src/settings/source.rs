//! Where each setting of an experiment was written: file and line of every key, and the `--set` options.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::error::{Result, RunnerError};
use crate::settings::SELECTION;
use crate::settings::words::of_syntax;

/// Text positions of the keys of an experiment file and of the files that it includes.
#[derive(Clone, Debug)]
pub struct Source {
    /// The experiment file, then what it includes.
    files: Vec<PathBuf>,
    /// Key path to where it stands: in the first of the files that have it.
    lines: BTreeMap<String, Line>,
    /// Key path to the option as it was given, as in `--set rank=4`.
    sets: BTreeMap<String, String>,
    /// Compared settings that have tables for their values.
    tables_of: Vec<String>,
}

/// Index of a file, and line in it from 1; in the order in which keys were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    file: usize,
    line: usize,
}

/// Which trials a setting is for, and so which tables it can stand in.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scope<'a> {
    pub method: Option<&'a str>,
    /// Compared settings that have tables for their values, each with its value.
    pub values: &'a [(String, String)],
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
            lines.entry(path.join(".")).or_insert_with(|| Line { file: 0, line: line_at(text, span.start) });
        });
        let files = vec![path.to_path_buf()];
        Ok(Source { files, lines, sets: BTreeMap::new(), tables_of: Vec::new() })
    }

    /// Adds the keys of an included file, beneath those that are known.
    pub fn add(&mut self, included: Source) {
        let first = self.files.len();
        self.files.extend(included.files);
        for (key, Line { file, line }) in included.lines {
            self.lines.entry(key).or_insert(Line { file: first + file, line });
        }
    }

    /// Notes that `key` was given on the command line.
    pub fn add_set(&mut self, key: &str, value: &str) {
        self.sets.insert(key.to_string(), format!("--set {key}={value}"));
    }

    /// Notes which compared settings have tables for their values.
    pub fn set_tables_of(&mut self, axes: &[String]) {
        self.tables_of = axes.to_vec();
    }

    /// The experiment file.
    pub fn path(&self) -> &Path {
        &self.files[0]
    }

    /// Line of a key, for sorting keys in the order they were written.
    pub(crate) fn line(&self, key: &str) -> Line {
        self.lines.get(key).copied().unwrap_or(Line { file: usize::MAX, line: usize::MAX })
    }

    /// Whether a key stands in an included file and not in the experiment's own.
    pub(crate) fn is_included(&self, key: &str) -> bool {
        self.lines.get(key).is_some_and(|line| line.file > 0)
    }

    fn text(&self, Line { file, line }: Line) -> String {
        format!("{}:{line}", self.files[file].display())
    }

    /// The option that gave `key`, spelled as in the file or without its section or scale.
    fn option(&self, key: &str) -> Option<&String> {
        let parts: Vec<&str> = key.split('.').collect();
        let short = match parts.as_slice() {
            ["scale", _, rest @ ..] | ["fixed" | "scientific" | "nuisance", rest @ ..] => rest.join("."),
            _ => return self.sets.get(key),
        };
        self.sets.get(key).or_else(|| self.sets.get(&short))
    }

    /// The `--set` that gave `key`, else its file and line, or those of its nearest parent.
    pub fn place(&self, key: &str) -> String {
        let mut prefix = key;
        loop {
            if let Some(option) = self.option(prefix) {
                return option.clone();
            }
            if let Some(line) = self.lines.get(prefix) {
                return self.text(*line);
            }
            match prefix.rsplit_once('.') {
                Some((parent, _)) => prefix = parent,
                None => return self.path().display().to_string(),
            }
        }
    }

    /// Place and written key of the setting at `key` of a resolved config.
    ///
    /// What was written last wins: `--set`, then the scale's tables, then the file's; of each, a table for a value of
    /// a compared setting before a general one.
    pub(crate) fn find(&self, key: &str, scope: Scope, scale: &str) -> (String, String) {
        let mut prefix = key;
        while !prefix.is_empty() {
            let rest = &key[prefix.len()..];
            let written = spellings(prefix, scope);
            let given =
                |key: &String| Some((key.clone(), self.sets.get(key).or_else(|| self.selection(key))?));
            if let Some((spelling, option)) = written.iter().find_map(given) {
                return (option.clone(), format!("{spelling}{rest}"));
            }
            // `method`, or a setting with tables for its values, is itself written as a list; a table of that name holds settings.
            let holds_tables = prefix == "method.name" || self.has_tables(prefix);
            let names = |spelling: &String| {
                !holds_tables || spelling.contains("scientific.") || !self.has_below(spelling)
            };
            let scaled = written.iter().map(|key| format!("scale.{scale}.{key}"));
            for spelling in scaled.chain(written.iter().cloned()).filter(names) {
                if let Some(line) = self.lines.get(&spelling) {
                    let replaced = self.given_above(&spelling).cloned();
                    return (replaced.unwrap_or_else(|| self.text(*line)), format!("{spelling}{rest}"));
                }
            }
            prefix = prefix.rsplit_once('.').map_or("", |(parent, _)| parent);
        }
        (self.path().display().to_string(), key.to_string())
    }

    /// The option that chose the values of `key`, as in `--set subject.first=3`.
    fn selection(&self, key: &str) -> Option<&String> {
        SELECTION.iter().find_map(|choice| self.sets.get(&format!("{key}.{choice}")))
    }

    /// The option that gave what stands above `key`, in whose place what the file has below it is no more.
    fn given_above(&self, key: &str) -> Option<&String> {
        let mut prefix = key;
        while let Some((parent, _)) = prefix.rsplit_once('.') {
            // A list of names leaves the tables of the names as they are.
            let is_list_of_names = |name: &str| name == "method" || self.has_tables(name);
            let last = parent.rsplit('.').next().unwrap_or(parent);
            let replaces = |option: &&String| !is_list_of_names(last) || option.ends_with('}');
            if let Some(option) = self.option(parent).filter(replaces) {
                return Some(option);
            }
            prefix = parent;
        }
        None
    }

    /// Whether `key` is a compared setting with tables for its values.
    fn has_tables(&self, key: &str) -> bool {
        self.tables_of.iter().any(|axis| axis == key)
    }

    fn has_below(&self, key: &str) -> bool {
        let below = format!("{key}.");
        self.lines.range(below.clone()..).next().is_some_and(|(next, _)| next.starts_with(&below))
    }
}

/// Ways in which one layer can spell a key of the resolved config, the one that wins first.
fn spellings(key: &str, scope: Scope) -> Vec<String> {
    let plain = general(key, scope.method);
    let is_of_method = key == "method" || key.starts_with("method.");
    let of_method = scope.method.filter(|_| !is_of_method).map(|name| format!("method.{name}.fixed.{key}"));
    let lists = ["method", "scientific.method", "seeds"];
    let mut all = Vec::new();
    for (axis, value) in scope.values.iter().rev() {
        let settings = of_method.iter().chain(&plain).filter(|spelling| !lists.contains(&spelling.as_str()));
        all.extend(settings.map(|spelling| format!("{axis}.{value}.{spelling}")));
    }
    all.into_iter().chain(of_method).chain(plain).collect()
}

/// The spellings that hold for every value of every compared setting.
fn general(key: &str, method: Option<&str>) -> Vec<String> {
    if key == "seed" {
        return vec!["seeds".to_string()];
    }
    if key == "method.name" {
        return vec!["method".to_string(), "scientific.method".to_string()];
    }
    match (key.strip_prefix("method"), method) {
        (Some(rest), Some(method)) if rest.is_empty() || rest.starts_with('.') => {
            let table = format!("method.{method}{rest}");
            let mut spellings = vec![table.clone(), format!("nuisance.{table}")];
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A task may read a list into a table, in the order of its fields; the error is then of a field.
    #[test]
    fn what_an_option_replaces_is_told_by_the_option() {
        let text = "[scale.mini]\nprior = { weight = 1, pictures = 2 }\n[scale.mini.method.lora]\nrank = 1\n";
        let mut source = Source::new(Path::new("walk.toml"), text).unwrap();
        source.add_set("prior", "[0, 0]");
        source.add_set("method", "lora");
        let place = |key| source.find(key, Scope { method: Some("lora"), values: &[] }, "mini").0;
        assert_eq!(place("prior.pictures"), "--set prior=[0, 0]");
        assert_eq!(place("method.rank"), "walk.toml:4");
    }
}
