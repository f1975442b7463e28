//! Labelled pictures from files, in one of two layouts:
//!
//! ```text
//! <folder>/<split>/<class>/*.jpg                        as torchvision's ImageFolder: classes are sorted by name;
//! <folder>/data/<split>-00000-of-00001.parquet          as on the Hugging Face hub, in any number of shards.
//! ```
//!
//! A parquet file has the columns `image`, with an encoded picture under `bytes`, and `label`, a class by its number. The
//! hub's metadata name the classes; without them there are as many as the training split has. Where a split is there in
//! both layouts, parquet is read. Which files are pictures is said by [`models::images::picture_files`]; folders inside a
//! class are not looked into.

mod parquet_rows;

use std::path::{Path, PathBuf};

use finetune::{MissingShard, ParquetFileError, shards};
use image::RgbImage;
use models::images::{PictureError, decode_rgb, picture_files, read_rgb};
use models::inputs::Recording;
use rayon::prelude::*;

#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error(
        "{folder}: no split `{split}`; there should be folders {split}/<class>/ with pictures, or \
         data/{split}-00000-of-00001.parquet", folder = folder.display()
    )]
    NoSplit { folder: PathBuf, split: String },

    #[error(transparent)]
    Shard(#[from] MissingShard),

    #[error(transparent)]
    Parquet(#[from] ParquetFileError),

    #[error(transparent)]
    Picture(#[from] PictureError),

    #[error("{folder}: has no picture; remove the folder, or put pictures of the class into it", folder = folder.display())]
    EmptyClass { folder: PathBuf },

    #[error(
        "{path}: no column `{column}`; `image.bytes` and `label` are needed, and the columns here are {}",
        .found.join(", "), path = path.display()
    )]
    MissingColumn { path: PathBuf, column: &'static str, found: Vec<String> },

    #[error("{path}: column `{column}` is of the type {found}; it should be {wanted}", path = path.display())]
    ColumnType { path: PathBuf, column: &'static str, found: String, wanted: &'static str },

    #[error("{place}: column `{column}` has no value; fill the cell", place = place.display())]
    Null { place: PathBuf, column: &'static str },

    #[error("{place}: label {label} is no class; classes are numbered from 0{}", last(.num_classes), place = place.display())]
    Label { place: PathBuf, label: f64, num_classes: Option<usize> },

    #[error("{path}: has no rows; the split `{split}` needs some", path = path.display())]
    Empty { path: PathBuf, split: String },

    #[error(
        "{place}: has the classes {found}, and {of_train} has {wanted}; both splits need the same classes in the same order",
        place = place.display(), of_train = of_train.display()
    )]
    Classes { place: PathBuf, of_train: PathBuf, found: String, wanted: String },
}

/// " to 4" of five classes; nothing where it is not known how many there are.
fn last(num_classes: &Option<usize>) -> String {
    num_classes.map_or(String::new(), |count| format!(" to {}", count as i64 - 1))
}

/// Where the pictures of a split are.
pub enum Listing {
    /// For each class, sorted by name: its folder and the pictures in it.
    Folders {
        place: PathBuf,
        classes: Vec<(String, Vec<PathBuf>)>,
    },
    Shards {
        split: String,
        paths: Vec<PathBuf>,
    },
}

/// Encoded pictures of a split, with their classes.
pub struct Labelled {
    /// The folder or file that the pictures are from.
    place: PathBuf,
    /// Names of the classes, where they are known.
    names: Option<Vec<String>>,
    pictures: Vec<Source>,
    pub labels: Vec<usize>,
}

enum Source {
    File(PathBuf),
    /// The place names the file and the row.
    Bytes {
        bytes: Vec<u8>,
        place: PathBuf,
    },
}

/// Finds a split. Opens no picture whose name tells that it is one.
pub fn list(folder: &Path, split: &str) -> Result<Listing, DataError> {
    let paths = shards(&folder.join("data").join(split))?;
    if !paths.is_empty() {
        return Ok(Listing::Shards { split: split.to_owned(), paths });
    }
    let place = folder.join(split);
    let none = || DataError::NoSplit { folder: folder.to_owned(), split: split.to_owned() };
    let mut folders: Vec<(String, PathBuf)> = Vec::new();
    for entry in place.read_dir().map_err(|_| none())?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && entry.path().is_dir() {
            folders.push((name, entry.path()));
        }
    }
    folders.sort();
    let with_pictures = |(name, folder): (String, PathBuf)| match picture_files(&folder)? {
        pictures if pictures.is_empty() => Err(DataError::EmptyClass { folder }),
        pictures => Ok((name, pictures)),
    };
    let classes: Vec<_> = folders.into_iter().map(with_pictures).collect::<Result<_, _>>()?;
    if classes.is_empty() { Err(none()) } else { Ok(Listing::Folders { place, classes }) }
}

