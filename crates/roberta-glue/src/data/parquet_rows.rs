//! Examples from a parquet file.

use std::fs::File;
use std::path::Path;

use finetune::{Cells, ParquetFileError, Place, byte_cells, number_cells, read_parquet};
use parquet::basic::{ConvertedType, Type};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::row::{DataError, Example, find_columns, label};
use crate::tasks::TextTask;

pub(super) fn read(path: &Path, task: &TextTask) -> Result<Vec<Example>, DataError> {
    read_parquet(path, |reader| decode(path, reader, task))
}

fn decode(
    path: &Path,
    reader: &SerializedFileReader<File>,
    task: &TextTask,
) -> Result<Vec<Example>, DataError> {
    let damaged = |error: ParquetError| ParquetFileError::of(path, &error);
    let schema = reader.metadata().file_metadata().schema_descr();
    let names: Vec<String> = schema.columns().iter().map(|column| column.path().string()).collect();
    let (text_columns, label_column) = find_columns(path, task, &names)?;
    for (&index, name) in text_columns.iter().zip(&task.columns) {
        check_type(path, name, &schema.column(index), "text", is_text)?;
    }
    let (wanted, is_label): (_, fn(&ColumnDescriptor) -> bool) = match task.is_regression() {
        true => ("a number", is_number),
        false => ("an integer", is_integer),
    };
    check_type(path, &task.label, &schema.column(label_column), wanted, is_label)?;

    let mut examples = Vec::new();
    for index in 0..reader.num_row_groups() {
        let group = reader.get_row_group(index).map_err(damaged)?;
        let texts =
            text_columns.iter().map(|&column| byte_cells(&*group, column)).collect::<ParquetResult<Vec<_>>>();
        let labels = number_cells(&*group, label_column).map_err(damaged)?;
        examples.extend(
            Group { path, task, first_row: examples.len() + 1 }.examples(texts.map_err(damaged)?, labels)?,
        );
    }
    Ok(examples)
}

/// What the errors of a row group's rows need to know.
struct Group<'a> {
    path: &'a Path,
    task: &'a TextTask,
    /// Its first row in the file, from 1.
    first_row: usize,
}

impl Group<'_> {
    fn examples(&self, texts: Vec<Cells<Vec<u8>>>, labels: Cells<f64>) -> Result<Vec<Example>, DataError> {
        let mut texts: Vec<_> = texts.into_iter().map(Vec::into_iter).collect();
        let rows = labels.into_iter().enumerate();
        rows.map(|(index, number)| {
            let place =
                || Place { path: self.path.to_path_buf(), unit: "row", number: self.first_row + index };
            let text = |(cells, column): (&mut std::vec::IntoIter<_>, &String)| {
                let bytes: Vec<u8> = cells
                    .next()
                    .flatten()
                    .ok_or_else(|| DataError::Null { place: place(), column: column.clone() })?;
                String::from_utf8(bytes).map_err(|_| DataError::Encoding { place: place() })
            };
            let texts = texts.iter_mut().zip(&self.task.columns).map(text).collect::<Result<_, _>>()?;
            let number =
                number.ok_or_else(|| DataError::Null { place: place(), column: self.task.label.clone() })?;
            Ok(Example { texts, label: label(self.task, number, place)? })
        })
        .collect()
    }
}

fn check_type(
    path: &Path,
    name: &str,
    column: &ColumnDescriptor,
    wanted: &'static str,
    fits: impl Fn(&ColumnDescriptor) -> bool,
) -> Result<(), DataError> {
    if fits(column) && column.max_rep_level() == 0 {
        return Ok(());
    }
    let found = match column.converted_type() {
        ConvertedType::NONE => column.physical_type().to_string(),
        converted => format!("{} ({converted})", column.physical_type()),
    };
    Err(DataError::ColumnType { path: path.to_path_buf(), column: name.to_owned(), found, wanted })
}

fn is_text(column: &ColumnDescriptor) -> bool {
    column.physical_type() == Type::BYTE_ARRAY
        && matches!(column.converted_type(), ConvertedType::UTF8 | ConvertedType::NONE)
}

fn is_integer(column: &ColumnDescriptor) -> bool {
    matches!(column.physical_type(), Type::INT32 | Type::INT64)
}

fn is_number(column: &ColumnDescriptor) -> bool {
    is_integer(column) || matches!(column.physical_type(), Type::FLOAT | Type::DOUBLE)
}
