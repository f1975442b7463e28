//! Natural photographs from a parquet file in hub layout (Tiny ImageNet), captioned by class.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use rayon::prelude::*;

use crate::SIZE;

/// A photograph of `SIZE` × `SIZE` pixels and the name of what it shows.
#[derive(Debug, Clone)]
pub struct Photo {
    /// Row-major RGB, `SIZE * SIZE * 3` bytes.
    pub rgb: Vec<u8>,
    pub class_name: String,
}

impl Photo {
    /// "a photo of a golden retriever": class names in lower case, without what stands in brackets.
    pub fn caption(&self) -> String {
        format!("a photo of a {}", self.class_name.to_lowercase())
    }
}

/// Reads `data/<split>-00000-of-00001.parquet` of the data set folder `folder`.
pub fn read_photos(folder: &Path, split: &str) -> Result<Vec<Photo>> {
    let path = folder.join("data").join(format!("{split}-00000-of-00001.parquet"));
    let file = File::open(&path).with_context(|| format!("{}: cannot be opened", path.display()))?;
    let reader = SerializedFileReader::new(file)
        .with_context(|| format!("{}: is not a parquet file", path.display()))?;
    let rows = reader.get_row_iter(None)?.collect::<Result<Vec<Row>, _>>()?;
    rows.par_iter()
        .enumerate()
        .map(|(index, row)| photo(row).with_context(|| format!("{}: row {index}", path.display())))
        .collect()
}

fn photo(row: &Row) -> Result<Photo> {
    let mut encoded: Option<&[u8]> = None;
    let mut class_name = None;
    for (name, field) in row.get_column_iter() {
        match (name.as_str(), field) {
            ("image", Field::Group(image)) => {
                encoded = image.get_column_iter().find_map(|(name, field)| match field {
                    Field::Bytes(bytes) if name == "bytes" => Some(bytes.data()),
                    _ => None,
                });
            }
            ("class_name", Field::Str(text)) => class_name = Some(text.clone()),
            _ => {}
        }
    }
    let (Some(encoded), Some(class_name)) = (encoded, class_name) else {
        bail!("columns `image.bytes` and `class_name` are needed");
    };
    let picture = image::load_from_memory(encoded).context("column `image.bytes`")?.to_rgb8();
    let picture = models::images::resize_and_crop(&picture, SIZE as u32);
    Ok(Photo { rgb: picture.into_raw(), class_name })
}
