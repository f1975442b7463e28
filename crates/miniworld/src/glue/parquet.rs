//! Rows of a task to a parquet file with GLUE's column types: text, `label` as int64 or float, `idx` as int32.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, FloatType, Int32Type, Int64Type};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::example::{Example, Label};

pub fn write(path: &Path, columns: &[&str], rows: &[Example]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let file = File::create(path).with_context(|| format!("{}: cannot be written", path.display()))?;
    write_rows(file, columns, rows).with_context(|| format!("{}: cannot be written", path.display()))
}

fn write_rows(file: File, columns: &[&str], rows: &[Example]) -> Result<()> {
    let texts: String = columns.iter().map(|name| format!("optional binary {name} (string); ")).collect();
    let scores: Vec<f32> = rows.iter().filter_map(|row| score(row.label)).collect();
    let label = if scores.is_empty() { "int64" } else { "float" };
    let schema = format!("message schema {{ {texts} optional {label} label; optional int32 idx; }}");
    let schema = Arc::new(parse_message_type(&schema)?);
    let properties = WriterProperties::builder()
        .set_created_by("delora world".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(19)?))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_encoding(ColumnPath::from("idx"), Encoding::DELTA_BINARY_PACKED)
        .build();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for index in 0..columns.len() {
        let texts: Vec<ByteArray> = rows.iter().map(|row| row.texts[index].as_str().into()).collect();
        column::<ByteArrayType>(&mut group, &texts)?;
    }
    if scores.is_empty() {
        let classes: Vec<i64> = rows.iter().filter_map(|row| class(row.label)).collect();
        column::<Int64Type>(&mut group, &classes)?;
    } else {
        column::<FloatType>(&mut group, &scores)?;
    }
    let indices: Vec<i32> = (0..).take(rows.len()).collect();
    column::<Int32Type>(&mut group, &indices)?;
    group.close()?;
    writer.close()?;
    Ok(())
}

fn column<T: parquet::data_type::DataType>(
    group: &mut SerializedRowGroupWriter<File>,
    values: &[T::T],
) -> Result<()> {
    let mut column = group.next_column()?.context("a column of the schema")?;
    // Columns on the hub are nullable; 1 says that a value is there.
    column.typed::<T>().write_batch(values, Some(&vec![1; values.len()]), None)?;
    Ok(column.close()?)
}

fn class(label: Label) -> Option<i64> {
    match label {
        Label::Class(class) => Some(class as i64),
        Label::Score(_) => None,
    }
}

fn score(label: Label) -> Option<f32> {
    match label {
        Label::Score(score) => Some(score),
        Label::Class(_) => None,
    }
}
