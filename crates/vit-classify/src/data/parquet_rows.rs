//! Labelled pictures from parquet files.

use std::fs::File;
use std::path::{Path, PathBuf};

use finetune::{ParquetFileError, byte_cells, number_cells, read_parquet};
use parquet::basic::Type;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;

use super::{DataError, Labelled, Source};

const BYTES: &str = "image.bytes";
const LABEL: &str = "label";
/// Where the hub's library writes what the columns mean.
const METADATA: &str = "huggingface";

/// All rows of the shards of a split.
pub(super) fn read(split: &str, paths: &[PathBuf]) -> Result<Labelled, DataError> {
    let place = paths[0].clone();
    let mut labelled = Labelled { place, names: None, pictures: Vec::new(), labels: Vec::new() };
    for path in paths {
        let (names, rows) = read_parquet(path, |reader| decode(path, reader))?;
        labelled.names = labelled.names.or(names);
        for (source, label) in rows {
            labelled.pictures.push(source);
            labelled.labels.push(label);
        }
    }
    match labelled.labels.is_empty() {
        true => Err(DataError::Empty { path: labelled.place, split: split.to_owned() }),
        false => Ok(labelled),
    }
}

type Rows = Vec<(Source, usize)>;

fn decode(
    path: &Path,
    reader: &SerializedFileReader<File>,
) -> Result<(Option<Vec<String>>, Rows), DataError> {
    let damaged = |error: ParquetError| ParquetFileError::of(path, &error);
    let bytes_column = find(path, reader, BYTES, "bytes", &[Type::BYTE_ARRAY])?;
    let label_column = find(path, reader, LABEL, "an integer", &[Type::INT32, Type::INT64])?;
    let names = class_names(reader);
    let mut rows = Rows::new();
    for index in 0..reader.num_row_groups() {
        let group = reader.get_row_group(index).map_err(damaged)?;
        let bytes = byte_cells(&*group, bytes_column).map_err(damaged)?;
        let labels = number_cells(&*group, label_column).map_err(damaged)?;
        for (bytes, label) in bytes.into_iter().zip(labels) {
            let place = PathBuf::from(format!("{}: row {}", path.display(), rows.len() + 1));
            let absent = |column| DataError::Null { place: place.clone(), column };
            let (bytes, label) = (bytes.ok_or_else(|| absent(BYTES))?, label.ok_or_else(|| absent(LABEL))?);
            let num_classes = names.as_ref().map(Vec::len);
            if label < 0.0 || num_classes.is_some_and(|count| label >= count as f64) {
                return Err(DataError::Label { place, label, num_classes });
            }
            rows.push((Source::Bytes { bytes, place }, label as usize));
        }
    }
    Ok((names, rows))
}

/// Where the column stands among those of the file.
fn find(
    path: &Path,
    reader: &SerializedFileReader<File>,
    column: &'static str,
    wanted: &'static str,
    types: &[Type],
) -> Result<usize, DataError> {
    let columns = reader.metadata().file_metadata().schema_descr().columns();
    let Some(index) = columns.iter().position(|found| found.path().string() == column) else {
        let found = columns.iter().map(|column| column.path().string()).collect();
        return Err(DataError::MissingColumn { path: path.to_owned(), column, found });
    };
    let found = &columns[index];
    if types.contains(&found.physical_type()) && found.max_rep_level() == 0 {
        return Ok(index);
    }
    let found = found.physical_type().to_string();
    Err(DataError::ColumnType { path: path.to_owned(), column, found, wanted })
}

/// Names of the classes, where the hub's library has written them.
fn class_names(reader: &SerializedFileReader<File>) -> Option<Vec<String>> {
    let metadata = reader.metadata().file_metadata().key_value_metadata()?;
    let text = metadata.iter().find(|entry| entry.key == METADATA)?.value.as_ref()?;
    let metadata: Value = serde_json::from_str(text).ok()?;
    let names = metadata.pointer("/info/features/label/names")?.as_array()?;
    names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}
