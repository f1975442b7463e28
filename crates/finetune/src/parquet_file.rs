//! Opens parquet files, and says what is wrong with those that cannot be read: damaged, or whole and of another kind.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::panic::UnwindSafe;
use std::path::{Path, PathBuf};

use parquet::basic::Compression;
use parquet::column::reader::{ColumnReader, get_typed_column_reader};
use parquet::data_type::{ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};

/// Why a parquet file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ParquetFileError {
    #[error("{path}: cannot be read: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },

    /// The file may be whole.
    #[error(
        "{path}: {problem}; write it again with another compression: in Python, \
         `pyarrow.parquet.write_table(table, path, compression=\"zstd\")`",
        path = path.display()
    )]
    Unsupported { path: PathBuf, problem: String },

    #[error(
        "{path}: is no parquet file, or a truncated or damaged one ({problem}); fetch or copy it again",
        path = path.display()
    )]
    Damaged { path: PathBuf, problem: String },
}

/// Codecs of parquet files that are read.
const CODECS: &str = "uncompressed, snappy, gzip, brotli, lz4 and zstd";
/// The last bytes of a file whose footer is encrypted.
const ENCRYPTED: [u8; 4] = *b"PARE";

impl ParquetFileError {
    /// What an error of the decoder says about the file at `path`.
    pub fn of(path: &Path, error: &ParquetError) -> ParquetFileError {
        let path = path.to_path_buf();
        match error {
            ParquetError::NYI(problem) => {
                ParquetFileError::Unsupported { path, problem: format!("cannot be read yet ({problem})") }
            }
            other => ParquetFileError::Damaged { path, problem: other.to_string() },
        }
    }
}

/// What `decode` makes of the parquet file at `path`.
pub fn read_parquet<T, E: From<ParquetFileError>>(
    path: &Path,
    decode: impl FnOnce(&SerializedFileReader<File>) -> Result<T, E> + UnwindSafe,
) -> Result<T, E> {
    // The decoder panics at some contradictions in a damaged file, such as a negative length.
    let decoded = std::panic::catch_unwind(|| decode(&open(path)?));
    decoded.unwrap_or_else(|_| {
        let problem = "it contradicts itself".to_owned();
        Err(ParquetFileError::Damaged { path: path.to_path_buf(), problem }.into())
    })
}

fn open(path: &Path) -> Result<SerializedFileReader<File>, ParquetFileError> {
    let cannot = |source| ParquetFileError::Read { path: path.to_path_buf(), source };
    let unsupported = |problem| ParquetFileError::Unsupported { path: path.to_path_buf(), problem };
    let mut file = models::inputs::open(path).map_err(cannot)?;
    if last_bytes(&mut file).map_err(cannot)? == Some(ENCRYPTED) {
        return Err(unsupported("is encrypted, which is not read here".to_owned()));
    }
    let reader = SerializedFileReader::new(file).map_err(|error| ParquetFileError::of(path, &error))?;
    let mut columns = reader.metadata().row_groups().iter().flat_map(|group| group.columns());
    match columns.find(|column| matches!(column.compression(), Compression::LZO)) {
        None => Ok(reader),
        Some(column) => {
            let name = column.column_path().string();
            Err(unsupported(format!("column `{name}` is compressed with LZO; read are {CODECS}")))
        }
    }
}

/// The last four bytes, where there are as many.
fn last_bytes(file: &mut File) -> std::io::Result<Option<[u8; 4]>> {
    let mut bytes = [0; 4];
    if file.metadata()?.len() < bytes.len() as u64 {
        return Ok(None);
    }
    file.seek(SeekFrom::End(-(bytes.len() as i64)))?;
    file.read_exact(&mut bytes)?;
    file.rewind()?;
    Ok(Some(bytes))
}

/// A column's values, `None` where a cell is null.
pub type Cells<T> = Vec<Option<T>>;

/// Texts or bytes of a column of a row group.
pub fn byte_cells(group: &dyn RowGroupReader, column: usize) -> ParquetResult<Cells<Vec<u8>>> {
    cells::<ByteArrayType, _>(group, column, |bytes| bytes.data().to_vec())
}

/// Numbers of a column of a row group, of whatever type.
pub fn number_cells(group: &dyn RowGroupReader, column: usize) -> ParquetResult<Cells<f64>> {
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
