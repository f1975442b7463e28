//! Examples from a parquet file.

use std::fs::File;
use std::path::Path;

use finetune::{ParquetFileError, read_parquet};
use parquet::basic::{ConvertedType, Type};
use parquet::column::reader::{ColumnReader, get_typed_column_reader};
use parquet::data_type::{ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::row::{DataError, Example, LABEL, Place, find_columns, label};
use crate::tasks::GlueTask;

/// A column's values, `None` where a cell is null.
type Cells<T> = Vec<Option<T>>;

pub(super) fn read(path: &Path, task: &GlueTask) -> Result<Vec<Example>, DataError> {
    read_parquet(path, |reader| decode(path, reader, task))
}

fn decode(
    path: &Path,
    reader: &SerializedFileReader<File>,
    task: &GlueTask,
) -> Result<Vec<Example>, DataError> {
    let damaged = |error: ParquetError| ParquetFileError::of(path, &error);
    let schema = reader.metadata().file_metadata().schema_descr();
    let names: Vec<String> = schema.columns().iter().map(|column| column.path().string()).collect();
    let (text_columns, label_column) = find_columns(path, task, &names)?;
    for (&index, &name) in text_columns.iter().zip(task.columns) {
        check_type(path, name, &schema.column(index), "text", is_text)?;
    }
    let (wanted, is_label): (_, fn(&ColumnDescriptor) -> bool) = match task.is_regression() {
        true => ("a number", is_number),
        false => ("an integer", is_integer),
    };
    check_type(path, LABEL, &schema.column(label_column), wanted, is_label)?;

    let mut examples = Vec::new();
    for index in 0..reader.num_row_groups() {
        let group = reader.get_row_group(index).map_err(damaged)?;
        let texts =
            text_columns.iter().map(|&column| texts(&*group, column)).collect::<ParquetResult<Vec<_>>>();
        let labels = numbers(&*group, label_column).map_err(damaged)?;
        examples.extend(
            Group { path, task, first_row: examples.len() + 1 }.examples(texts.map_err(damaged)?, labels)?,
        );
    }
    Ok(examples)
}

/// What the errors of a row group's rows need to know.
struct Group<'a> {
    path: &'a Path,
    task: &'a GlueTask,
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
            let text = |(cells, &column): (&mut std::vec::IntoIter<_>, _)| {
                let bytes: Vec<u8> =
                    cells.next().flatten().ok_or_else(|| DataError::Null { place: place(), column })?;
                String::from_utf8(bytes).map_err(|_| DataError::Encoding { place: place() })
            };
            let texts = texts.iter_mut().zip(self.task.columns).map(text).collect::<Result<_, _>>()?;
            let number = number.ok_or_else(|| DataError::Null { place: place(), column: LABEL })?;
            Ok(Example { texts, label: label(self.task, number, place)? })
        })
        .collect()
    }
}

fn check_type(
    path: &Path,
    name: &'static str,
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
    Err(DataError::ColumnType { path: path.to_path_buf(), column: name, found, wanted })
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

fn texts(group: &dyn RowGroupReader, column: usize) -> ParquetResult<Cells<Vec<u8>>> {
    cells::<ByteArrayType, _>(group, column, |bytes| bytes.data().to_vec())
}

fn numbers(group: &dyn RowGroupReader, column: usize) -> ParquetResult<Cells<f64>> {
    match group.get_column_reader(column)? {
        ColumnReader::Int32ColumnReader(_) => cells::<Int32Type, _>(group, column, f64::from),
        ColumnReader::Int64ColumnReader(_) => cells::<Int64Type, _>(group, column, |number| number as f64),
        ColumnReader::FloatColumnReader(_) => cells::<FloatType, _>(group, column, f64::from),
        _ => cells::<DoubleType, _>(group, column, |number| number),
    }
}

/// All cells of a column of a row group.
fn cells<T: DataType, V>(
    group: &dyn RowGroupReader,
    column: usize,
    convert: impl Fn(T::T) -> V,
) -> ParquetResult<Cells<V>> {
    let num_rows = group.metadata().num_rows() as usize;
    let max_level = group.metadata().column(column).column_descr().max_def_level();
    let mut reader = get_typed_column_reader::<T>(group.get_column_reader(column)?);
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    let mut done = 0;
    while done < num_rows {
        let (records, _, _) = reader.read_records(num_rows - done, Some(&mut levels), None, &mut values)?;
        if records == 0 {
            return Err(ParquetError::EOF(format!("{done} of {num_rows} rows of column {column}")));
        }
        done += records;
    }
    let mut values = values.into_iter().map(convert);
    if max_level == 0 {
        return Ok(values.map(Some).collect());
    }
    Ok(levels.into_iter().map(|level| if level == max_level { values.next() } else { None }).collect())
}