impl Listing {
    /// Every file of the split, in the order of its pictures.
    pub fn files(&self) -> Box<dyn Iterator<Item = PathBuf> + '_> {
        match self {
            Listing::Folders { classes, .. } => {
                Box::new(classes.iter().flat_map(|(_, pictures)| pictures.iter().cloned()))
            }
            Listing::Shards { paths, .. } => Box::new(paths.iter().cloned()),
        }
    }

    /// All rows of the split in the files' order. No picture is decoded.
    pub fn read(&self) -> Result<Labelled, DataError> {
        match self {
            Listing::Folders { place, classes } => {
                let counts = classes.iter().enumerate().map(|(class, (_, pictures))| (class, pictures.len()));
                Ok(Labelled {
                    place: place.clone(),
                    names: Some(classes.iter().map(|(name, _)| name.clone()).collect()),
                    pictures: self.files().map(Source::File).collect(),
                    labels: counts.flat_map(|(class, count)| vec![class; count]).collect(),
                })
            }
            Listing::Shards { split, paths } => parquet_rows::read(split, paths),
        }
    }
}

/// How many classes the two splits have. Errors: lists of classes that differ, and a label beyond those of training.
pub fn num_classes(train: &Labelled, test: &Labelled) -> Result<usize, DataError> {
    if let (Some(wanted), Some(found)) = (&train.names, &test.names)
        && wanted != found
    {
        return Err(DataError::Classes {
            place: test.place.clone(),
            of_train: train.place.clone(),
            found: found.join(", "),
            wanted: wanted.join(", "),
        });
    }
    let highest = train.labels.iter().max().map_or(0, |label| label + 1);
    // Labels beyond the number of pictures leave most classes without one: they are no classes.
    let count = train.names.as_ref().map_or(highest.min(train.labels.len()), Vec::len);
    for labelled in [train, test] {
        if let Some(row) = labelled.labels.iter().position(|&label| label >= count) {
            let (place, label) = (labelled.pictures[row].place().to_owned(), labelled.labels[row] as f64);
            return Err(DataError::Label { place, label, num_classes: Some(count) });
        }
    }
    Ok(count)
}

/// Pictures that are decoded at once.
const AT_ONCE: usize = 64;

impl Labelled {
    /// At most `limit` rows, in turn the next of each class; all of them, in their order, without a limit.
    pub fn chosen(&self, limit: Option<usize>) -> Vec<usize> {
        let mut rows: Vec<usize> = (0..self.labels.len()).collect();
        let Some(limit) = limit else { return rows };
        let mut seen = vec![0usize; self.labels.iter().max().map_or(0, |label| label + 1)];
        let turns: Vec<usize> = self
            .labels
            .iter()
            .map(|&label| {
                seen[label] += 1;
                seen[label]
            })
            .collect();
        rows.sort_by_key(|&row| (turns[row], self.labels[row]));
        rows.truncate(limit);
        rows
    }

    /// What `prepare` makes of the pictures of these rows, a part of them at a time.
    ///
    /// Errors: the first picture that cannot be read.
    pub fn decoded<T>(
        &self,
        rows: &[usize],
        prepare: impl Fn(&[RgbImage]) -> T,
    ) -> Result<Vec<T>, DataError> {
        let recording = Recording::current();
        let decode = |&row: &usize| recording.within(|| self.pictures[row].decode());
        let part = |rows: &[usize]| -> Result<T, DataError> {
            let pictures: Vec<Result<RgbImage, PictureError>> = rows.par_iter().map(decode).collect();
            Ok(prepare(&pictures.into_iter().collect::<Result<Vec<_>, _>>()?))
        };
        rows.chunks(AT_ONCE).map(part).collect()
    }
}

impl Source {
    fn place(&self) -> &Path {
        match self {
            Source::File(path) | Source::Bytes { place: path, .. } => path,
        }
    }

    fn decode(&self) -> Result<RgbImage, PictureError> {
        match self {
            Source::File(path) => read_rgb(path),
            Source::Bytes { bytes, place } => decode_rgb(bytes.clone(), place),
        }
    }
}
