//! Parquet files in every codec, and those that cannot be read.

use std::sync::Arc;

use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use roberta_glue::data::{DataError, Example, Split, read};
use roberta_glue::tasks::find;

const ROWS: usize = 200;

fn written(codec: Compression) -> Vec<u8> {
    let schema = "message schema { required binary sentence (utf8); required int64 label; }";
    let properties = WriterProperties::builder().set_compression(codec).build();
    let mut bytes = Vec::new();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut file = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
    let mut group = file.next_row_group().unwrap();
    let texts: Vec<ByteArray> = (0..ROWS).map(|row| format!("sentence {row}").as_str().into()).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
    column.close().unwrap();
    let labels: Vec<i64> = (0..ROWS as i64).map(|row| row % 2).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&labels, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    file.close().unwrap();
    bytes
}

fn read_bytes(bytes: &[u8]) -> Result<Vec<Example>, DataError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("cola")).unwrap();
    std::fs::write(folder.path().join("cola/train-00000-of-00001.parquet"), bytes).unwrap();
    read(folder.path(), find("cola").unwrap(), Split::Train)
}

#[test]
fn a_file_in_any_codec_has_the_same_rows() {
    let wanted: Vec<Example> = (0..ROWS)
        .map(|row| Example { texts: vec![format!("sentence {row}")], label: (row % 2) as f32 })
        .collect();
    for codec in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        let rows = read_bytes(&written(codec)).unwrap_or_else(|error| panic!("{codec:?}: {error}"));
        assert_eq!(rows, wanted, "{codec:?}");
    }
}

/// A file whose columns say that they are compressed with the codec of this number.
fn of_codec(number: u8) -> Vec<u8> {
    let mut bytes = written(Compression::SNAPPY);
    let footer = bytes.len() * 3 / 4;
    // In the footer, field 4 of a column is an i32, the codec, and field 5 an i64; numbers are zigzag.
    let snappy = [0x15, 1 << 1, 0x16];
    let mut changed = 0;
    for at in footer..bytes.len() - snappy.len() {
        if bytes[at..at + snappy.len()] == snappy {
            bytes[at + 1] = number << 1;
            changed += 1;
        }
    }
    assert!(changed > 0, "no column's codec was found");
    bytes
}

#[test]
fn a_codec_that_cannot_be_read_is_named_with_a_way_to_another_one_and_nothing_is_to_be_deleted() {
    let lzo = read_bytes(&of_codec(3)).unwrap_err().to_string();
    for part in ["train-00000-of-00001.parquet", "compressed with LZO", "lz4 and zstd", "write it again"] {
        assert!(lzo.contains(part), "`{part}` is not in: {lzo}");
    }
    let mut encrypted = written(Compression::SNAPPY);
    let end = encrypted.len() - 4;
    encrypted[end..].copy_from_slice(b"PARE");
    let encrypted = read_bytes(&encrypted).unwrap_err().to_string();
    assert!(encrypted.contains("is encrypted"), "{encrypted}");
    let unknown = read_bytes(&of_codec(20)).unwrap_err().to_string();
    assert!(unknown.contains("train-00000-of-00001.parquet"), "{unknown}");
    for message in [lzo, encrypted, unknown, read_bytes(b"PAR1").unwrap_err().to_string()] {
        assert!(!message.contains("delete"), "{message}");
    }
}
