//! Rows of parquet files in every codec.

use std::fs::File;
use std::sync::Arc;

use finetune::{find_rows, read_rows};
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

#[test]
fn instructions_in_any_codec_are_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    for codec in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        let path = folder.path().join("train.parquet");
        let schema = Arc::new(parse_message_type("message schema { required binary a (utf8); }").unwrap());
        let properties = Arc::new(WriterProperties::builder().set_compression(codec).build());
        let mut file = SerializedFileWriter::new(File::create(&path).unwrap(), schema, properties).unwrap();
        let mut group = file.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let texts: Vec<ByteArray> = (0..99).map(|row| format!("text {row}").as_str().into()).collect();
        column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        file.close().unwrap();
        let rows = read_rows(&path).unwrap_or_else(|error| panic!("{codec:?}: {error}"));
        assert_eq!(rows.len(), 99, "{codec:?}");
        assert_eq!(rows[98].text("a").unwrap(), "text 98", "{codec:?}");
    }
    let path = folder.path().join("broken.parquet");
    std::fs::write(&path, "PAR1 and no more").unwrap();
    let message = read_rows(&path).unwrap_err().to_string();
    assert!(message.contains("broken.parquet") && message.contains("fetch or copy it again"), "{message}");
}

#[test]
fn a_missing_shard_is_named_whichever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let stem = ["data/train".to_owned()];
    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::fs::write(folder.path().join("data/train-00001-of-00002.parquet"), "x").unwrap();
    let first = find_rows(folder.path(), &stem).unwrap_err().to_string();
    assert!(first.contains("train-00000-of-00002.parquet is missing"), "{first}");
    std::fs::write(folder.path().join("data/train-00000-of-00002.parquet"), "x").unwrap();
    assert_eq!(find_rows(folder.path(), &stem).unwrap().len(), 2);
}
