//! Examples of a GLUE task from files, in one of two layouts, and of [data sets of one's own](Dataset):
//!
//! ```text
//! <folder>/<task>/train-00000-of-00001.parquet       as on the Hugging Face hub, in any number of shards;
//! <folder>/<task>/validation-00000-of-00001.parquet  MNLI's is validation_matched-…
//! <folder>/<task>/train.tsv  a header, then a row per line; cells separated by tabs, no quoting;
//! <folder>/<task>/dev.tsv    or validation.tsv; MNLI's first dev_matched.tsv or validation_matched.tsv
//! ```
//!
//! Columns are found by the hub's names ([`TextTask::columns`] and [`TextTask::label`]), in any order; others are ignored. Where a
//! split has both kinds of file, parquet is read. A label is its number; a TSV file may have its name instead, as
//! GLUE's own files of QNLI, RTE and WNLI have.
//!
//! An empty sentence is an example like any other: its tokens are the special tokens alone. An absent one (a null cell)
//! is an error, and so is whatever else has no clear meaning.

mod own;
mod parquet_rows;
mod row;
mod tsv;

use std::path::{Path, PathBuf};

use finetune::shards;

pub use finetune::Place;
pub use own::Dataset;
pub use row::{DataError, Example, Split};

use crate::tasks::TextTask;

/// All examples of a split, in the files' order.
pub fn read(folder: &Path, task: &TextTask, split: Split) -> Result<Vec<Example>, DataError> {
    let mut examples = Vec::new();
    let paths = files(folder, task, split)?;
    for path in &paths {
        let is_parquet = path.extension().is_some_and(|extension| extension == "parquet");
        examples.extend(if is_parquet { parquet_rows::read(path, task)? } else { tsv::read(path, task)? });
    }
    match paths.into_iter().next() {
        Some(path) if examples.is_empty() => Err(DataError::Empty { path, task: task.name.clone(), split }),
        _ => Ok(examples),
    }
}

/// The files that [`read`] reads, in its order: the shards of a split, or its TSV file.
pub fn files(folder: &Path, task: &TextTask, split: Split) -> Result<Vec<PathBuf>, DataError> {
    let folder = folder.join(&task.name);
    let (stem, tsv): (_, &[_]) = match split {
        Split::Train => ("train", &["train.tsv"]),
        Split::Validation if task.validation == "validation" => {
            ("validation", &["dev.tsv", "validation.tsv"])
        }
        Split::Validation => {
            (task.validation, &["dev_matched.tsv", "validation_matched.tsv", "dev.tsv", "validation.tsv"])
        }
    };
    let shards = shards(&folder.join(stem))?;
    if !shards.is_empty() {
        return Ok(shards);
    }
    let text = tsv.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    text.map(|path| vec![path]).ok_or_else(|| DataError::NoFile {
        folder,
        task: task.name.clone(),
        split,
        stem,
        tsv: tsv.to_vec(),
    })
}
