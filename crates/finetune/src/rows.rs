//! Rows of data sets: parquet as on the hub, JSON Lines, a JSON array, CSV, or TSV.
//!
//! The first row of CSV and TSV has the columns' names, and every cell is a text. CSV may quote cells; TSV does not, so that a
//! quotation mark is one, and a text has no tabs or line breaks.

use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use parquet::file::reader::FileReader;
use serde_json::Value;

use crate::parquet_file::{ParquetFileError, read_parquet};
use crate::place::Place;
use crate::shards::{MissingShard, shards};

/// What can be wrong with a file of rows.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    #[error("{path}: cannot be read: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Parquet(#[from] ParquetFileError),
    #[error("{place}: not JSON ({source}); correct it")]
    Json { place: Place, source: serde_json::Error },
    #[error("{path}: neither a JSON array of rows nor JSON Lines", path = path.display())]
    NoRows { path: PathBuf },
    #[error("{place}: is not UTF-8; convert the file")]
    Encoding { place: Place },
    #[error("{place}: {found} cell(s), and the header has {wanted}; {remedy}")]
    Cells { place: Place, found: usize, wanted: usize, remedy: &'static str },
    #[error("{path}: the header names `{column}` twice; rename one", path = path.display())]
    Header { path: PathBuf, column: String },
    #[error("{place}: {problem}")]
    Csv { place: Place, problem: String },
    #[error("{path}: has no rows", path = path.display())]
    Empty { path: PathBuf },
    #[error(transparent)]
    Shard(#[from] MissingShard),
    #[error(
        "{folder}: there are no rows at any of {tried}; each may be a file of one of the endings {ENDINGS}, or `…-00000-of-00001.parquet`",
        folder = folder.display()
    )]
    NotFound { folder: PathBuf, tried: String },
    #[error("{place}: `{field}` is missing; the row has {found}")]
    Missing { place: Place, field: String, found: String },
    #[error("{place}: `{field}` is {found}; it should be {wanted}")]
    Type { place: Place, field: String, found: String, wanted: &'static str },
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    pub place: Place,
    pub value: Value,
}

impl Row {
    /// The value at a path such as `choices.text`.
    pub fn field(&self, path: &str) -> Result<&Value, RowError> {
        let found = path.split('.').try_fold(&self.value, |value, key| value.get(key));
        found.filter(|value| !value.is_null()).ok_or_else(|| {
            let keys: Vec<&str> =
                self.value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
            let found = if keys.is_empty() { "no fields".to_owned() } else { keys.join(", ") };
            RowError::Missing { place: self.place.clone(), field: path.to_owned(), found }
        })
    }

    pub fn text(&self, path: &str) -> Result<&str, RowError> {
        let value = self.field(path)?;
        value.as_str().ok_or_else(|| self.wrong(path, value, "a text"))
    }

