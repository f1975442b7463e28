//! Labelled pictures to a parquet file, as the Hugging Face hub has them.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::json;

/// A picture's name, its encoded bytes, and its label.
pub type Row = (String, Vec<u8>, i64);

/// Writes the pictures to a file, with the names of their classes where they are given.
pub fn write(path: &Path, classes: Option<&[&str]>, rows: &[Row]) -> Result<()> {
    std::fs::create_dir_all(path.parent().context("a file in a folder")?)?;
    let file =
        std::fs::File::create(path).with_context(|| format!("{}: cannot be written", path.display()))?;
    let schema = "message schema { optional group image { optional binary bytes; optional binary path (string); } \
                  optional int64 label; }";
    let metadata = classes.map(|names| {
        let features = json!({"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}});
        vec![KeyValue::new("huggingface".to_owned(), json!({"info": {"features": features}}).to_string())]
    });
    let properties = WriterProperties::builder()
        .set_created_by("mini_pictures".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(19)?)) // JPEG files have tables in common
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_key_value_metadata(metadata)
        .build();
    let mut writer =
        SerializedFileWriter::new(file, Arc::new(parse_message_type(schema)?), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    let bytes: Vec<ByteArray> = rows.iter().map(|(_, bytes, _)| bytes.clone().into()).collect();
    let names: Vec<ByteArray> = rows.iter().map(|(name, ..)| name.as_str().into()).collect();
    let labels: Vec<i64> = rows.iter().map(|&(.., label)| label).collect();
    column::<ByteArrayType>(&mut group, &bytes, 2)?;
    column::<ByteArrayType>(&mut group, &names, 2)?;
    column::<Int64Type>(&mut group, &labels, 1)?;
    group.close()?;
    writer.close()?;
    Ok(())
}

/// Writes the next column, whose values are all there; `level` is how many of its parts may be absent.
fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<std::fs::File>,
    values: &[T::T],
    level: i16,
) -> Result<()> {
    let mut column = group.next_column()?.context("a column of the schema")?;
    column.typed::<T>().write_batch(values, Some(&vec![level; values.len()]), None)?;
    Ok(column.close()?)
}
