//! Rows of data sets: parquet as on the hub, JSON Lines, or a JSON array.

use std::path::{Path, PathBuf};

pub use finetune::Place;
use finetune::{MissingShard, ParquetFileError, read_parquet, shards};
use parquet::errors::ParquetError;
use parquet::file::reader::FileReader;
use serde_json::Value;

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
    #[error("{path}: has no rows", path = path.display())]
    Empty { path: PathBuf },
    #[error(transparent)]
    Shard(#[from] MissingShard),
    #[error(
        "{folder}: there are no rows at any of {tried}; each may be a `.jsonl` or `.json` file, or `…-00000-of-00001.parquet`",
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

/// The rows of `path`: parquet, or by its contents JSON Lines or a JSON array.
pub fn read(path: &Path) -> Result<Vec<Row>, RowError> {
    let is_parquet = path.extension().is_some_and(|extension| extension == "parquet");
    let rows = if is_parquet { parquet(path)? } else { json(path)? };
    if rows.is_empty() { Err(RowError::Empty { path: path.to_owned() }) } else { Ok(rows) }
}

/// As [`read`], of several files.
pub fn read_all(paths: &[PathBuf]) -> Result<Vec<Row>, RowError> {
    let mut rows = Vec::new();
    for path in paths {
        rows.extend(read(path)?);
    }
    Ok(rows)
}

/// The files of the first of `candidates` that is there in `folder`: a name without what may follow it, with `*` for
/// one folder of any name.
pub fn find(folder: &Path, candidates: &[String]) -> Result<Vec<PathBuf>, RowError> {
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

/// The files of a stem: a file itself, `.jsonl`, `.json`, or shards of parquet.
fn at(stem: &Path) -> Result<Vec<PathBuf>, RowError> {
    let with = |ending: &str| {
        let mut name = stem.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let single = [with(""), with(".jsonl"), with(".json"), with(".parquet")];
    if let Some(path) = single.into_iter().find(|path| path.is_file()) {
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

fn json(path: &Path) -> Result<Vec<Row>, RowError> {
    let bytes =
        models::inputs::read(path).map_err(|source| RowError::Read { path: path.to_owned(), source })?;
    let place = |number| Place { path: path.to_owned(), unit: "line", number };
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        RowError::Encoding { place: place(1 + before.iter().filter(|&&byte| byte == b'\n').count()) }
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match text.trim_start().chars().next() {
        None => Ok(Vec::new()),
        Some('{') => text
            .lines()
            .zip(1..)
            .filter(|(line, _)| !line.trim().is_empty())
            .map(|(line, number)| match serde_json::from_str(line) {
                Ok(value) => Ok(Row { place: place(number), value }),
                Err(source) => Err(RowError::Json { place: place(number), source }),
            })
            .collect(),
        Some('[') => {
            let values: Vec<Value> = serde_json::from_str(text)
                .map_err(|source| RowError::Json { place: place(source.line()), source })?;
            let row =
                |(value, number)| Row { place: Place { path: path.to_owned(), unit: "row", number }, value };
            Ok(values.into_iter().zip(1..).map(row).collect())
        }
        Some(_) => Err(RowError::NoRows { path: path.to_owned() }),
    }
}