    pub fn texts(&self, path: &str) -> Result<Vec<String>, RowError> {
        let value = self.field(path)?;
        let texts = value.as_array().and_then(|texts| {
            texts.iter().map(|text| text.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        texts.ok_or_else(|| self.wrong(path, value, "a list of texts"))
    }

    /// That a field's value is not what it should be.
    pub fn wrong(&self, path: &str, value: &Value, wanted: &'static str) -> RowError {
        let mut found = value.to_string();
        if let Some((end, _)) = found.char_indices().nth(60) {
            found.truncate(end);
            found.push('…');
        }
        RowError::Type { place: self.place.clone(), field: path.to_owned(), found, wanted }
    }
}

/// The rows of `path`: by its ending parquet, CSV or TSV, else by its contents JSON Lines or a JSON array.
pub fn read_rows(path: &Path) -> Result<Vec<Row>, RowError> {
    let rows = match path.extension().and_then(|ending| ending.to_str()) {
        Some("parquet") => parquet(path)?,
        Some("csv") => csv(path)?,
        Some("tsv") => tsv(path)?,
        _ => json(path)?,
    };
    if rows.is_empty() { Err(RowError::Empty { path: path.to_owned() }) } else { Ok(rows) }
}

/// The rows of several files, see [`read_rows`].
pub fn read_all_rows(paths: &[PathBuf]) -> Result<Vec<Row>, RowError> {
    let mut rows = Vec::new();
    for path in paths {
        rows.extend(read_rows(path)?);
    }
    Ok(rows)
}

/// The files of the first of `candidates` that is there in `folder`: a name without what may follow it, with `*` for
/// one folder of any name.
pub fn find_rows(folder: &Path, candidates: &[String]) -> Result<Vec<PathBuf>, RowError> {
    for candidate in candidates {
        for stem in expanded(folder, candidate) {
            let files = at(&stem)?;
            if !files.is_empty() {
                return Ok(files);
            }
        }
    }
    Err(RowError::NotFound { folder: folder.to_owned(), tried: candidates.join(", ") })
}

/// Endings of files of rows.
const ENDINGS: &str = "`.jsonl`, `.json`, `.parquet`, `.csv`, `.tsv`";

/// The files of a stem: a file itself, one with an ending, or shards of parquet.
fn at(stem: &Path) -> Result<Vec<PathBuf>, RowError> {
    let with = |ending: &str| {
        let mut name = stem.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let endings = ENDINGS.split(", ").map(|ending| with(ending.trim_matches('`')));
    if let Some(path) = [with("")].into_iter().chain(endings).find(|path| path.is_file()) {
        return Ok(vec![path]);
    }
    Ok(shards(stem)?)
}

/// Paths that a candidate may mean, sorted.
fn expanded(folder: &Path, candidate: &str) -> Vec<PathBuf> {
    let grow = |paths: Vec<PathBuf>, part: &str| -> Vec<PathBuf> {
        if part != "*" {
            return paths.into_iter().map(|path| path.join(part)).collect();
        }
        let entries = paths.iter().filter_map(|path| path.read_dir().ok()).flatten();
        let mut found: Vec<PathBuf> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
        found.sort();
        found
    };
    candidate.split('/').fold(vec![folder.to_owned()], grow)
}

fn parquet(path: &Path) -> Result<Vec<Row>, RowError> {
    read_parquet(path, |reader| {
        let damaged = |error: ParquetError| ParquetFileError::of(path, &error);
        let rows = reader.get_row_iter(None).map_err(damaged)?;
        rows.zip(1..)
            .map(|(row, number)| {
                let place = Place { path: path.to_owned(), unit: "row", number };
                Ok(Row { place, value: row.map_err(damaged)?.to_json_value() })
            })
            .collect()
    })
}

fn line(path: &Path, number: usize) -> Place {
    Place { path: path.to_owned(), unit: "line", number }
}

/// The text of a file, without a byte order mark.
fn text(path: &Path) -> Result<String, RowError> {
    let bytes =
        models::inputs::read(path).map_err(|source| RowError::Read { path: path.to_owned(), source })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        RowError::Encoding { place: line(path, 1 + before.iter().filter(|&&byte| byte == b'\n').count()) }
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The names of columns, of which no two are the same.
fn header<'a>(path: &Path, cells: impl Iterator<Item = &'a str>) -> Result<Vec<String>, RowError> {
    let mut names: Vec<String> = Vec::new();
    for name in cells {
        if names.iter().any(|other| other == name) {
            return Err(RowError::Header { path: path.to_owned(), column: name.to_owned() });
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// A row of as many cells as `names`.
fn of_cells<'a>(place: Place, names: &[String], cells: impl Iterator<Item = &'a str>) -> Row {
    let fields = names.iter().cloned().zip(cells.map(|cell| Value::String(cell.to_owned())));
    Row { place, value: Value::Object(fields.collect()) }
}

fn csv(path: &Path) -> Result<Vec<Row>, RowError> {
    let text = text(path)?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let failed = |error: csv::Error| {
        let at = error.position().map_or(1, |position| position.line() as usize);
        match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => RowError::Cells {
                place: line(path, at),
                found: *len as usize,
                wanted: *expected_len as usize,
                remedy: "a cell with a comma, a quotation mark or a line break stands in quotation marks",
            },
            _ => RowError::Csv { place: line(path, at), problem: error.to_string() },
        }
    };
    let names = header(path, reader.headers().map_err(failed)?.iter())?;
    reader
        .records()
        .map(|record| {
            let record = record.map_err(failed)?;
            let at = record.position().map_or(1, |position| position.line() as usize);
            Ok(of_cells(line(path, at), &names, record.iter()))
        })
        .collect()
}

fn tsv(path: &Path) -> Result<Vec<Row>, RowError> {
    let text = text(path)?;
    let mut lines = text.lines();
    let names = header(path, lines.next().unwrap_or_default().split('\t'))?;
    lines
        .zip(2..)
        .map(|(cells, number)| {
            let found = cells.split('\t').count();
            let remedy = "cells are separated by one tab each, and a text has none";
            match found == names.len() {
                true => Ok(of_cells(line(path, number), &names, cells.split('\t'))),
                false => {
                    Err(RowError::Cells { place: line(path, number), found, wanted: names.len(), remedy })
                }
            }
        })
        .collect()
}

fn json(path: &Path) -> Result<Vec<Row>, RowError> {
    let text = text(path)?;
    match text.trim_start().chars().next() {
        None => Ok(Vec::new()),
        Some('{') => text
            .lines()
            .zip(1..)
            .filter(|(row, _)| !row.trim().is_empty())
            .map(|(row, number)| match serde_json::from_str(row) {
                Ok(value) => Ok(Row { place: line(path, number), value }),
                Err(source) => Err(RowError::Json { place: line(path, number), source }),
            })
            .collect(),
        Some('[') => {
            let values: Vec<Value> = serde_json::from_str(&text)
                .map_err(|source| RowError::Json { place: line(path, source.line()), source })?;
            let row =
                |(value, number)| Row { place: Place { path: path.to_owned(), unit: "row", number }, value };
            Ok(values.into_iter().zip(1..).map(row).collect())
        }
        Some(_) => Err(RowError::NoRows { path: path.to_owned() }),
    }
}
