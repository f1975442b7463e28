//! Opens parquet files, and says what is wrong with those that cannot be read: damaged, or whole and of another kind.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::panic::UnwindSafe;
use std::path::{Path, PathBuf};

use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

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
